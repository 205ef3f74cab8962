//! What a check allows and how much its calls may use, made ready: once for each version of the check.

use std::{fmt, sync::Arc};

use tokio::sync::Semaphore;

use super::{
    engine::{Shared, workers},
    limits::Allowance,
    lograte::LogRate,
    net::{Clients, CredentialError, Net, Unready},
    pace::Pace,
    reach::{Refusal, Told},
    reuse::Spares,
    source::ObjectSource,
};
use crate::check::{Allow, Instances, Limit, Limits};

/// What a check's plugin may reach and use. Cheap to clone. By default it reaches nothing and uses no more than the host
/// grants at most.
#[derive(Clone, Default)]
pub struct Grant(pub(super) Option<Arc<Granted>>);

/// All that a [`Grant`] holds.
pub(super) struct Granted {
    pub(super) allow: Allow,
    /// Where objects come from; nothing where there is no cluster.
    pub(super) objects: Option<Arc<dyn ObjectSource>>,
    pub(super) told: Told,
    /// How much a call may use.
    pub(super) allowance: Allowance,
    /// What of the calls' output reaches the log.
    pub(super) log: LogRate,
    pub(super) net: Arc<Net>,
    pub(super) clients: Clients,
    /// The instances that serve more than one call, where there are such.
    pub(super) spares: Option<Spares>,
    /// How long the calls of the check take.
    pub(super) pace: Arc<Pace>,
    /// A permit for each call of the check that computes, as many as guests have threads: more would only stand before
    /// those of other checks, ...
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
    /// More is asked for than the host grants.
    #[error(
        "spec.limits.{}: {} is more than this host grants; ask for at most {}, or start the host with --max-limits {}={}",
        .limit.field(), .limit.written(*.asked), .limit.written(*.ceiling), .limit.field(), .limit.written(*.asked)
    )]
    Limit {
        /// Of what.
        limit: Limit,
        /// What the check asks for.
        asked: u32,
        /// What the host grants.
        ceiling: u32,
    },
}

impl Granted {
    pub(super) fn new(
        allow: &Allow,
        limits: &Limits,
        instances: Instances,
        shared: &Shared,
        objects: Option<Arc<dyn ObjectSource>>,
    ) -> Result<Self, GrantError> {
        let Shared { net, ceilings, places_of_a_check: places, .. } = shared;
        let allowance = Allowance::new(limits, ceilings).map_err(|limit| {
            let asked = limits.get(limit).unwrap_or_default();
            GrantError::Limit { limit, asked, ceiling: ceilings.of(limit) }
        })?;
        let log = LogRate::new(allowance.of(Limit::LogPerSecond));
        let clients = Clients::new(net.clone(), allow)
            .map_err(|Unready { field, file, error }| GrantError::Credentials { field, file, error })?;
        let [computing, long, places] = [workers(), 1, *places].map(|permits| Arc::new(Semaphore::new(permits)));
        let (allow, net) = (allow.clone(), net.clone());
        let (told, pace) = (Told::default(), Arc::default());
        let spares = match instances {
            Instances::Fresh => None,
            Instances::Reuse(reuse) => Some(Spares::new(reuse, shared.guests())),
        };
        Ok(Self { allow, objects, told, allowance, log, net, clients, spares, pace, computing, long, places })
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
