//! Moves the engine's epoch while guests run, so that each is looked at every few milliseconds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use wasmtime::EngineWeak;

use super::delivery::Deliveries;

/// The time between two ticks: how late a guest that spins is noticed, and how long it runs before others may.
pub(super) const TICK: Duration = Duration::from_millis(5);

/// After how many ticks without a running call the thread goes to sleep. Waking it costs as much as a short call.
const IDLE_TICKS: u32 = 100;

/// An OS thread, not a task: a worker that is stuck cannot keep it from ticking. It sleeps while nothing runs and
/// ends with this value.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    over: AtomicBool,
}

/// While it lives, the epoch moves.
pub(super) struct Running<'a>(&'a Shared);

impl Ticker {
    /// It also looks after the answers that nobody hands over.
    pub(super) fn start(engine: EngineWeak, deliveries: Arc<Deliveries>) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new().name("epoch".into()).spawn({
            let shared = shared.clone();
            move || tick(&shared, &engine, &deliveries)
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Says that a call runs.
    pub(super) fn running(&self) -> Running<'_> {
        self.shared.running.fetch_add(1, SeqCst);
        if self.shared.asleep.load(SeqCst)
            && let Some(thread) = &self.thread
        {
            thread.thread().unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.over.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It waits in nothing but a park, so this takes no time; and it cannot have panicked.
            let _ = thread.join();
        }
    }
}

fn tick(shared: &Shared, engine: &EngineWeak, deliveries: &Deliveries) {
    let mut idle = 0;
    while !shared.over.load(SeqCst) {
        thread::park_timeout(TICK);
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        drop(engine);
        deliveries.overdue(Instant::now());
        idle = if shared.running.load(SeqCst) == 0 { idle + 1 } else { 0 };
        if idle >= IDLE_TICKS {
            shared.asleep.store(true, SeqCst);
            // A call that starts from here on sees `asleep` and wakes this thread; one that started before is seen.
            while shared.running.load(SeqCst) == 0 && !shared.over.load(SeqCst) {
                thread::park();
            }
            shared.asleep.store(false, SeqCst);
            idle = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait_for(shared: &Shared, asleep: bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while shared.asleep.load(SeqCst) != asleep {
            assert!(Instant::now() < end, "asleep never became {asleep}");
            thread::yield_now();
        }
    }

    #[test]
    fn the_ticker_sleeps_while_nothing_runs_and_wakes_for_a_call() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(engine.weak(), Arc::default()).unwrap();
        wait_for(&ticker.shared, true);
        let running = ticker.running();
        wait_for(&ticker.shared, false);
        drop(running);
        wait_for(&ticker.shared, true);
    }

    #[test]
    fn the_ticker_does_not_keep_the_engine() {
        let engine = wasmtime::Engine::default();
        let weak = engine.weak();
        let ticker = Ticker::start(engine.weak(), Arc::default()).unwrap();
        drop(engine);
        drop(ticker);
        assert!(weak.upgrade().is_none());
    }
}
