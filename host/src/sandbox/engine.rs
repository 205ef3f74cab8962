//! What all plugins of the process share: one engine, the guests' runtime, the ticker.

use std::{
    env::consts,
    hash::{Hash as _, Hasher},
    mem,
    sync::Arc,
    thread,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tokio::{
    runtime::{self, Handle, Runtime},
    sync::Semaphore,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::{
    Options, bindings,
    cache::Cache,
    compile::Compiling,
    delivery::Deliveries,
    limits::{ASYNC_STACK, Allowance, CALLS, INSTANCES, MEMORIES, PLACES, STACK, TABLES},
    lograte::LogRate,
    net::Net,
    state::State,
    ticker::Ticker,
    wasi::{self, Chance},
};
use crate::check::Limit;

/// How much nicer guests are than the host's own threads.
const NICE: i32 = 10;

/// How many threads may block: one compiles, where this process does that, and one reads artifacts.
const BLOCKING: usize = 2;

/// How many calls there are at once where the system grants little address space.
const FEW_CALLS: u32 = 8;

/// How many bytes of a memory, a table and a stack are kept and cleared after a call instead of given back.
const KEEP_RESIDENT: usize = 256 << 10;

/// Whose instructions compiled code uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cpu {
    /// All that this machine has.
    #[default]
    Native,
    /// Those that every machine of its architecture has.
    Baseline,
}

/// How much address space a linear memory has: compiled code relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// A slot of the pool.
    Pool,
    /// As much as it may become, where the system grants little.
    Little,
}

/// All that a [`super::Sandbox`] holds.
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) ticker: Ticker,
    pub(super) chance: Chance,
    pub(super) deliveries: Arc<Deliveries>,
    /// As many permits as calls may compute at once.
    pub(super) turns: Arc<Semaphore>,
    /// As many permits as calls may go on computing for longer than a moment, or begin to where that is likely: fewer than
    /// there are threads.
    pub(super) long: Arc<Semaphore>,
    /// As many permits as instances may live at once.
    pub(super) places: Arc<Semaphore>,
    /// How many of them one check may have.
    pub(super) places_of_a_check: usize,
    /// As many permits as instances may wait for their next call.
    pub(super) spare: Arc<Semaphore>,
    /// What no call may exceed.
    pub(super) ceilings: Allowance,
    /// What of the output of calls that are for no check reaches the log.
    pub(super) log: LogRate,
    pub(super) net: Arc<Net>,
    pub(super) compiling: Compiling,
    pub(super) cache: Cache,
    /// Present until it is dropped.
    runtime: Option<Runtime>,
    guests: Handle,
}

impl Shared {
    /// One that compiles in this process and keeps nothing.
    #[cfg(test)]
    pub(super) fn usual(net: Net) -> anyhow::Result<Self> {
        Self::new(net, &Options::default())
    }

    pub(super) fn new(net: Net, options: &Options) -> anyhow::Result<Self> {
        let Options { compiler, cpu, caches, ceilings, .. } = options;
        let ceilings = Allowance::ceilings(ceilings);
        let (engine, room, places) = engine(&ceilings)?;
        let linker = linker(&engine).map_err(wasmtime::Error::into_boxed_dyn_error).map_err(anyhow::Error::from_boxed);
        let deliveries = Arc::<Deliveries>::default();
        let runtime = guests(&deliveries).context("cannot start the guests' runtime")?;
        Ok(Self {
            linker: linker.context("cannot link what plugins import")?,
            ticker: Ticker::start(engine.weak(), deliveries.clone()).context("cannot start the epoch thread")?,
            chance: Chance::new(),
            deliveries,
            turns: Arc::new(Semaphore::new(CALLS as usize)),
            long: Arc::new(Semaphore::new(workers() - 1)),
            places: Arc::new(Semaphore::new(places as usize)),
            places_of_a_check: (places as usize / 2).max(1),
            spare: Arc::new(Semaphore::new(spare(places) as usize)),
            log: LogRate::new(ceilings.of(Limit::LogPerSecond)),
            ceilings,
            net: Arc::new(net),
            compiling: Compiling::new(compiler.clone(), *cpu, room),
            cache: Cache::open(caches, *cpu, |cpu| configuration(cpu, room))?,
            guests: runtime.handle().clone(),
            runtime: Some(runtime),
            engine,
        })
    }

    /// Where guests run, and what reads and maps artifacts, on threads where it may block.
    pub(super) fn guests(&self) -> &Handle {
        &self.guests
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A runtime must not wait for its threads where this may run: in a task.
        if let Some(runtime) = mem::take(&mut self.runtime) {
            runtime.shutdown_background();
        }
    }
}

/// How many threads guests have: a core each, and one at least that no guest keeps for longer than a moment.
pub fn workers() -> usize {
    thread::available_parallelism().map_or(2, Into::into).max(2)
}

/// The guests' own runtime, at a lower priority than the host's.
fn guests(deliveries: &Arc<Deliveries>) -> std::io::Result<Runtime> {
    let deliveries = deliveries.clone();
    runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .max_blocking_threads(BLOCKING)
        .thread_name("guest")
        // A poll of a guest that spins lasts a whole tick, so new calls are looked at before all others, and timers after
        // few of them.
        .global_queue_interval(1)
        .event_interval(4)
        .enable_all()
        .on_thread_park(move || deliveries.rest())
        .on_thread_start(|| {
            // On Linux a thread has its own niceness, and being nicer is always allowed; without it all still works.
            let _ = rustix::process::nice(NICE);
        })
        .build()
}

/// How many instances may wait for their next call, where so many calls have room.
fn spare(calls: u32) -> u32 {
    calls / 4
}

/// The engine, what its code is compiled for, and for how many instances at once it has room.
fn engine(ceilings: &Allowance) -> anyhow::Result<(Engine, Room, u32)> {
    let mut refused = None;
    let mut pooling = config(Cpu::Native, Room::Pool).map_err(convert)?;
    for calls in [PLACES, CALLS, FEW_CALLS] {
        match Engine::new(
            pooling.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(calls + spare(calls), ceilings))),
        ) {
            Ok(engine) => return Ok((engine, Room::Pool, calls)),
            Err(error) => refused = Some(error),
        }
    }
    // A small address space (`ulimit -v`): memories are reserved one by one.
    let engine =
        on_demand(Cpu::Native, Room::Little).map_err(convert).context("cannot start the WebAssembly engine")?;
    tracing::warn!(
        reason = refused.map(|error| format!("{error:#}")),
        "no address space for a pool of plugin instances: calls are slower and {FEW_CALLS} run at once"
    );
    Ok((engine, Room::Little, FEW_CALLS))
}

/// An engine without a pool: the compiler's, for which there must be no more address space than compiling takes. What
/// it compiles, an engine with a pool runs.
pub(super) fn on_demand(cpu: Cpu, room: Room) -> wasmtime::Result<Engine> {
    Engine::new(config(cpu, room)?.allocation_strategy(InstanceAllocationStrategy::OnDemand))
}

/// All that tells whether code that was compiled for such an engine runs on another, as a digest.
fn configuration(cpu: Cpu, room: Room) -> anyhow::Result<[u8; 32]> {
    let engine = on_demand(cpu, room).map_err(convert)?;
    let mut digest = Fingerprint(Sha256::new());
    (env!("CARGO_PKG_VERSION"), engine.precompile_compatibility_hash()).hash(&mut digest);
    Ok(digest.0.finalize().into())
}

/// Takes what is hashed into a digest: the hashers of the standard library promise nothing from one version to the next.
struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Not what this is for: nobody asks.
    fn finish(&self) -> u64 {
        0
    }
}

fn convert(error: wasmtime::Error) -> anyhow::Error {
    anyhow::Error::from_boxed(error.into_boxed_dyn_error())
}

/// What decides which code is compiled: the same for whoever compiles it and whoever runs it.
fn config(cpu: Cpu, room: Room) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(STACK)
        .async_stack_size(ASYNC_STACK)
        .wasm_component_model(true)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_backtrace_max_frames(None);
    if room == Room::Little {
        config
            .memory_reservation(Limit::Memory.usual().into())
            .memory_guard_size(64 << 10)
            .memory_reservation_for_growth(0);
    }
    if cpu == Cpu::Baseline {
        // Of a target that is named, nothing is assumed but what its architecture promises.
        config.target(&format!("{}-unknown-{}-gnu", consts::ARCH, consts::OS))?;
    }
    Ok(config)
}

fn pool(instances: u32, ceilings: &Allowance) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances * INSTANCES)
        .total_memories(instances * MEMORIES)
        .total_tables(instances * TABLES)
        .total_stacks(instances)
        .max_core_instances_per_component(INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_component_instance_size(4 << 20)
        .max_memory_size(ceilings.size(Limit::Memory))
        .table_elements(ceilings.size(Limit::TableElements))
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .async_stack_keep_resident(KEEP_RESIDENT)
        .max_unused_warm_slots(CALLS)
        // 48 takes a page that was swapped out for a clean one, and the next instance would read it.
        .pagemap_scan(Enabled::No);
    pool
}

/// What every plugin may import: the interfaces of `wit/` and the table of [`wasi`].
fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    bindings::Plugin::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::load::{INTERFACES, VERSION};

    /// Whether there is this function in this interface: the linker refuses to define one twice.
    fn has(linker: &Linker<State>, interface: &str, function: &str) -> bool {
        linker.clone().instance(interface).unwrap().func_wrap(function, |_, (): ()| Ok(())).is_err()
    }

    #[test]
    fn every_function_of_the_contract_is_linked() {
        let linker = linker(&on_demand(Cpu::Native, Room::Pool).unwrap()).unwrap();
        for (name, functions) in INTERFACES {
            let interface = format!("gatehost:check/{name}@{VERSION}");
            for function in *functions {
                let function = if *name == "pod" { format!("[method]pod.{function}") } else { (*function).to_owned() };
                assert!(has(&linker, &interface, &function), "{interface}.{function}");
            }
            assert!(!has(&linker, &interface, "no-such"), "{interface}");
        }
        assert!(has(&linker, "wasi:cli/exit@0.2.12", "exit") && !has(&linker, "wasi:cli/run@0.2.12", "run"));
    }

    fn hash(engine: &Engine) -> [u8; 32] {
        let mut digest = Fingerprint(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut digest);
        digest.0.finalize().into()
    }

    #[test]
    fn the_compiler_compiles_for_the_engine_that_runs() {
        let (pooling, room, _) = engine(&Allowance::ceilings(&crate::check::Limits::default())).unwrap();
        assert_eq!(room, Room::Pool);
        assert_eq!(hash(&pooling), hash(&on_demand(Cpu::Native, room).unwrap()));
        let [native, baseline] = [Cpu::Native, Cpu::Baseline].map(|cpu| configuration(cpu, room).unwrap());
        assert_ne!(native, baseline);
        assert_ne!(native, configuration(Cpu::Native, Room::Little).unwrap());
        assert_eq!(native, configuration(Cpu::Native, room).unwrap());
    }
}
