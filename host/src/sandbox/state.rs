//! What a call works on: its state, in the only kind of store that there is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, task::yield_now};
use wasmtime::{Store, UpdateDeadline, component::ResourceTable};

use super::{
    bindings::gatehost::check::types,
    delivery::Deliveries,
    engine::Shared,
    limits::{Allowance, Exceeded, Limiter},
    memory::Kept,
    output::Output,
    reach::Reach,
    source::Reads,
    spent::Spent,
    ticker::TICK,
    turn::Turn,
    wasi::World,
};
use crate::check::Limit;

/// What the host functions of one call work on.
pub(super) struct State {
    pub(super) wasi: World,
    pub(super) table: ResourceTable,
    pub(super) now: u64,
    pub(super) output: Output,
    pub(super) reach: Reach,
    /// What it reads of the cluster's objects.
    pub(super) reads: Reads,
    pub(super) turn: Turn,
    /// Held while it goes on computing for longer than a moment, or is likely to.
    pub(super) long: Arc<Mutex<Turn>>,
    /// What was kept before the call, nothing where it is about no gate, ...
    pub(super) kept: Option<Kept>,
    /// ... and what is to be kept instead, if it ends with a verdict.
    pub(super) keep: Option<Arc<[u8]>>,
    pub(super) limiter: Limiter,
    pub(super) spent: Spent,
    /// The answers of other calls that its thread holds up while it computes.
    pub(super) deliveries: Arc<Deliveries>,
}

impl State {
    /// Waits for something outside, for this long; nothing where it took longer. Meanwhile others may compute.
    pub(super) async fn outside<T>(
        &mut self,
        time: Duration,
        work: impl Future<Output = T> + Send,
    ) -> wasmtime::Result<Option<T>> {
        let Self { reach, turn, long, .. } = self;
        long.lock().await.give_up();
        turn.give_up();
        let done = reach.wait(time, work).await;
        turn.take().await?;
        if reach.granted().is_some_and(|granted| granted.pace.is_slow()) {
            long.lock().await.take_among_all().await?;
        }
        Ok(done)
    }

    /// Lets go of all that is the call's: it is over, and its guest may serve another one.
    pub(super) fn rest(&mut self) {
        self.turn.give_up();
        // Nobody else has it while no guest runs.
        if let Ok(mut long) = self.long.try_lock() {
            long.give_up();
        }
        self.reach = Reach::nowhere();
        self.reads = Reads::default();
        (self.kept, self.keep) = (None, None);
    }
}

/// Types only: there is nothing to call.
impl types::Host for State {}

/// The only place where a store is made: what is not limited here or by [`arm`] is not limited.
pub(super) fn store(shared: &Shared, state: State, allowance: &Allowance, deadline: Instant) -> Store<State> {
    let mut store = Store::new(&shared.engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_max_component_handles(allowance.size(Limit::Handles));
    arm(&mut store, allowance, deadline);
    store
}

/// Gives a store what each call has anew.
pub(super) fn arm(store: &mut Store<State>, allowance: &Allowance, deadline: Instant) {
    store.set_hostcall_fuel(allowance.size(Limit::HostCall));
    store.set_epoch_deadline(1);
    let begin = Instant::now();
    store.epoch_deadline_callback(move |store| {
        let now = Instant::now();
        if now >= deadline {
            return Err(Exceeded::Deadline.into());
        }
        let State { long, spent, deliveries, .. } = store.data();
        spent.yields();
        if now.saturating_duration_since(begin) < TICK {
            deliveries.all();
            return Ok(UpdateDeadline::Yield(1));
        }
        deliveries.make_haste(now);
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(next_of_the_long(long.clone(), spent.clone()))))
    });
}

/// Lets others compute, and waits until one that has computed for a while may go on: there is always a thread that
/// none of them has, so that a call which takes a moment never waits for those that spin.
async fn next_of_the_long(long: Arc<Mutex<Turn>>, spent: Spent) {
    let mut long = long.lock().await;
    long.give_up();
    yield_now().await;
    // That other calls of its own check compute as long is the check's doing. It fails where the process ends.
    let _ = long.take_telling(|| spent.yields()).await;
}

/// An empty table of handles.
pub(super) fn table(allowance: &Allowance) -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(allowance.size(Limit::Handles));
    table
}
