//! Where the time of a call goes: whether its guest could have gone on, or waited for something.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use super::pace::Pace;
use crate::decide::{Blame, Fault, FaultKind};

/// What a call's task and whoever waits for it both look at. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Spent(Arc<Times>);

#[derive(Debug)]
struct Times {
    begin: Instant,
    /// How long it has waited, in nanoseconds, but for the wait that lasts.
    waited: AtomicU64,
    /// Since when it waits, in nanoseconds from `begin`; [`NOT`] while it does not.
    since: AtomicU64,
    /// It stopped of its own accord, to let others compute.
    yielded: AtomicBool,
}

/// It does not wait.
const NOT: u64 = u64::MAX;

impl Spent {
    /// The call begins, and waits: for a thread, a place and a turn.
    pub(super) fn new() -> Self {
        let (waited, since, yielded) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(Times { begin: Instant::now(), waited, since, yielded }))
    }

    /// The guest computes, and lets others do so: it does not wait for anything.
    pub(super) fn yields(&self) {
        self.0.yielded.store(true, SeqCst);
    }

    /// Runs the call's task. Whenever it stops without having yielded it waits: for its turn, for an answer from
    /// outside, in a sleep. How long it computes at a stretch is told to `pace`.
    pub(super) async fn watch<F: Future>(self, pace: Arc<Pace>, task: F) -> F::Output {
        let mut task = pin!(task);
        poll_fn(|cx| {
            self.goes_on();
            let stretch = pace.begin();
            let polled = task.as_mut().poll(cx);
            pace.end(stretch);
            if polled.is_pending() && !self.0.yielded.swap(false, SeqCst) {
                self.0.since.store(self.now(), SeqCst);
            }
            polled
        })
        .await
    }

    /// Whom a fault blames, where it is the sandbox that says so: a deadline that passed while the call waited for half
    /// of its time or more tells nothing of the code.
    pub(super) fn blame(&self, fault: &Fault) -> Blame {
        let waited = fault.kind == FaultKind::Deadline && 2 * self.waited() >= self.0.begin.elapsed();
        if waited { Blame::Nothing } else { fault.blame }
    }

    fn waited(&self) -> Duration {
        let since = self.0.since.load(SeqCst);
        let lasts = if since == NOT { 0 } else { self.now().saturating_sub(since) };
        Duration::from_nanos(self.0.waited.load(SeqCst).saturating_add(lasts))
    }

    fn goes_on(&self) {
        let since = self.0.since.swap(NOT, SeqCst);
        if since != NOT {
            self.0.waited.fetch_add(self.now().saturating_sub(since), SeqCst);
        }
    }

    fn now(&self) -> u64 {
        self.0.begin.elapsed().as_nanos().try_into().unwrap_or(NOT - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::time::sleep;

    use super::*;

    const SOME: Duration = Duration::from_millis(40);

    fn late(spent: &Spent) -> Blame {
        let (reason, message) = (String::new(), String::new());
        let fault = Fault { kind: FaultKind::Deadline, blame: Blame::Code, reason, message, retry_after: None };
        spent.blame(&fault)
    }

    #[tokio::test]
    async fn what_computes_is_to_blame_and_what_waits_is_not() {
        let spent = Spent::new();
        spent.clone().watch(Arc::default(), async { thread::sleep(SOME) }).await;
        assert_eq!(late(&spent), Blame::Code);
        let spent = Spent::new();
        spent.clone().watch(Arc::default(), sleep(SOME)).await;
        assert_eq!(late(&spent), Blame::Nothing);
    }

    #[tokio::test]
    async fn what_yields_does_not_wait() {
        let spent = Spent::new();
        let yielding = spent.clone();
        let task = async {
            let begin = Instant::now();
            while begin.elapsed() < SOME {
                yielding.yields();
                // Others are asked meanwhile, which takes its time.
                let others = poll_fn({
                    let mut first = true;
                    move |cx| {
                        cx.waker().wake_by_ref();
                        if std::mem::take(&mut first) { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
                    }
                });
                others.await;
            }
        };
        tokio::join!(spent.clone().watch(Arc::default(), task), async {
            for _ in 0..8 {
                thread::sleep(SOME / 8);
                tokio::task::yield_now().await;
            }
        });
        assert_eq!(late(&spent), Blame::Code);
    }

    #[tokio::test]
    async fn what_never_got_a_thread_or_still_waits_has_waited() {
        let spent = Spent::new();
        thread::sleep(SOME);
        assert_eq!(late(&spent), Blame::Nothing);
        let spent = Spent::new();
        let waiting = spent.clone().watch(Arc::default(), std::future::pending::<()>());
        assert!(tokio::time::timeout(SOME, waiting).await.is_err());
        assert_eq!(late(&spent), Blame::Nothing);
    }

    #[test]
    fn only_a_deadline_is_looked_into() {
        let spent = Spent::new();
        thread::sleep(SOME);
        let (reason, message) = (String::new(), String::new());
        let fault = Fault { kind: FaultKind::Trap, blame: Blame::Code, reason, message, retry_after: None };
        assert_eq!(spent.blame(&fault), Blame::Code);
    }
}
