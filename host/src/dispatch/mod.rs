//! Which gate is due, what is in flight, what is written when.
//!
//! [`Core`] is a state machine without async and without a clock: events and the time go in, actions come out, so
//! that every schedule can be tested. The driver around it runs the calls and the writes.

mod core;
mod driver;
mod fair;
mod gate;
mod view;
mod writes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    decide::{Condition, Fault, Verdict},
    pod::{Packed, Seen},
};

pub use self::{
    core::{Core, Options},
    driver::{Inputs, Observer, drive},
    view::GateView,
};

/// The two clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, since some start: all schedules are made of it.
    pub mono: Duration,
    /// Unix milliseconds: what conditions and plugins see.
    pub wall: i64,
}

/// One gate of one pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GateKey {
    /// The pod's uid.
    pub uid: Arc<str>,
    /// The condition type.
    pub gate: Arc<str>,
}

/// What dispatch needs to know of a check in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The check's name.
    pub check: Arc<str>,
    /// The generation in which the check, its config or its plugin last changed.
    pub generation: u64,
    /// How long after an answer the gate is due again.
    pub period: Duration,
}

/// The checks in force, by gate type.
pub type Rules = BTreeMap<Arc<str>, Rule>;

/// What happens to dispatch.
#[derive(Debug)]
pub enum Event {
    /// A list of all pods of one scope (a watch: of all namespaces, or of one) begins: what is not seen until
    /// [`Event::ListDone`] is gone.
    ListStarted(u32),
    /// A pod of that scope was listed, added or changed.
    Pod(u32, Box<Seen>),
    /// A pod is gone, by uid.
    Gone(Arc<str>),
    /// The list of that scope is complete.
    ListDone(u32),
    /// The checks in force changed.
    Rules(Rules),
    /// A call ended.
    Answered {
        /// [`Call::id`].
        id: u64,
        /// What came of it.
        answer: Result<Verdict, Fault>,
    },
    /// A write ended.
    Wrote {
        /// [`Patch::id`].
        id: u64,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands, as of this resource version where the server told one.
    Written(Option<u64>),
    /// The pod is gone or another one has its name: drop it.
    Replaced,
    /// Somebody refused it: an admission policy, RBAC, validation.
    Refused(String),
    /// It did not get through, or the server could not take it now; it may say when to come back.
    Failed {
        /// What happened.
        error: String,
        /// The server's `Retry-After`.
        retry_after: Option<Duration>,
    },
}

/// What dispatch wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask a plugin.
    Call(Call),
    /// Write conditions.
    Patch(Patch),
}

/// A call of a plugin's `evaluate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Names the call in [`Event::Answered`].
    pub id: u64,
    /// The gate that is asked about.
    pub key: GateKey,
    /// The check that answers it.
    pub check: Arc<str>,
    /// The check's generation: an answer from an older one is dropped.
    pub generation: u64,
    /// The pod as of now.
    pub pod: Packed,
    /// The instant of the call, in Unix milliseconds.
    pub now: i64,
    /// How long the gate was due before the call was let in.
    pub waited: Duration,
}

/// Conditions to write on one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Names the write in [`Event::Wrote`].
    pub id: u64,
    /// The pod's namespace.
    pub namespace: Arc<str>,
    /// The pod's name.
    pub name: Arc<str>,
    /// The pod's uid: the server refuses the write on any other pod.
    pub uid: Arc<str>,
    /// The conditions, by type.
    pub conditions: Vec<(Arc<str>, Condition)>,
}

/// Carries writes out: the cluster, or `dev`'s stand-in.
pub trait Writer: Clone + Send + Sync + 'static {
    /// Writes once, with a deadline of its own and without retries: the core decides when to try again.
    fn write(&self, patch: Patch) -> impl Future<Output = Outcome> + Send;
}
