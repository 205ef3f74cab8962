//! From an answer to a condition. Pure: no async, no clock of its own.

use std::time::Duration;

pub mod identity;
mod memory;
pub mod overrides;
pub mod reason;
pub mod sanitize;
#[cfg(test)]
mod tests;

pub use memory::{Asked, MAX_QUARANTINE, Memory};

/// The two clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic, since some start: all schedules are made of it.
    pub mono: Duration,
    /// Unix milliseconds: what conditions and plugins see.
    pub wall: i64,
}

/// A condition's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// The gate is open.
    True,
    /// It is not.
    False,
    /// Nobody can tell yet.
    Unknown,
}

impl Status {
    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a plugin answered, sanitised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub status: Status,
    /// For machines; matches the pattern of the API conventions.
    pub reason: String,
    /// For people; printable, at most 1 KiB.
    pub message: String,
    /// When to ask again instead of after the period; within 100 ms .. 1 h.
    pub recheck_after: Option<Duration>,
}

/// Why there is no answer. Never a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of fault.
    pub kind: FaultKind,
    /// What it tells of the plugin's code.
    pub blame: Blame,
    /// For machines; matches the pattern of the API conventions.
    pub reason: String,
    /// For people; printable, at most 1 KiB.
    pub message: String,
    /// When to try again instead of after the backoff; within 100 ms .. 1 h.
    pub retry_after: Option<Duration>,
}

/// What kept a plugin from answering. The kinds are the values of a metric's label: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FaultKind {
    /// The plugin said so: config.
    BadConfig,
    /// The plugin said so: not allowed.
    Denied,
    /// The plugin said so: something did not answer.
    Unreachable,
    /// The plugin said so: its own defect.
    Internal,
    /// The plugin said so, in its own word.
    Other,
    /// The deadline passed.
    Deadline,
    /// Memory, table, handle, stack or fuel limit.
    Limit,
    /// It trapped, panicked or called exit.
    Trap,
    /// Nobody was asked: the check is in quarantine.
    Quarantined,
}

/// What a fault tells of the plugin's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Blame {
    /// The code broke off: it trapped, broke the rules of the component model, ran into a limit, or computed until the
    /// deadline.
    Code,
    /// The code came to its end, and said itself that it has no answer.
    Answer,
    /// Nothing: the deadline passed while it waited, the host failed, or nobody was asked.
    Nothing,
}

/// A condition as the host writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `status`.
    pub status: Status,
    /// `reason`.
    pub reason: String,
    /// `message`.
    pub message: String,
    /// `lastTransitionTime` in Unix milliseconds, whole seconds; nothing keeps what stands.
    pub last_transition: Option<i64>,
    /// `observedGeneration`; nothing where the server sets no generation.
    pub observed_generation: Option<u64>,
}

impl Condition {
    /// Reads a condition that stands on a pod; nothing where its status is none of the three, which Kubernetes
    /// stores all the same and kubelet takes for "not ready".
    pub fn read(standing: &crate::pod::Condition) -> Option<Self> {
        let status = match standing.status.as_str() {
            "True" => Status::True,
            "False" => Status::False,
            "Unknown" => Status::Unknown,
            _ => return None,
        };
        Some(Self {
            status,
            reason: standing.reason.clone(),
            message: standing.message.clone(),
            last_transition: standing.last_transition,
            observed_generation: standing.observed_generation,
        })
    }

    /// Whether both say the same; when the status last changed is not compared.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.status == other.status
            && self.reason == other.reason
            && self.message == other.message
            && self.observed_generation == other.observed_generation
    }
}

/// The `lastTransitionTime` of a write at `now` over what stands, in Unix milliseconds of whole seconds: it moves if
/// and only if the status does, and never backwards, whatever the clock does.
pub fn transition(new: Status, standing: Option<&Condition>, now: i64) -> Option<i64> {
    let seconds = now - now.rem_euclid(1000);
    match standing {
        Some(old) if old.status == new => None,
        Some(old) => Some(old.last_transition.map_or(seconds, |before| before.max(seconds))),
        None => Some(seconds),
    }
}

#[cfg(test)]
mod transitions {
    use super::*;

    #[test]
    fn the_transition_time_moves_only_with_the_status_and_never_back() {
        let (reason, message) = (String::new(), String::new());
        let stands = Condition {
            status: Status::True,
            reason,
            message,
            last_transition: Some(5_000),
            observed_generation: None,
        };
        let later = Condition { last_transition: Some(9_000), ..stands.clone() };
        assert_eq!(transition(Status::True, None, 7_654), Some(7_000));
        assert_eq!(transition(Status::True, Some(&stands), 7_654), None);
        assert_eq!(transition(Status::False, Some(&stands), 7_654), Some(7_000));
        assert_eq!(transition(Status::False, Some(&later), 7_654), Some(9_000));
    }
}
