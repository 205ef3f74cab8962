//! What `explain` says: the document of `-o json`, from which the text is made as well. Keys are added, never renamed
//! or taken away.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// One pod, explained. Times are RFC 3339 in UTC; what is not there is null.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) uid: String,
    pub(super) node: Option<String>,
    pub(super) phase: String,
    /// `metadata.generation`.
    pub(super) generation: u64,
    #[serde(serialize_with = "time")]
    pub(super) created: Option<i64>,
    /// Whether kubelet's `Ready` is True: the exit code.
    pub(super) ready: bool,
    /// What kubelet says.
    pub(super) kubelet: Kubelet,
    /// In the order of `spec.readinessGates`.
    pub(super) gates: Vec<Gate>,
    /// What is wrong, or has to be known to understand the rest. The pod's own first, then by gate.
    pub(super) findings: Vec<Finding>,
    /// The overrides of the pod's annotation that are in force.
    pub(super) overrides: Vec<Override>,
    /// The host's latest Events on the pod, oldest first.
    pub(super) events: Vec<Event>,
    /// What could not be read, such as budgets that the user may not list: the findings may be incomplete by that.
    pub(super) notes: Vec<String>,
}

/// The two conditions that kubelet makes.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kubelet {
    pub(super) ready: Option<Condition>,
    pub(super) containers_ready: Option<Condition>,
}

/// One readiness gate.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Gate {
    pub(super) r#type: String,
    /// It is not True, so kubelet does not make the pod Ready.
    pub(super) blocks: bool,
    /// Null where the pod has no condition of this type.
    pub(super) condition: Option<Condition>,
}

/// One condition as it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Condition {
    /// True, False or Unknown; the API server stores anything.
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
    /// When the status last changed.
    #[serde(serialize_with = "time")]
    pub(super) since: Option<i64>,
    pub(super) observed_generation: Option<u64>,
    /// The field manager that wrote the status.
    pub(super) writer: Option<String>,
}

/// One thing that is wrong, or has to be known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Finding {
    pub(super) kind: Kind,
    /// The condition type that it is about; null for the pod's own.
    pub(super) gate: Option<String>,
    /// What it is, in one line.
    pub(super) message: String,
    /// What to do about it, in one line.
    pub(super) next: String,
}

/// What a finding is. In JSON the word as it stands here; there may be more one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Kind {
    /// It is being deleted, or has run to its end.
    Ended,
    /// No node has it yet.
    NotScheduled,
    /// A container is not ready: gates alone do not help.
    ContainersNotReady,
    /// It has no readiness gates.
    NoGates,
    /// Containers and gates say one thing, `Ready` another.
    ReadyDisagrees,
    /// A budget keeps the pod from being evicted because it is not Ready.
    BlocksEviction,
    /// The API server evicts no pod that two budgets select.
    SeveralBudgets,
    /// The pod has a condition that no gate of it names.
    NoSuchGate,
    /// The gate has no condition.
    ConditionMissing,
    /// The gate is one of Kubernetes's own, which gatehost never writes.
    ReservedGate,
    /// The status is none of True, False and Unknown.
    InvalidStatus,
    /// The condition was judged on an older generation of the pod.
    StaleGeneration,
    /// An override in force that the condition does not follow.
    OverrideNotFollowed,
    /// An override that does not count.
    OverrideIgnored,
    /// The reasons of the host, see `reasons`.
    WaitingForContainers,
    /// As above.
    WaitingForSchedule,
    /// As above.
    InitialDelay,
    /// As above.
    NoVerdictYet,
    /// As above.
    NoCheck,
    /// As above.
    Restarted,
    /// As above.
    Stale,
    /// As above.
    FaultHeld,
    /// As above.
    HeldByBudget,
    /// As above.
    HeldByDamper,
    /// The check is not asked about this gate for now, whatever the reason says.
    Quarantined,
    /// As above.
    Overridden,
}

/// An override in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Override {
    pub(super) gate: String,
    pub(super) status: &'static str,
    #[serde(serialize_with = "time")]
    pub(super) until: Option<i64>,
    pub(super) reason: String,
}

/// One Event of the host.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    /// When it last happened.
    #[serde(serialize_with = "time")]
    pub(super) at: Option<i64>,
    /// Normal or Warning.
    pub(super) r#type: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) count: i32,
}

/// Unix milliseconds as RFC 3339; a time that it cannot write is null.
#[expect(clippy::ref_option, reason = "serde hands over a reference to the field")]
fn time<S: Serializer>(millis: &Option<i64>, to: S) -> Result<S::Ok, S::Error> {
    millis.and_then(rfc3339).serialize(to)
}

/// The same as text.
pub(super) fn rfc3339(millis: i64) -> Option<String> {
    Timestamp::from_millisecond(millis).ok().map(|time| time.to_string())
}
