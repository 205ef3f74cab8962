//! wasmtime alone: what the host's calls and loads are measured against.

use anyhow::{Context as _, Error};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    component::{Component, InstancePre, Linker, Val},
};

/// An engine with the settings of the host's: pooling, epochs, stacks of its own for guests.
pub(crate) fn engine() -> Result<Engine, Error> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(64)
        .total_core_instances(1024)
        .total_memories(64)
        .total_tables(256)
        .total_stacks(64)
        .max_memory_size(64 << 20)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(256 << 10)
        .async_stack_keep_resident(256 << 10)
        .pagemap_scan(Enabled::No);
    Engine::new(config().allocation_strategy(InstanceAllocationStrategy::Pooling(pool))).map_err(plain)
}

/// The same without a pool; it compiles for the other one as well.
pub(crate) fn on_demand() -> Result<Engine, Error> {
    Engine::new(config().allocation_strategy(InstanceAllocationStrategy::OnDemand)).map_err(plain)
}

fn config() -> Config {
    let mut config = Config::new();
    config.concurrency_support(false).epoch_interruption(true).max_wasm_stack(512 << 10).async_stack_size(1 << 20);
    config
}

/// Compiles a component and drops the code.
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<(), Error> {
    Component::from_binary(engine, bytes).map(drop).map_err(plain)
}

/// A component that does nothing, ready to be instantiated.
pub(crate) struct Empty {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Empty {
    /// One without, or with, a memory of one page.
    pub(crate) fn new(engine: &Engine, memory: bool) -> Result<Self, Error> {
        let component = Component::from_binary(engine, &bytes(memory)).map_err(plain)?;
        let pre = Linker::new(engine).instantiate_pre(&component).map_err(plain)?;
        Ok(Self { engine: engine.clone(), pre })
    }

    /// A fresh store, an instance, a call, on a stack of its own, as the host's calls have one.
    pub(crate) async fn call(&self) -> Result<(), Error> {
        let mut store = store(&self.engine);
        let instance = self.pre.instantiate_async(&mut store).await.map_err(plain)?;
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").map_err(plain)?;
        run.call_async(&mut store, ()).await.map_err(plain)
    }

    /// The same on the caller's stack.
    pub(crate) fn call_here(&self) -> Result<(), Error> {
        let mut store = store(&self.engine);
        let instance = self.pre.instantiate(&mut store).map_err(plain)?;
        let run = instance.get_typed_func::<(), ()>(&mut store, "run").map_err(plain)?;
        run.call(&mut store, ()).map_err(plain)
    }
}

/// A plugin without a host: it can only describe itself, since all that it imports traps.
pub(crate) struct Guest {
    engine: Engine,
    pre: InstancePre<()>,
}

impl Guest {
    pub(crate) fn new(engine: &Engine, bytes: &[u8]) -> Result<Self, Error> {
        let component = Component::from_binary(engine, bytes).map_err(plain)?;
        let mut linker = Linker::new(engine);
        linker.define_unknown_imports_as_traps(&component).map_err(plain)?;
        let pre = linker.instantiate_pre(&component).map_err(plain)?;
        Ok(Self { engine: engine.clone(), pre })
    }

    /// A fresh store, an instance, a call.
    pub(crate) async fn describe(&self) -> Result<(), Error> {
        let mut store = store(&self.engine);
        let instance = self.pre.instantiate_async(&mut store).await.map_err(plain)?;
        let gate = instance.get_export_index(&mut store, None, "gatehost:check/gate@0.1.1");
        let describe = instance.get_export_index(&mut store, gate.as_ref(), "describe").context("no describe")?;
        let describe = instance.get_func(&mut store, describe).context("describe is no function")?;
        describe.call_async(&mut store, &[], &mut [Val::Bool(false)]).await.map_err(plain)
    }
}

/// Without limits.
fn store(engine: &Engine) -> Store<()> {
    let mut store = Store::new(engine, ());
    store.set_epoch_deadline(u64::MAX / 2);
    store
}

/// A component around a core module that exports one function, `run`, which returns at once.
fn bytes(memory: bool) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 0, 0]); // type: no parameter, no result
    section(&mut module, 3, &[1, 0]); // one function
    if memory {
        section(&mut module, 5, &[1, 0, 1]); // of at least one page
    }
    section(&mut module, 7, &[1, 3, b'r', b'u', b'n', 0, 0]); // export
    section(&mut module, 10, &[1, 2, 0, 0x0b]); // code: end
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut component, 1, &module);
    section(&mut component, 2, &[1, 0, 0, 0]); // an instance of it
    section(&mut component, 6, &[1, 0, 0, 1, 0, 3, b'r', b'u', b'n']); // its export
    section(&mut component, 7, &[1, 0x40, 0, 1, 0]); // type: no parameter, no result
    section(&mut component, 8, &[1, 0, 0, 0, 0, 0]); // lift
    section(&mut component, 11, &[1, 0, 3, b'r', b'u', b'n', 1, 0, 0]); // export
    component
}

/// All of them are shorter than 128 bytes, so that the size takes one.
fn section(out: &mut Vec<u8>, id: u8, content: &[u8]) {
    out.extend([id, u8::try_from(content.len()).unwrap_or(u8::MAX)]);
    out.extend(content);
}

fn plain(error: wasmtime::Error) -> Error {
    Error::from_boxed(error.into_boxed_dyn_error())
}
