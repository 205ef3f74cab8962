//! What a check allows, made ready to be used: once for each version of the check.

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;

use super::{
    net::{Clients, CredentialError, Net, Unready},
    reach::{Refusal, Told},
    source::ObjectSource,
};
use crate::check::Allow;

/// How many calls of one check compute at once, whatever the number of those that wait for an answer from outside.
const COMPUTING: usize = 8;

/// What a check's plugin may reach. Cheap to clone; nothing by default.
#[derive(Clone, Default)]
pub struct Grant(pub(super) Option<Arc<Granted>>);

/// All that a [`Grant`] holds.
pub(super) struct Granted {
    pub(super) allow: Allow,
    /// Where objects come from; nothing where there is no cluster.
    pub(super) objects: Option<Arc<dyn ObjectSource>>,
    pub(super) told: Told,
    pub(super) net: Arc<Net>,
    pub(super) clients: Clients,
    /// A permit for each call of the check that computes, ...
    pub(super) computing: Arc<Semaphore>,
    /// ... one for the call that goes on computing for longer than a moment, ...
    pub(super) long: Arc<Semaphore>,
    /// ... and one for each that it may have at all.
    pub(super) places: Arc<Semaphore>,
}

/// Why a check cannot have what it asks for: one line, with the field under `spec.allow`.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// A file of `--credentials` cannot be used.
    #[error("spec.allow.{field}: {file} {error}")]
    Credentials {
        /// The field, below `spec.allow`.
        field: &'static str,
        /// The file's name.
        file: String,
        /// What is wrong with it.
        error: CredentialError,
    },
}

impl Granted {
    pub(super) fn new(
        allow: &Allow,
        net: &Arc<Net>,
        objects: Option<Arc<dyn ObjectSource>>,
        places: usize,
    ) -> Result<Self, GrantError> {
        let clients = Clients::new(net.clone(), allow)
            .map_err(|Unready { field, file, error }| GrantError::Credentials { field, file, error })?;
        let [computing, long, places] = [COMPUTING, 1, places].map(|permits| Arc::new(Semaphore::new(permits)));
        let (allow, net) = (allow.clone(), net.clone());
        Ok(Self { allow, objects, told: Told::default(), net, clients, computing, long, places })
    }
}

impl Grant {
    /// Whether people have not been told of this refusal yet.
    pub(super) fn is_news(&self, refusal: &Refusal) -> bool {
        self.0.as_ref().is_none_or(|granted| granted.told.is_news(refusal))
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Grant").field(&self.0.as_ref().map(|granted| &granted.allow)).finish()
    }
}
