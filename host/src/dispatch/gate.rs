//! What the host remembers of a pod and of each of its gates.

use std::{sync::Arc, time::Duration};

use super::Now;
use crate::{
    decide::{Condition, Fault, Status},
    pod::{Packed, Pod},
};

/// Changes of a pod are answered at once up to this many in a row ...
const BURST: u32 = 5;
/// ... and then once in this time.
const REFILL: Duration = Duration::from_secs(1);
/// A change of reason, message or observedGeneration alone is written at most once in this time for a gate.
const TEXT_EVERY: Duration = Duration::from_mins(5);
/// A status that somebody else changed is set right at most once in this time for a gate.
const CONTEST_EVERY: Duration = Duration::from_secs(10);

/// A gated pod.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) uid: Arc<str>,
    pub(super) packed: Packed,
    /// Which watch it came from, and in which of that watch's lists it was last seen.
    pub(super) scope: u32,
    pub(super) list: u32,
    /// The resource versions of what is held and of our last write; 0 where unknown.
    pub(super) version: u64,
    pub(super) written: u64,
    pub(super) generation: u64,
    /// A digest of what makes gates due.
    pub(super) digest: u64,
    pub(super) gates: Box<[Gate]>,
    pub(super) write: Write,
}

/// The state of a pod's writes: one in flight at a time, which carries all that its gates need.
#[derive(Debug, Default)]
pub(super) struct Write {
    pub(super) in_flight: bool,
    pub(super) queued: Option<Urgency>,
    pub(super) failures: u32,
    pub(super) not_before: Duration,
    pub(super) timer: Option<Duration>,
}

/// How soon a write is due. A status goes before any text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    Status,
    Text,
}

/// One gate.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) kind: Arc<str>,
    pub(super) state: State,
    /// When its timer is set for; the timer itself is in the core.
    pub(super) timer: Option<Duration>,
    /// The pod changed since the last call began: the next call answers that and is charged for it.
    pub(super) changed: bool,
    /// When the bucket of pod changes will be full again.
    pub(super) bucket: Duration,
    /// Faults in a row, and the last one where the last answer was one.
    pub(super) faults: u32,
    pub(super) fault: Option<Box<Fault>>,
    /// What stands on the pod as far as is known: from the watch or from our own write, whichever is newer.
    pub(super) standing: Option<Arc<Condition>>,
    /// What the check in force decided last.
    pub(super) decided: Option<Arc<Condition>>,
    /// Whether the check in force has answered, with a verdict or a fault.
    pub(super) answered: bool,
    /// The status that was written last, for knowing a status that somebody else changed.
    pub(super) wrote: Option<Status>,
    pub(super) contest_after: Duration,
    pub(super) text_after: Duration,
}

/// Where a gate is on its way to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    /// Due since then, waiting to be let in.
    Waiting(Duration),
    /// The call of that id runs.
    Running(u64),
}

impl Gate {
    pub(super) fn new(kind: Arc<str>) -> Self {
        Self {
            kind,
            state: State::Idle,
            timer: None,
            changed: false,
            bucket: Duration::ZERO,
            faults: 0,
            fault: None,
            standing: None,
            decided: None,
            answered: false,
            wrote: None,
            contest_after: Duration::ZERO,
            text_after: Duration::ZERO,
        }
    }

    /// When a change of the pod may be answered.
    pub(super) fn change_allowed(&self) -> Duration {
        self.bucket.saturating_sub(REFILL * (BURST - 1))
    }

    /// Charges the call that begins for the change that it answers.
    pub(super) fn charge(&mut self, now: Duration) {
        if std::mem::take(&mut self.changed) {
            self.bucket = self.bucket.max(now) + REFILL;
        }
    }

    /// Forgets what another check, or another generation of this one, decided.
    pub(super) fn forget(&mut self) {
        self.decided = None;
        self.fault = None;
        self.faults = 0;
        self.answered = false;
    }

    /// What has to be written, and from when on.
    pub(super) fn need(&self) -> Option<(Urgency, Duration)> {
        let decided = self.decided.as_ref()?;
        match &self.standing {
            Some(standing) if standing.says_the_same(decided) => None,
            Some(standing) if standing.status == decided.status => Some((Urgency::Text, self.text_after)),
            _ if self.wrote == Some(decided.status) => Some((Urgency::Status, self.contest_after)),
            _ => Some((Urgency::Status, Duration::ZERO)),
        }
    }

    /// The condition to send now, if one is due, with the time of its transition.
    pub(super) fn send(&mut self, now: Now) -> Option<Condition> {
        let (urgency, from) = self.need()?;
        if from > now.mono {
            return None;
        }
        let decided = self.decided.as_ref()?;
        match urgency {
            Urgency::Status => {
                self.wrote = Some(decided.status);
                self.contest_after = now.mono + CONTEST_EVERY;
            }
            Urgency::Text => self.text_after = now.mono + TEXT_EVERY,
        }
        let last_transition = crate::decide::transition(decided.status, self.standing.as_deref(), now.wall);
        Some(Condition { last_transition, ..Condition::clone(decided) })
    }
}

impl Entry {
    /// Whether what was held is newer than `version`; where either is unknown it is not.
    pub(super) fn outdates(&self, version: u64) -> bool {
        version != 0 && version < self.version
    }

    /// Takes over what stands according to the watch, unless our own last write is newer.
    pub(super) fn read_standing(&mut self, pod: &Pod) {
        if self.version != 0 && self.version < self.written {
            return;
        }
        for gate in &mut self.gates {
            let standing = pod.condition(&gate.kind).and_then(Condition::read);
            let same = match (&gate.standing, &standing) {
                (Some(held), Some(read)) => **held == *read,
                (held, read) => held.is_none() == read.is_none(),
            };
            if !same {
                gate.standing = standing.map(Arc::new);
            }
        }
    }
}
