//! What the catalog asks of the sandbox, narrow enough to stand in for it in tests.

use std::{error::Error, fmt::Debug, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;

use super::track::Digest;
use crate::{
    check::Check,
    sandbox::{ConfigError, Grant, LoadError, MAX_FILE, Plugin, Sandbox},
};

/// Turns bytes into plugins and judges configs.
pub(super) trait Loader: Clone + Send + Sync + 'static {
    type Plugin: Clone + Debug + Send + Sync + 'static;
    /// The largest file that is worth reading, in bytes.
    const MAX_FILE: u64;

    /// The plugin whose file has this digest, where its code need not be compiled.
    fn find(&self, digest: Digest) -> impl Future<Output = Result<Option<Self::Plugin>, Refusal>> + Send;

    /// `digest` is that of the bytes. `turn` is given up once nothing is left to be compiled.
    fn load(
        &self,
        bytes: Vec<u8>,
        digest: Digest,
        turn: OwnedSemaphorePermit,
    ) -> impl Future<Output = Result<Self::Plugin, Refusal>> + Send;

    /// Makes what a check may reach and use ready; else one line, with the field.
    fn grant(&self, check: &Check) -> Result<Grant, String>;

    fn validate(
        plugin: Self::Plugin,
        config: Arc<str>,
    ) -> impl Future<Output = Result<Vec<ConfigError>, Refusal>> + Send;
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    /// One line.
    pub(super) error: String,
    /// The same bytes may fare better another time.
    pub(super) again: bool,
}

impl Loader for Sandbox {
    type Plugin = Plugin;
    const MAX_FILE: u64 = MAX_FILE;

    async fn find(&self, digest: Digest) -> Result<Option<Plugin>, Refusal> {
        self.find_cached(digest.into()).await.map_err(refusal)
    }

    async fn load(&self, bytes: Vec<u8>, digest: Digest, turn: OwnedSemaphorePermit) -> Result<Plugin, Refusal> {
        self.load_digested(bytes, digest.into(), turn).await.map_err(refusal)
    }

    fn grant(&self, check: &Check) -> Result<Grant, String> {
        self.grant_to(check).map_err(|error| one_line(&error))
    }

    async fn validate(plugin: Plugin, config: Arc<str>) -> Result<Vec<ConfigError>, Refusal> {
        plugin.validate(config).await.map_err(|fault| Refusal {
            error: format!("the plugin could not judge it: {}: {}", fault.reason, fault.message),
            again: true,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err takes")]
fn refusal(error: LoadError) -> Refusal {
    Refusal { error: one_line(&error), again: error.may_pass() }
}

/// An error with its causes, in one line.
pub(crate) fn one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line.replace(['\n', '\r'], " ")
}
