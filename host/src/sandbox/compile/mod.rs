//! From a component to an artifact: compiled elsewhere, one at a time.
//!
//! ```text
//!        host                                the compiler's process
//!   component ── pipe ──► stdin        limits itself, then reads, then compiles
//!   artifact  ◄── memory file ── stdout
//!   how it ended ──► a load error, or none
//! ```
//!
//! What a compiler takes is a stranger's to choose: it gets a process of its own, whose memory, time and output are
//! bounded, and what it keeps is gone when it ends.

use std::{fs::File, io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use tokio::{runtime::Handle, sync::Semaphore};

use self::order::Order;
use super::{
    artifact::Artifact,
    engine::{Cpu, Room, on_demand},
    load::LoadError,
};

mod budget;
mod child;
mod order;
mod process;

pub use budget::Budget;
pub use child::compile_for_host;
pub use order::VERB;

/// The largest artifact, in bytes. A component of 18 MB that Python's tools make becomes one of 33 MiB.
const MAX_ARTIFACT: u64 = 256 << 20;

/// Who compiles components.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Compiler {
    /// This process: for tests and tools that know what they load. Nothing bounds what it takes.
    #[default]
    Here,
    /// A process for each component, which ends with this one.
    Process(Process),
}

/// The compiler as a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// A program that hands the words after [`VERB`] to [`compile_for_host`].
    pub program: PathBuf,
    /// The most address space that it may have, in bytes; less in a container with a low limit.
    pub memory: u64,
    /// The longest that it may take, and that its threads may compute; counted in whole seconds.
    pub time: Duration,
}

/// Compiles, one component at a time.
pub(super) struct Compiling {
    compiler: Compiler,
    pub(super) cpu: Cpu,
    pub(super) room: Room,
    one: Semaphore,
}

impl Compiling {
    pub(super) fn new(compiler: Compiler, cpu: Cpu, room: Room) -> Self {
        Self { compiler, cpu, room, one: Semaphore::new(1) }
    }

    /// The artifact of a component, in a file without a name.
    pub(super) async fn compile(&self, guests: &Handle, component: &Arc<Vec<u8>>) -> Result<Artifact, LoadError> {
        // The semaphore is never closed.
        let _one = self.one.acquire().await;
        let file = Artifact::blank().map_err(LoadError::Artifact)?;
        match &self.compiler {
            Compiler::Here => {
                let (cpu, room, component) = (self.cpu, self.room, component.clone());
                let artifact = guests.spawn_blocking(move || compile(cpu, room, &component)).await;
                let artifact = artifact.map_err(LoadError::Host)?;
                let artifact = artifact.map_err(|error| LoadError::Invalid(error.into_boxed_dyn_error()))?;
                (&file).write_all(&artifact).map_err(LoadError::Artifact)?;
            }
            Compiler::Process(process) => self.elsewhere(process, component, &file).await?,
        }
        Artifact::sealed(file).await.map_err(LoadError::Artifact)
    }

    async fn elsewhere(&self, process: &Process, component: &[u8], file: &File) -> Result<(), LoadError> {
        let budget = Budget::here(process.memory);
        let order = Order {
            cpu: self.cpu,
            room: self.room,
            memory: budget.memory,
            time: process::whole_seconds(process.time),
            artifact: MAX_ARTIFACT.min(budget.memory),
        };
        process::compile(process, order, budget, component, file).await
    }
}

/// Compiles with an engine of its own, whose end frees all that it kept: one without a pool of instances, which would
/// not fit into a bounded address space. The code is the same.
fn compile(cpu: Cpu, room: Room, component: &[u8]) -> wasmtime::Result<Vec<u8>> {
    on_demand(cpu, room)?.precompile_component(component)
}
