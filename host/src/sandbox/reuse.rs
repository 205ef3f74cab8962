//! Instances that serve one call after the other, for checks that ask for it with `spec.instances: reuse`.
//!
//! What outlives a call is the guest's own memory and nothing of the host's: limits, deadline, clock, chance, handles
//! and what it may reach are each call's own.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::Store;

use super::{
    bindings,
    call::Code,
    limits::Allowance,
    state::{State, arm},
};
use crate::check::Reuse;

/// How many instances of one check wait for their next call: as many as its calls compute at once.
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
    waiting: Mutex<Vec<Spare>>,
}

struct Spare {
    instance: Instance,
    /// What it is an instance of: a plugin may be replaced meanwhile.
    code: Arc<Code>,
    namespace: String,
    since: Instant,
    _room: OwnedSemaphorePermit,
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
    pub(super) fn new(reuse: Reuse) -> Self {
        Self { reuse, waiting: Mutex::default() }
    }

    /// One that may serve a call about a pod of this namespace: the last that served one.
    pub(super) fn take(&self, code: &Arc<Code>, namespace: &str) -> Option<Instance> {
        let now = Instant::now();
        let may_serve = |spare: &Spare| self.reuse.across_namespaces || spare.namespace == namespace;
        let (taken, gone) = {
            let mut waiting = self.lock();
            let fits = |spare: &mut Spare| !Arc::ptr_eq(&spare.code, code) || now - spare.since > IDLE;
            let gone: Vec<_> = waiting.extract_if(.., fits).collect();
            let at = waiting.iter().rposition(may_serve);
            (at.map(|at| waiting.remove(at)), gone)
        };
        // Not under the lock: giving memory back takes the system a while.
        drop(gone);
        taken.map(|spare| spare.instance)
    }

    /// Takes one back that has answered with a verdict, if it may serve another call and there is room.
    pub(super) fn put(&self, mut instance: Instance, code: &Arc<Code>, namespace: String, room: &Arc<Semaphore>) {
        instance.calls += 1;
        let state = instance.store.data_mut();
        // What it left open it would find again, and the host would keep.
        let is_fit = instance.calls < self.reuse.max_calls
            && state.table.is_empty()
            && state.limiter.memory() <= self.reuse.max_memory as usize;
        if !is_fit {
            return;
        }
        state.rest();
        let (code, since) = (code.clone(), Instant::now());
        let oldest = {
            let mut waiting = self.lock();
            let oldest = if waiting.len() >= SPARES { Some(waiting.remove(0)) } else { None };
            if let Ok(room) = room.clone().try_acquire_owned() {
                waiting.push(Spare { instance, code, namespace, since, _room: room });
            }
            oldest
        };
        drop(oldest);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Spare>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
