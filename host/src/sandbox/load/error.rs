//! Why a file is not a plugin.

use std::{io, time::Duration};

use super::VERSION;
use crate::{
    decide::Fault,
    sandbox::{
        compile::Budget,
        limits::{MAX_FILE, SCHEMA},
    },
};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why a file is not a plugin: one line, without the file's name, and the mend where there is one.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is larger than [`MAX_FILE`].
    #[error("the file has {size} bytes; a plugin has at most {MAX_FILE}")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It does not begin as WebAssembly does.
    #[error("this is not WebAssembly; a plugin is a component, built for wasm32-wasip2")]
    NotWasm,
    /// It is a core module, such as builds for wasm32-unknown-unknown and wasm32-wasip1 make.
    #[error("this is a core module, not a component; build for wasm32-wasip2")]
    CoreModule,
    /// It ends in the middle: copied halfway, or still being written.
    #[error("the file is cut off; copy it again, and rename it into place when it is complete")]
    Truncated,
    /// It is a component that does not parse or that uses more than this host allows.
    #[error("this is not a component that this host can compile")]
    Invalid(#[source] Source),
    /// It does not export what a plugin exports.
    #[error("this component is not a plugin: it does not export {export}")]
    MissingExport {
        /// The interface or the function that is missing.
        export: String,
    },
    /// It was built for a `gatehost:check` that has more than this host's.
    #[error("built for gatehost:check {built_for}, this host has {VERSION}: {missing} is missing")]
    Newer {
        /// The version that it was built for.
        built_for: String,
        /// The function or the interface that this host lacks.
        missing: String,
    },
    /// It was built for a `gatehost:check` that is not compatible with this host's.
    #[error("built for gatehost:check {built_for}, this host has {VERSION}: build it again for this version")]
    OtherVersion {
        /// The version that it was built for.
        built_for: String,
    },
    /// It imports something that this host does not offer.
    #[error("it imports {import}, which plugins do not get{}", hint(import))]
    UnknownImport {
        /// The import's name.
        import: String,
    },
    /// What it imports or exports has other types than the contract.
    #[error("its imports or exports have other types than gatehost:check {VERSION}; build it again from wit/")]
    Mismatch(#[source] Source),
    /// It could not describe itself.
    #[error("it cannot describe itself: {}: {}", .0.reason, .0.message)]
    Describe(Fault),
    /// Its config schema is longer than 64 KiB.
    #[error("the config schema in its description has {size} bytes; it may have {SCHEMA}")]
    SchemaTooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// Compiling it takes more memory than the compiler may have.
    #[error("compiling it takes more than {0}")]
    CompilerMemory(Budget),
    /// Compiling it takes longer than the compiler may.
    #[error(
        "compiling it takes more than {} s, which is all that the compiler gets; raise --compile-timeout",
        limit.as_secs_f64()
    )]
    CompilerTime {
        /// How long it may take.
        limit: Duration,
    },
    /// What it is compiled into is too large.
    #[error("it compiles into more than {} MiB of code, which is the most that is loaded", limit >> 20)]
    CompilerArtifact {
        /// The size that is allowed, in bytes.
        limit: u64,
    },
    /// Somebody else ended the compiler.
    #[error(
        "the compiler was killed while it worked on it, by the kernel for want of memory or by somebody; it will be \
         tried again"
    )]
    CompilerKilled,
    /// The compiler ended without an answer.
    #[error("the compiler crashed on it: {how}")]
    CompilerCrashed {
        /// The exit status or the signal, and what it said.
        how: String,
    },
    /// The compiler could not be started or watched; it will be tried again.
    #[error("the compiler cannot be run; it will be tried again")]
    Compiler(#[source] io::Error),
    /// There is no memory for the compiled code; it will be tried again.
    #[error("the compiled code cannot be kept; it will be tried again")]
    Artifact(#[source] io::Error),
    /// The host failed, not the file: the compiler panicked, or the process is ending.
    #[error("the host failed while it compiled the file")]
    Host(#[source] tokio::task::JoinError),
}

impl LoadError {
    /// Whether the same bytes may fare better another time.
    pub fn may_pass(&self) -> bool {
        match self {
            // A container's limit can be raised while it runs.
            Self::CompilerMemory(budget) => budget.is_of_container(),
            // Of time it may be the machine that was busy.
            _ => matches!(
                self,
                Self::Describe(_)
                    | Self::CompilerTime { .. }
                    | Self::CompilerKilled
                    | Self::Compiler(_)
                    | Self::Artifact(_)
                    | Self::Host(_)
            ),
        }
    }
}

fn hint(import: &str) -> &'static str {
    if import.starts_with("wasi:http/") {
        "; build without wasi:http (componentize-js: disableFeatures: ['http', 'fetch-event'])"
    } else {
        ""
    }
}
