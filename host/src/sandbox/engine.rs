//! What all plugins of the process share: one engine, the guests' runtime, the ticker.

use std::{mem, sync::Arc, thread};

use anyhow::Context as _;
use tokio::{
    runtime::{self, Handle, Runtime},
    sync::Semaphore,
};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    component::{HasSelf, Linker},
};

use super::{
    bindings,
    call::State,
    limits::{ASYNC_STACK, Allowance, CALLS, INSTANCES, MEMORIES, PLACES, STACK, TABLES},
    lograte::LogRate,
    net::Net,
    ticker::Ticker,
    wasi::{self, Chance},
};
use crate::check::{Limit, Limits};

/// How much nicer guests and the compiler are than the host's own threads.
const NICE: i32 = 10;

/// How many files are compiled at once.
const COMPILES: usize = 2;

/// How many calls there are at once where the system grants little address space.
const FEW_CALLS: u32 = 8;

/// How many bytes of a memory, a table and a stack are kept and cleared after a call instead of given back.
const KEEP_RESIDENT: usize = 256 << 10;

/// All that a [`super::Sandbox`] holds.
pub(super) struct Shared {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) ticker: Ticker,
    pub(super) chance: Chance,
    /// As many permits as calls may compute at once.
    pub(super) turns: Arc<Semaphore>,
    /// As many permits as calls may go on computing for longer than a moment: fewer than there are threads.
    pub(super) long: Arc<Semaphore>,
    /// As many permits as instances may live at once.
    pub(super) places: Arc<Semaphore>,
    /// How many of them one check may have.
    pub(super) places_of_a_check: usize,
    /// What no call may exceed.
    pub(super) ceilings: Allowance,
    /// What of the output of calls that are for no check reaches the log.
    pub(super) log: LogRate,
    pub(super) net: Arc<Net>,
    /// Present until it is dropped.
    runtime: Option<Runtime>,
    guests: Handle,
}

impl Shared {
    pub(super) fn new(net: Net, ceilings: &Limits) -> anyhow::Result<Self> {
        let ceilings = Allowance::ceilings(ceilings);
        let (engine, places) = engine(&ceilings)?;
        let linker = linker(&engine).map_err(wasmtime::Error::into_boxed_dyn_error).map_err(anyhow::Error::from_boxed);
        let runtime = guests().context("cannot start the guests' runtime")?;
        Ok(Self {
            linker: linker.context("cannot link what plugins import")?,
            ticker: Ticker::start(engine.weak()).context("cannot start the epoch thread")?,
            chance: Chance::new(),
            turns: Arc::new(Semaphore::new(CALLS as usize)),
            long: Arc::new(Semaphore::new(workers() - 1)),
            places: Arc::new(Semaphore::new(places as usize)),
            places_of_a_check: (places as usize / 2).max(1),
            log: LogRate::new(ceilings.of(Limit::LogPerSecond)),
            ceilings,
            net: Arc::new(net),
            guests: runtime.handle().clone(),
            runtime: Some(runtime),
            engine,
        })
    }

    /// Where guests run, and the compiler, on threads where it may block.
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
fn workers() -> usize {
    thread::available_parallelism().map_or(2, Into::into).max(2)
}

/// The guests' own runtime, at a lower priority than the host's.
fn guests() -> std::io::Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .max_blocking_threads(COMPILES)
        .thread_name("guest")
        // A poll of a guest that spins lasts a whole tick, so new calls and timers are looked at after few of them.
        .global_queue_interval(2)
        .event_interval(4)
        .enable_all()
        .on_thread_start(|| {
            // On Linux a thread has its own niceness, and being nicer is always allowed; without it all still works.
            let _ = rustix::process::nice(NICE);
        })
        .build()
}

/// The engine, and for how many instances at once it has room.
fn engine(ceilings: &Allowance) -> anyhow::Result<(Engine, u32)> {
    let mut refused = None;
    for calls in [PLACES, CALLS, FEW_CALLS] {
        match Engine::new(config().allocation_strategy(InstanceAllocationStrategy::Pooling(pool(calls, ceilings)))) {
            Ok(engine) => return Ok((engine, calls)),
            Err(error) => refused = Some(error),
        }
    }
    // A small address space (`ulimit -v`): memories are reserved one by one and as large as they may become.
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
    config
        .memory_reservation(ceilings.of(Limit::Memory).into())
        .memory_guard_size(64 << 10)
        .memory_reservation_for_growth(0);
    let engine = Engine::new(&config)
        .map_err(|error| anyhow::Error::from_boxed(error.into_boxed_dyn_error()))
        .context("cannot start the WebAssembly engine")?;
    tracing::warn!(
        reason = refused.map(|error| format!("{error:#}")),
        "no address space for a pool of plugin instances: calls are slower and {FEW_CALLS} run at once"
    );
    Ok((engine, FEW_CALLS))
}

fn config() -> Config {
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
    config
}

fn pool(calls: u32, ceilings: &Allowance) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls * INSTANCES)
        .total_memories(calls * MEMORIES)
        .total_tables(calls * TABLES)
        .total_stacks(calls)
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
