//! What the host remembers of a pod and of each of its gates.

use std::{sync::Arc, time::Duration};

use super::{GateKey, NoteKind, Now, Rule, reading::Reads};
use crate::{
    decide::{Condition, Memory, Status, identity::Past, reason},
    pod::Pod,
};

/// Changes of a pod are answered at once up to this many in a row ...
const BURST: u32 = 5;
/// ... and then once in this time.
const REFILL: Duration = Duration::from_secs(1);
/// A change of reason, message or observedGeneration alone is written at most once in this time for a gate.
const TEXT_EVERY: Duration = Duration::from_mins(5);
/// A status that somebody else changed is set right at most once in this time for a gate.
const CONTEST_EVERY: Duration = Duration::from_secs(10);
/// The time in which the damper counts.
const MINUTE: Duration = Duration::from_mins(1);

/// How soon a write is due. A status goes before any text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    Status,
    Text,
}

/// One gate.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(super) struct Gate {
    pub(super) kind: Arc<str>,
    /// It belongs to a dry-run check: nothing of it is written.
    pub(super) dry_run: bool,
    /// The check that answers it.
    pub(super) rule: Option<Arc<Rule>>,
    pub(super) state: State,
    /// When its timer is set for; the timer itself is in the core.
    pub(super) timer: Option<Duration>,
    /// The pod changed since the last call began: the next call answers that and is charged for it.
    pub(super) changed: bool,
    /// When the bucket of pod changes will be full again.
    pub(super) bucket: Duration,
    pub(super) memory: Memory,
    /// It is not asked until its pod changes: `startWhen` does not hold, or its True is the last word.
    pub(super) asleep: bool,
    /// A restart or a new IP made its True void, so that nothing holds what is decided instead.
    pub(super) released: bool,
    /// How often its verdicts became void: an answer from before is dropped.
    pub(super) epoch: u32,
    /// The digest of the pod that was judged last.
    pub(super) judged: u64,
    /// Whether it was True when that call began.
    pub(super) judged_true: bool,
    /// What stands on the pod as far as is known: from the watch or from our own write, whichever is newer.
    pub(super) standing: Option<Arc<Condition>>,
    /// The status of a write that is in flight, or whose end nobody knows.
    pub(super) sent: Option<Status>,
    /// It has been True, or may have been.
    pub(super) was_true: bool,
    /// The status that was written last, for knowing a status that somebody else changed.
    pub(super) wrote: Option<Status>,
    pub(super) contest_after: Duration,
    pub(super) text_after: Duration,
    pub(super) hold: Option<Hold>,
    /// What its last call read of the cluster's objects.
    pub(super) reads: Option<Arc<Reads>>,
    pub(super) rare: Option<Box<Rare>>,
}

/// What few gates need.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(super) struct Rare {
    /// When it turned from True lately.
    pub(super) flaps: Vec<Duration>,
    pub(super) over: Option<Over>,
    /// People have been told of it.
    pub(super) told_stale: bool,
    pub(super) told_contest: bool,
    pub(super) told_unanswered: bool,
    pub(super) told_hold: Option<NoteKind>,
    /// A dry-run check decides differently.
    pub(super) differs: bool,
    /// What its plugin keeps for it.
    pub(super) kept: Option<Arc<[u8]>>,
    /// When `startWhen` came to hold by the pod's word, and when the gate is first asked.
    pub(super) start: Option<(i64, Duration)>,
}

/// An override that counts.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) condition: Arc<Condition>,
    pub(super) until: Duration,
}

/// Why a gate that would turn from True does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// The pods of its scope are not all known yet.
    Unlisted,
    /// The budget of its owner is used up. What stands until then.
    Budget(Arc<Condition>),
    /// It turned too often. Until when, and what stands until then.
    Damper(Duration, Arc<Condition>),
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

/// What has to be written of a gate.
pub(super) struct Need {
    pub(super) urgency: Urgency,
    pub(super) from: Duration,
    pub(super) condition: Arc<Condition>,
    /// Bound to the version of the pod that was judged.
    pub(super) bound: bool,
}

impl Gate {
    pub(super) fn new(kind: Arc<str>, dry_run: bool, pod: &Pod) -> Self {
        let standing = pod.condition(&kind).and_then(Condition::read).map(Arc::new);
        let past = Past::read(pod, standing.as_deref());
        Self {
            kind,
            dry_run,
            rule: None,
            state: State::Idle,
            timer: None,
            changed: false,
            bucket: Duration::ZERO,
            memory: Memory::new(past),
            asleep: false,
            released: past.void,
            epoch: 0,
            judged: 0,
            judged_true: false,
            standing,
            sent: None,
            was_true: past.was_true,
            wrote: None,
            contest_after: Duration::ZERO,
            text_after: Duration::ZERO,
            hold: None,
            reads: None,
            rare: None,
        }
    }

    pub(super) fn key(&self, uid: &Arc<str>) -> GateKey {
        GateKey { uid: uid.clone(), gate: self.kind.clone(), dry_run: self.dry_run }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// When a change of the pod may be answered.
    pub(super) fn change_allowed(&self) -> Duration {
        self.bucket.saturating_sub(REFILL * (BURST - 1))
    }

    /// Charges the call that begins for the change that it answers; whether it does answer one.
    pub(super) fn charge(&mut self, now: Duration) -> bool {
        let changed = std::mem::take(&mut self.changed);
        if changed {
            self.bucket = self.bucket.max(now) + REFILL;
        }
        changed
    }

    /// Forgets what another check, or another generation of this one, decided.
    pub(super) fn forget(&mut self) {
        let hides = self.standing.as_ref().is_some_and(|standing| standing.reason == reason::OVERRIDDEN);
        self.memory.forget(hides);
        self.hold = None;
        self.judged = 0;
    }

    /// In `mode: bootstrap` a True that was written is the last word, whatever an override makes stand meanwhile.
    pub(super) fn is_done(&self) -> bool {
        let bootstrap = self.rule.as_ref().is_some_and(|rule| rule.policy.mode == crate::check::Mode::Bootstrap);
        let standing = self.standing.as_deref().filter(|standing| standing.reason != reason::OVERRIDDEN);
        bootstrap && self.memory.is_true(standing)
    }

    /// The status that stands.
    pub(super) fn status(&self) -> Option<Status> {
        self.standing.as_ref().map(|standing| standing.status)
    }

    /// Whether it had been True and is not now, or may not be for much longer.
    pub(super) fn is_lost(&self) -> bool {
        !self.dry_run
            && (self.was_true && self.status() != Some(Status::True)
                || self.sent.is_some_and(|sent| sent != Status::True && self.was_true))
    }

    /// What should stand: by override, else by the check, else, where nothing stands yet, that no check answers.
    pub(super) fn wanted(&self) -> Option<&Arc<Condition>> {
        let over = self.rare.as_ref().and_then(|rare| rare.over.as_ref());
        if let Some(over) = over.filter(|_| self.rule.is_some()) {
            return Some(&over.condition);
        }
        self.memory.opinion.as_ref().filter(|_| self.rule.is_some() || self.standing.is_none())
    }

    /// What has to be written, and from when on. `digest` is the pod's; a `wary` host turns a gate either way only on
    /// the pod as it is.
    pub(super) fn need(&self, digest: u64, wary: bool) -> Option<Need> {
        let wanted = self.wanted().filter(|_| !self.dry_run)?;
        let need = |urgency, from, condition: &Arc<Condition>, bound| {
            Some(Need { urgency, from, condition: condition.clone(), bound })
        };
        if let (Some(standing), true) = (&self.standing, self.turns_away(wanted.status)) {
            match &self.hold {
                Some(Hold::Unlisted) => return None,
                Some(Hold::Budget(held)) if standing.says_the_same(held) => return None,
                Some(Hold::Budget(held)) => return need(Urgency::Text, self.text_after, held, true),
                Some(Hold::Damper(until, held)) if !standing.says_the_same(held) && self.text_after < *until => {
                    return need(Urgency::Text, self.text_after, held, true);
                }
                Some(Hold::Damper(until, _)) => return need(Urgency::Status, *until, wanted, false),
                None => {}
            }
        }
        match &self.standing {
            Some(standing) if standing.says_the_same(wanted) => None,
            // Somebody else may have turned it meanwhile: a text must not turn it back to True.
            Some(standing) if standing.status == wanted.status => {
                need(Urgency::Text, self.text_after, wanted, wanted.status == Status::True)
            }
            _ if self.is_bound(wanted.status, wary) && !self.is_current(digest) => None,
            // Somebody else has turned it True since, on a pod that has changed: the next answer decides.
            _ if self.was_judged_away(wanted.status) && !self.judged_true && !self.is_current(digest) => None,
            _ => {
                let contested = self.wrote == Some(wanted.status);
                let from = if contested { self.contest_after } else { Duration::ZERO };
                need(Urgency::Status, from, wanted, self.is_bound(wanted.status, wary))
            }
        }
    }

    /// Whether a turn to `status` is bound to the pod that was judged.
    fn is_bound(&self, status: Status, wary: bool) -> bool {
        status == Status::True || wary && self.was_judged_away(status)
    }

    /// Whether an answer, and not the pod's own state, turns it from True.
    fn was_judged_away(&self, status: Status) -> bool {
        self.memory.answered && self.turns_away(status)
    }

    /// Whether what should stand was judged on the pod as it is now, as far as plugins can see.
    fn is_current(&self, digest: u64) -> bool {
        let overridden = self.wanted().is_some_and(|wanted| wanted.reason == reason::OVERRIDDEN);
        overridden || self.judged == digest || self.is_done()
    }

    /// Whether writing `status` would take the pod out of service although its verdict is not void.
    pub(super) fn turns_away(&self, status: Status) -> bool {
        self.status() == Some(Status::True) && status != Status::True && !self.released
    }

    /// Nothing holds it any more.
    pub(super) fn let_go(&mut self) {
        self.hold = None;
        if let Some(rare) = &mut self.rare {
            rare.told_hold = None;
        }
    }

    /// Until when the damper holds a gate that would turn from True now, if it does.
    pub(super) fn damped(&mut self, now: Duration) -> Option<Duration> {
        let most = self.rule.as_ref()?.policy.max_flaps as usize;
        let rare = self.rare.as_mut()?;
        rare.flaps.retain(|at| now < *at + MINUTE);
        let (count, first) = (rare.flaps.len(), rare.flaps.get(rare.flaps.len().checked_sub(most)?)?);
        (count >= most).then(|| *first + MINUTE)
    }

    /// Takes note of what is sent now; what has to be sent, with the time of its transition.
    pub(super) fn send(&mut self, need: &Need, now: Now) -> Condition {
        let condition = &need.condition;
        match need.urgency {
            Urgency::Status => {
                if self.turns_away(condition.status) {
                    self.rare().flaps.push(now.mono);
                }
                self.sent = Some(condition.status);
                self.contest_after = now.mono + CONTEST_EVERY;
            }
            Urgency::Text => self.text_after = now.mono + TEXT_EVERY,
        }
        let last_transition = crate::decide::transition(condition.status, self.standing.as_deref(), now.wall);
        Condition { last_transition, ..Condition::clone(condition) }
    }

    /// Takes over what stands now.
    pub(super) fn stand(&mut self, standing: Option<Condition>) {
        let same = match (&self.standing, &standing) {
            (Some(held), Some(new)) => **held == *new,
            (held, new) => held.is_none() == new.is_none(),
        };
        if !same {
            self.standing = standing.map(Arc::new);
        }
        let is_true = self.status() == Some(Status::True);
        self.was_true |= is_true;
        self.released &= is_true;
        let said = |opinion: &Arc<Condition>| self.status() == Some(opinion.status);
        if self.memory.opinion.as_ref().is_some_and(said) {
            self.memory.wrote();
        }
        // Whoever wrote it, it is what is wanted: the next turn is no fight.
        if self.wrote.is_some() && self.wanted().is_some_and(|wanted| Some(wanted.status) == self.status()) {
            self.wrote = self.status();
        }
    }
}
