//! Which gate is due, what is in flight, what is written when.
//!
//! [`Core`] is a state machine without async and without a clock: events and the time go in, actions come out, so
//! that every schedule can be tested. The driver around it runs the calls and the writes.

mod agreement;
mod asking;
mod core;
mod driver;
mod entry;
mod fair;
mod flight;
mod gate;
mod keeping;
mod note;
mod overriding;
mod owners;
mod pace;
mod quarantine;
mod reading;
mod ruling;
mod sparing;
mod view;
mod writes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    check::{Policy, Selection},
    decide::{Condition, Fault, Status, Verdict},
    pod::{Packed, Seen},
    sandbox::{Kept, Read},
};

pub use self::{
    core::{Core, Options},
    driver::{Inputs, Observer, drive},
    view::{GateView, Tally},
};
pub use crate::decide::Now;

/// One gate of one pod, or what a dry-run check makes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GateKey {
    /// The pod's uid.
    pub uid: Arc<str>,
    /// The condition type.
    pub gate: Arc<str>,
    /// Whether the dry-run check of this gate is meant: nothing of it is written.
    pub dry_run: bool,
}

/// What dispatch needs to know of a check in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The check's name.
    pub check: Arc<str>,
    /// The generation in which the check, its config or its plugin last changed.
    pub generation: u64,
    /// Whose gates it answers.
    pub select: Selection,
    /// When its gates turn.
    pub policy: Policy,
    /// What its plugin says of the import `memory`: what was kept lasts over a new generation of the check that says the
    /// same.
    pub memory: Option<Arc<str>>,
}

/// The checks in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Whether the directories have been read: before that, nothing is known of what no check answers.
    pub scanned: bool,
    /// By gate type, those whose conditions are written.
    pub live: BTreeMap<Arc<str>, Arc<Rule>>,
    /// By gate type, those that are only asked.
    pub dry_run: BTreeMap<Arc<str>, Arc<Rule>>,
}

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
    /// A namespace has these labels, sorted by key.
    Namespace(Arc<str>, Vec<(String, String)>),
    /// A namespace is gone, after its pods.
    NamespaceGone(Arc<str>),
    /// The process stood still for seconds (it was stopped, or its machine was): what is known of the pods may be old,
    /// and whoever else decides may have gone on.
    Stalled,
    /// A call waits for an answer from outside.
    Outside {
        /// [`Call::id`].
        id: u64,
    },
    /// A call ended.
    Answered {
        /// [`Call::id`].
        id: u64,
        /// What came of it.
        answer: Result<Verdict, Fault>,
        /// What the plugin keeps for the gate from now on, where it said so.
        keep: Option<Arc<[u8]>>,
        /// What the plugin read of the cluster's objects.
        reads: Vec<Read>,
    },
    /// Views of objects have changed, by number, to these versions: who read an older one is due.
    ObjectsChanged(Vec<(u64, u64)>),
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
    /// The pod has changed since the version that the write was bound to; nothing was written.
    Conflict,
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
    /// Tell people.
    Note(Note),
    /// Count it: nothing has to be done.
    Spared(Spared),
}

/// A gate was due while its check is in quarantine: that was taken for a fault, and nobody is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spared {
    /// The gate.
    pub key: GateKey,
    /// The check that answers it.
    pub check: Arc<str>,
    /// The check's generation.
    pub generation: u64,
}

/// Something that people should hear of: in the log, as an Event on the pod, in a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The pod.
    pub namespace: Arc<str>,
    /// The pod.
    pub name: Arc<str>,
    /// The pod.
    pub uid: Arc<str>,
    /// The condition type, where it is about one.
    pub gate: Option<Arc<str>>,
    /// The check that answers it, where one does.
    pub check: Option<Arc<str>>,
    /// What happened.
    pub kind: NoteKind,
    /// In one printable line, at most 1 KiB.
    pub message: String,
}

/// What happened to a gate or a pod. The kinds are the values of a metric's label and the reasons of Events: a closed
/// set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NoteKind {
    /// A condition was written whose status differs from what stood: it is this now.
    Turned(Status),
    /// A fault of a kind that the gate's last answer was not.
    Fault,
    /// There has been no verdict for 5 minutes.
    Stale,
    /// Its check is called rarely from now on: the plugin broke off on one gate after the other.
    Quarantined,
    /// Its check is asked as ever again.
    QuarantineEnded,
    /// It would turn from True, and the disruption budget holds it.
    HeldByBudget,
    /// It would turn from True, and has done so too often in the last minute.
    HeldByDamper,
    /// Somebody else keeps writing its condition.
    Contested,
    /// A container restarted or the IP is a new one: the verdict is void.
    Restarted,
    /// An override begins to count.
    Overridden,
    /// An override has ended.
    OverrideEnded,
    /// An override does not count.
    OverrideRefused,
    /// No check answers the gate: there is none, or it does not select this pod.
    NotAnswered,
    /// A dry-run check would decide differently from now on.
    DryRunDiffers,
    /// For 30 s kubelet's Ready has not been what the containers and the gates make it.
    ReadyDisagrees,
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
    /// What the plugin kept for the gate.
    pub kept: Kept,
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
    /// The version of the pod that was judged, where a condition turns True: the server refuses the write on any later
    /// one.
    pub version: Option<u64>,
    /// The conditions, by type.
    pub conditions: Vec<(Arc<str>, Condition)>,
}

/// Carries writes out: the cluster, or `dev`'s stand-in.
pub trait Writer: Clone + Send + Sync + 'static {
    /// Writes once, with a deadline of its own and without retries: the core decides when to try again.
    fn write(&self, patch: Patch) -> impl Future<Output = Outcome> + Send;
}
