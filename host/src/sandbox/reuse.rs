//! Instances that serve one call after the other, for checks that ask for it with `spec.instances: reuse`.
//!
//! What outlives a call is the guest's own memory and nothing of the host's: limits, deadline, clock, chance, handles
//! and what it may reach are each call's own.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::sleep_until,
};
use wasmtime::Store;

use super::{
    bindings,
    call::Code,
    engine::workers,
    limits::Allowance,
    state::{State, arm},
};
use crate::check::Reuse;

/// How many instances of one check wait for their next call, where its calls do not compute more at once: those that wait
/// for an answer from outside have instances, too.
const SPARES: usize = 8;

/// How long one waits.
const IDLE: Duration = Duration::from_mins(5);

/// A store with a guest in it.
pub(super) struct Instance {
    pub(super) store: Store<State>,
    pub(super) plugin: bindings::Plugin,
    /// How many calls it has served.
    pub(super) calls: u32,
}

/// The instances of one check that wait for their next call.
pub(super) struct Spares {
    reuse: Reuse,
    waiting: Arc<Waiting<Idle>>,
    /// Lets those go that have waited for too long. It ends with this value.
    _sweep: JoinSet<()>,
}

struct Idle {
    instance: Instance,
    /// What it is an instance of: a plugin may be replaced meanwhile.
    code: Arc<Code>,
    namespace: String,
}

/// Those that wait, the oldest first.
struct Waiting<T> {
    most: usize,
    idle: Duration,
    spares: Mutex<Vec<Spare<T>>>,
    /// There is one again.
    filled: Notify,
}

struct Spare<T> {
    it: T,
    since: Instant,
    /// Its share of what all checks may keep.
    room: OwnedSemaphorePermit,
}

impl Instance {
    /// Ready for another call. What the guest's memory has grown to counts on.
    pub(super) fn renew(mut self, mut state: State, allowance: &Allowance, deadline: Instant) -> Self {
        mem::swap(&mut state.limiter, &mut self.store.data_mut().limiter);
        *self.store.data_mut() = state;
        arm(&mut self.store, allowance, deadline);
        self
    }
}

impl Spares {
    /// `guests` is where they are let go.
    pub(super) fn new(reuse: Reuse, guests: &Handle) -> Self {
        let waiting = Arc::new(Waiting::new(workers().max(SPARES), IDLE));
        let mut sweep = JoinSet::new();
        sweep.spawn_on(waiting.clone().sweep(), guests);
        Self { reuse, waiting, _sweep: sweep }
    }

    /// One that may serve a call about a pod of this namespace: the last that served one.
    pub(super) fn take(&self, code: &Arc<Code>, namespace: &str) -> Option<Instance> {
        let is_stale = |idle: &Idle| !Arc::ptr_eq(&idle.code, code);
        let may_serve = |idle: &Idle| self.reuse.across_namespaces || idle.namespace == namespace;
        self.waiting.take(Instant::now(), is_stale, may_serve).map(|idle| idle.instance)
    }

    /// Takes one back that has answered with a verdict, if it may serve another call and there is room.
    pub(super) fn put(&self, mut instance: Instance, code: &Arc<Code>, namespace: String, room: &Arc<Semaphore>) {
        instance.calls += 1;
        let state = instance.store.data_mut();
        // What it left open it would find again, and the host would keep.
        let is_fit = instance.calls < self.reuse.max_calls
            && state.table.is_empty()
            && state.limiter.memory() <= self.reuse.max_memory as usize;
        if is_fit {
            state.rest();
            self.waiting.put(Instant::now(), Idle { instance, code: code.clone(), namespace }, room);
        }
    }
}

/// What goes is given back after the lock, everywhere: that takes the system a while.
impl<T> Waiting<T> {
    fn new(most: usize, idle: Duration) -> Self {
        Self { most, idle, spares: Mutex::default(), filled: Notify::new() }
    }

    fn take(&self, now: Instant, is_stale: impl Fn(&T) -> bool, fits: impl Fn(&T) -> bool) -> Option<T> {
        let is_gone = |spare: &mut Spare<T>| is_stale(&spare.it) || self.end(spare) <= now;
        let (taken, gone) = {
            let mut spares = self.lock();
            let gone: Vec<_> = spares.extract_if(.., is_gone).collect();
            let at = spares.iter().rposition(|spare| fits(&spare.it));
            (at.map(|at| spares.remove(at)), gone)
        };
        drop(gone);
        taken.map(|spare| spare.it)
    }

    fn put(&self, since: Instant, it: T, room: &Arc<Semaphore>) {
        let gone = {
            let mut spares = self.lock();
            let oldest = (spares.len() >= self.most).then(|| spares.remove(0));
            let (oldest, room) = match oldest {
                Some(Spare { it, room, .. }) => (Some(it), Some(room)),
                None => (None, room.clone().try_acquire_owned().ok()),
            };
            match room {
                Some(room) => {
                    spares.push(Spare { it, since, room });
                    oldest
                }
                None => Some(it),
            }
        };
        drop(gone);
        self.filled.notify_one();
    }

    /// Lets those go that have waited for too long; when the next one has.
    fn expire(&self, now: Instant) -> Option<Instant> {
        let (gone, next) = {
            let mut spares = self.lock();
            let gone: Vec<_> = spares.extract_if(.., |spare| self.end(spare) <= now).collect();
            (gone, spares.first().map(|oldest| self.end(oldest)))
        };
        drop(gone);
        next
    }

    /// Never ends.
    async fn sweep(self: Arc<Self>) {
        loop {
            match self.expire(Instant::now()) {
                Some(next) => sleep_until(next.into()).await,
                None => self.filled.notified().await,
            }
        }
    }

    fn end(&self, spare: &Spare<T>) -> Instant {
        spare.since + self.idle
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Spare<T>>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    fn all(waiting: &Waiting<u32>) -> Vec<u32> {
        waiting.lock().iter().map(|spare| spare.it).collect()
    }

    #[test]
    fn no_more_wait_than_may_and_the_oldest_goes_first() {
        let (waiting, room, now) = (Waiting::new(3, IDLE), Arc::new(Semaphore::new(10)), Instant::now());
        (0..3).for_each(|it| waiting.put(now, it, &room));
        assert_eq!((all(&waiting), room.available_permits()), (vec![0, 1, 2], 7));
        waiting.put(now, 3, &room);
        assert_eq!((all(&waiting), room.available_permits()), (vec![1, 2, 3], 7));
    }

    #[test]
    fn no_more_wait_than_those_of_all_checks_may() {
        let (waiting, room, now) = (Waiting::new(3, IDLE), Arc::new(Semaphore::new(2)), Instant::now());
        (0..3).for_each(|it| waiting.put(now, it, &room));
        assert_eq!((all(&waiting), room.available_permits()), (vec![0, 1], 0));
        assert_eq!(waiting.take(now, |_| false, |_| true), Some(1));
        assert_eq!(room.available_permits(), 1);
        // Who may keep no more of its own hands the room on, also where nobody has any.
        let full = Waiting::new(1, IDLE);
        (4..6).for_each(|it| full.put(now, it, &room));
        assert_eq!((all(&full), room.available_permits()), (vec![5], 0));
    }

    #[test]
    fn one_is_taken_while_it_has_not_waited_for_too_long() {
        let (waiting, room, now) = (Waiting::new(3, IDLE), Arc::new(Semaphore::new(10)), Instant::now());
        waiting.put(now, 1, &room);
        waiting.put(now + Duration::from_secs(1), 2, &room);
        let last = now + IDLE.checked_sub(Duration::from_millis(1)).unwrap();
        assert_eq!(waiting.take(last, |_| false, |it| *it == 1), Some(1));
        assert_eq!(waiting.take(last + Duration::from_secs(2), |_| false, |_| true), None);
        assert_eq!((all(&waiting), room.available_permits()), (vec![], 10));
    }

    #[test]
    fn what_is_stale_goes_whoever_is_asked_for() {
        let (waiting, room, now) = (Waiting::new(3, IDLE), Arc::new(Semaphore::new(10)), Instant::now());
        (0..3).for_each(|it| waiting.put(now, it, &room));
        assert_eq!(waiting.take(now, |it| *it != 1, |it| *it == 2), None);
        assert_eq!(all(&waiting), [1]);
    }

    #[test]
    fn those_that_have_waited_for_too_long_expire_and_the_next_time_is_told() {
        let (waiting, room, now) = (Waiting::new(3, IDLE), Arc::new(Semaphore::new(10)), Instant::now());
        let second = Duration::from_secs(1);
        (0..3).for_each(|it| waiting.put(now + second * it, it, &room));
        assert_eq!(waiting.expire(now), Some(now + IDLE));
        assert_eq!(all(&waiting), [0, 1, 2]);
        assert_eq!(waiting.expire(now + second + IDLE), Some(now + 2 * second + IDLE));
        assert_eq!((all(&waiting), room.available_permits()), (vec![2], 9));
        assert_eq!(waiting.expire(now + 2 * second + IDLE), None);
    }

    #[tokio::test]
    async fn instances_of_a_check_that_is_never_asked_again_go_by_themselves() {
        let (waiting, room) = (Arc::new(Waiting::new(3, Duration::from_millis(20))), Arc::new(Semaphore::new(2)));
        let mut sweep = JoinSet::new();
        sweep.spawn(waiting.clone().sweep());
        for round in 0..3 {
            (0..2).for_each(|it| waiting.put(Instant::now(), it, &room));
            let both = timeout(Duration::from_secs(20), room.acquire_many(2)).await;
            assert!(both.is_ok(), "round {round}: {:?} stay", all(&waiting));
        }
    }
}
