//! Where plugins run: the only user of wasmtime.
//!
//! ```text
//! bytes ── load ──► Plugin ── call ──► a fresh Store ──► the guest ──► a verdict or a fault
//!            │                  │            │               │
//!    cache, or compile        ticker       limits        pod, clock, log, wasi ──► output
//!       ► artifact                                       http, tcp, dns ──► net ──► the world, as far as granted
//! ```
//!
//! A component is compiled in a process of its own and this one maps the artifact, so that no file can make the host run
//! out of memory or time.
//!
//! Guests run on a runtime of their own, at a lower priority: no worker of the host's runtime ever runs one, and
//! every deadline is kept by the host's runtime and not by the guests'. What a guest waits for outside is waited for on
//! the guests' threads, one of which is always free of guests that compute for long.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;

use self::grant::Granted;
use crate::{
    check::{Allow, Check, Instances, Limits},
    decide::{Fault, Verdict},
    pod::Packed,
};

mod answer;
mod artifact;
mod bindings;
mod cache;
mod call;
mod clock;
mod compile;
mod delivery;
mod dns;
mod engine;
mod fault;
mod grant;
mod http;
mod limits;
mod load;
mod log;
mod lograte;
mod memory;
mod net;
mod objects;
mod output;
mod pace;
mod pod;
mod reach;
mod reuse;
mod source;
mod spent;
mod state;
mod tcp;
mod ticker;
mod turn;
mod wasi;

pub use cache::Caches;
pub use compile::{Budget, Compiler, Process, VERB, compile_for_host};
pub use engine::{Cpu, workers};
pub use fault::reasons;
pub use grant::{Grant, GrantError};
pub use limits::MAX_FILE;
pub use load::{Digest, LoadError, Origin};
pub use lograte::LogRate;
pub use memory::{Kept, MAX_KEPT};
pub use net::CredentialError;
pub use reach::{IMPORTS, Refusal};
pub use source::{Look, ObjectSource, Query, Read, Sight, Target, View};

/// The engine and the runtime that all plugins of the process share. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<engine::Shared>,
    objects: Option<Arc<dyn ObjectSource>>,
}

/// What a sandbox is given.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--credentials`: the directory with the files that entries of `spec.allow` name.
    pub credentials: Option<PathBuf>,
    /// `--max-limits`: what no check may exceed; the usual where it says nothing.
    pub ceilings: Limits,
    /// Who compiles.
    pub compiler: Compiler,
    /// What is compiled for.
    pub cpu: Cpu,
    /// Where compiled plugins are kept.
    pub caches: Caches,
}

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
    /// What it says of the import `memory`: of the same value in two versions each understands what the other kept; at
    /// most 63 characters.
    pub memory_version: Option<String>,
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
    /// What the plugin may reach and use.
    pub grant: Grant,
    /// What the gate's plugin kept.
    pub kept: Kept,
}

/// How a call of `evaluate` ended.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// The verdict, or why there is none: the plugin's own fault, a trap, a limit, or no answer within the timeout.
    pub answer: Result<Verdict, Fault>,
    /// What the plugin keeps from now on, where it said so and answered with a verdict.
    pub keep: Option<Arc<[u8]>>,
    /// What it asked for and its check does not allow; each once.
    pub refusals: Vec<Refusal>,
    /// What it read of the cluster's objects; each once.
    pub reads: Vec<Read>,
}

impl Sandbox {
    /// Starts the engine, the epoch ticker and the guests' own runtime.
    ///
    /// # Errors
    /// When the system grants no threads, or not even the address space of one plugin.
    pub fn new() -> anyhow::Result<Self> {
        Self::with(Options::default())
    }

    /// The same, with options.
    ///
    /// # Errors
    /// As above, when the directory of credentials cannot be opened, and when a cache that is to be filled cannot be
    /// written to. A cache that cannot be used otherwise is a warning in the log.
    pub fn with(options: Options) -> anyhow::Result<Self> {
        let named = options.credentials.clone().unwrap_or_default();
        let net = net::Net::new(options.credentials.clone());
        let net = net.with_context(|| format!("the directory of credentials {} cannot be opened", named.display()))?;
        let shared = engine::Shared::new(net, &options)?;
        Ok(Self { shared: Arc::new(shared), objects: None })
    }

    /// The same with a cluster whose objects may be read: without one, none can be.
    #[must_use]
    pub fn with_objects(self, objects: Arc<dyn ObjectSource>) -> Self {
        Self { objects: Some(objects), ..self }
    }

    /// Makes what a check allows ready to be used, with the usual limits.
    ///
    /// # Errors
    /// When something that it names is not there or cannot be used: the error names the field.
    pub fn grant(&self, allow: &Allow) -> Result<Grant, GrantError> {
        self.grant_within(allow, &Limits::default(), Instances::Fresh)
    }

    /// The same for a check, with its limits.
    ///
    /// # Errors
    /// As above, and when it asks for more than this host grants.
    pub fn grant_to(&self, check: &Check) -> Result<Grant, GrantError> {
        self.grant_within(&check.allow, &check.limits, check.instances)
    }

    fn grant_within(&self, allow: &Allow, limits: &Limits, instances: Instances) -> Result<Grant, GrantError> {
        Ok(Grant(Some(Arc::new(Granted::new(allow, limits, instances, &self.shared, self.objects.clone())?))))
    }

    /// Finds or makes the code of a component, type-checks it, links it and asks it to describe itself. Compiling takes
    /// seconds for large components, one at a time; dropping the future ends it.
    ///
    /// # Errors
    /// When the bytes are no plugin that this host can run. The error does not name the file: the caller knows it.
    pub async fn load(&self, bytes: Vec<u8>) -> Result<Plugin, LoadError> {
        load::load(&self.shared, bytes, None, ()).await.map(|loaded| Plugin(Arc::new(loaded)))
    }

    /// The same for what [`Self::find_cached`] has not found: no cache is looked into again. `turn` is dropped once nothing
    /// is left to be compiled, and the bytes with it: the plugin may still be asked to describe itself then.
    pub(crate) async fn load_digested(
        &self,
        bytes: Vec<u8>,
        digest: Digest,
        turn: impl Send,
    ) -> Result<Plugin, LoadError> {
        load::load(&self.shared, bytes, Some(digest), turn).await.map(|loaded| Plugin(Arc::new(loaded)))
    }

    /// The plugin whose file has this digest, where its code is in a cache.
    pub(crate) async fn find_cached(&self, digest: Digest) -> Result<Option<Plugin>, LoadError> {
        Ok(load::find(&self.shared, digest).await?.map(|loaded| Plugin(Arc::new(loaded))))
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

    /// Where its compiled code came from.
    pub fn origin(&self) -> Origin {
        self.0.origin
    }

    /// Asks the plugin whether a config is right: the empty list where it is. It has 5 s to answer.
    ///
    /// # Errors
    /// When the plugin could not tell: it trapped, exceeded a limit or did not answer.
    pub async fn validate(&self, config: Arc<str>) -> Result<Vec<ConfigError>, Fault> {
        call::validate(&self.0, config).await
    }

    /// Asks the plugin about one pod, on the guests' runtime: in a fresh instance, or in one that has served before where
    /// the check asks for it. Dropping the future ends the call.
    pub async fn evaluate(&self, evaluation: Evaluation) -> Evaluated {
        call::evaluate(&self.0, evaluation, None).await
    }

    /// The same. `waits` is told, on the guests' runtime and perhaps more than once, when the plugin has waited a while
    /// for an answer from outside: somebody else may be asked meanwhile.
    pub async fn evaluate_telling(&self, evaluation: Evaluation, waits: Arc<dyn Fn() + Send + Sync>) -> Evaluated {
        call::evaluate(&self.0, evaluation, Some(waits)).await
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
