//! What the catalog asks of the sandbox, narrow enough to stand in for it in tests.

use std::{error::Error, fmt::Debug, sync::Arc};

use super::track::Digest;
use crate::{
    check::Check,
    sandbox::{ConfigError, Grant, MAX_FILE, Plugin, Sandbox},
};

/// Turns bytes into plugins and judges configs.
pub(super) trait Loader: Clone + Send + Sync + 'static {
    type Plugin: Clone + Debug + Send + Sync + 'static;
    /// The largest file that is worth reading, in bytes.
    const MAX_FILE: u64;

    /// `digest` is that of the bytes.
    fn load(&self, bytes: Vec<u8>, digest: Digest) -> impl Future<Output = Result<Self::Plugin, Refusal>> + Send;

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

    async fn load(&self, bytes: Vec<u8>, digest: Digest) -> Result<Plugin, Refusal> {
        self.load_digested(bytes, digest.into())
            .await
            .map_err(|error| Refusal { error: one_line(&error), again: error.may_pass() })
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
