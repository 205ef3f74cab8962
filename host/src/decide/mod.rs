//! From an answer to a condition. Pure: no async, no clock of its own.

use std::time::Duration;

pub mod overrides;
pub mod sanitize;

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

/// What an answer makes of a gate, judged on a pod of `generation` (0 for none): the condition that should stand, or
/// nothing where what stands should be left alone. A fault leaves any condition as it stands; only where none stands
/// does it become Unknown. The time of the transition is left open: it is the moment of the write.
pub fn decide(answer: &Result<Verdict, Fault>, stands: bool, generation: u64) -> Option<Condition> {
    let (status, reason, message) = match answer {
        Ok(verdict) => (verdict.status, &verdict.reason, &verdict.message),
        Err(_) if stands => return None,
        Err(fault) => (Status::Unknown, &fault.reason, &fault.message),
    };
    Some(Condition {
        status,
        reason: reason.clone(),
        message: message.clone(),
        last_transition: None,
        observed_generation: (generation > 0).then_some(generation),
    })
}

/// How long after an answer the gate is due again: after the answer's own time where it named one, after `period`
/// otherwise. Faults in a row (`faults`, this one included) double the period up to 30 s, or up to the period where
/// that is longer, because a plugin that cannot answer gains nothing from being asked as often.
pub fn due_after(answer: &Result<Verdict, Fault>, period: Duration, faults: u32) -> Duration {
    match answer {
        Ok(verdict) => verdict.recheck_after.unwrap_or(period),
        Err(fault) => fault.retry_after.unwrap_or_else(|| {
            let doubled = period.saturating_mul(1 << faults.saturating_sub(1).min(16));
            doubled.min(MAX_FAULT_BACKOFF.max(period))
        }),
    }
}

/// The longest wait after faults.
const MAX_FAULT_BACKOFF: Duration = Duration::from_secs(30);

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
mod tests {
    use super::*;

    fn fault(retry_after: Option<Duration>) -> Result<Verdict, Fault> {
        Err(Fault { kind: FaultKind::Trap, reason: "Trap".into(), message: "it trapped".into(), retry_after })
    }

    fn met() -> Verdict {
        Verdict { status: Status::True, reason: "Warm".into(), message: String::new(), recheck_after: None }
    }

    #[test]
    fn a_fault_leaves_what_stands_and_is_unknown_where_nothing_does() {
        assert_eq!(decide(&fault(None), true, 3), None);
        let made = decide(&fault(None), false, 3).unwrap();
        assert_eq!((made.status, made.reason.as_str(), made.observed_generation), (Status::Unknown, "Trap", Some(3)));
        assert_eq!(decide(&Ok(met()), true, 0).unwrap().observed_generation, None);
    }

    #[test]
    fn faults_back_off_to_thirty_seconds_and_answers_never_do() {
        let second = Duration::from_secs(1);
        let waits: Vec<u64> = (1..8).map(|n| due_after(&fault(None), second, n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(due_after(&fault(None), Duration::from_mins(1), 9), Duration::from_mins(1));
        assert_eq!(due_after(&fault(Some(second)), Duration::from_mins(1), 9), second);
        assert_eq!(due_after(&Ok(met()), second, 0), second);
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status_and_never_back() {
        let at = |ms| Condition { last_transition: Some(ms), ..decide(&Ok(met()), false, 0).unwrap() };
        assert_eq!(transition(Status::True, None, 7_654), Some(7_000));
        assert_eq!(transition(Status::True, Some(&at(5_000)), 7_654), None);
        assert_eq!(transition(Status::False, Some(&at(5_000)), 7_654), Some(7_000));
        assert_eq!(transition(Status::False, Some(&at(9_000)), 7_654), Some(9_000));
    }
}
