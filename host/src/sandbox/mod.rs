//! Where plugins run: the only user of wasmtime.
//!
//! ```text
//! bytes ── load ──► Plugin ── call ──► a fresh Store ──► the guest ──► a verdict or a fault
//!            │                  │            │               │
//!          engine             ticker       limits        pod, clock, log, wasi ──► output
//! ```
//!
//! Guests run on a runtime of their own, at a lower priority: no worker of the host's runtime ever runs one, and
//! every deadline is kept by the host's runtime and not by the guests'.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    decide::{Fault, Verdict},
    pod::Packed,
};

mod bindings;
mod call;
mod clock;
mod engine;
mod fault;
mod limits;
mod load;
mod log;
mod output;
mod pod;
mod ticker;
mod wasi;

pub use fault::reasons;
pub use limits::MAX_FILE;
pub use load::{Digest, LoadError};

/// The engine and the runtime that all plugins of the process share. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox(Arc<engine::Shared>);

/// A compiled, type-checked plugin, ready to be called. Cheap to clone.
#[derive(Clone)]
pub struct Plugin(Arc<load::Loaded>);

/// What a plugin said of itself, sanitised: printable and within bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Its name; at most 63 characters.
    pub name: String,
    /// Its version; at most 63 characters.
    pub version: String,
    /// One line of help; at most 256 characters.
    pub help: String,
    /// The JSON Schema of its config, as text: a stranger's data, shown and never evaluated; at most 64 KiB.
    pub config_schema: String,
}

/// One thing that a plugin finds wrong in a config, sanitised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// A JSON pointer into the config.
    pub path: String,
    /// What is wrong.
    pub message: String,
}

/// One call of a plugin's `evaluate`.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// The check's name, for logs.
    pub check: Arc<str>,
    /// The pod, as plugins see it.
    pub pod: Packed,
    /// The check's config.
    pub config: Arc<str>,
    /// The instant of the call, in Unix milliseconds.
    pub now: i64,
    /// How long the call may take, from now.
    pub timeout: Duration,
}

impl Sandbox {
    /// Starts the engine, the epoch ticker and the guests' own runtime.
    ///
    /// # Errors
    /// When the system grants no threads, or not even the address space of one plugin.
    pub fn new() -> anyhow::Result<Self> {
        engine::Shared::new().map(|shared| Self(Arc::new(shared)))
    }

    /// Compiles and type-checks a component, links it and asks it to describe itself. Takes seconds for large
    /// components, on a thread where it may block.
    ///
    /// # Errors
    /// When the bytes are no plugin that this host can run. The error does not name the file: the caller knows it.
    pub async fn load(&self, bytes: Vec<u8>) -> Result<Plugin, LoadError> {
        load::load(&self.0, bytes).await.map(|loaded| Plugin(Arc::new(loaded)))
    }
}

impl Plugin {
    /// What the plugin said of itself.
    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// The digest of the file that the plugin was loaded from.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Asks the plugin whether a config is right: the empty list where it is. It has 5 s to answer.
    ///
    /// # Errors
    /// When the plugin could not tell: it trapped, exceeded a limit or did not answer.
    pub async fn validate(&self, config: Arc<str>) -> Result<Vec<ConfigError>, Fault> {
        call::validate(&self.0, config).await
    }

    /// Asks the plugin about one pod, in a fresh instance, on the guests' runtime. Dropping the future ends the
    /// call.
    ///
    /// # Errors
    /// When there is no verdict: the plugin's own fault, a trap, a limit, or no answer within the timeout.
    pub async fn evaluate(&self, evaluation: Evaluation) -> Result<Verdict, Fault> {
        call::evaluate(&self.0, evaluation).await
    }
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").finish_non_exhaustive()
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.0.description.name)
            .field("digest", &self.0.digest)
            .finish_non_exhaustive()
    }
}
