//! What is remembered of a gate from one answer to the next, and what each answer makes of it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Condition, Fault, FaultKind, Now, Status, Verdict, identity,
    identity::Past,
    reason,
    sanitize::{self, MESSAGE_MAX},
};
use crate::{
    check::{OnFault, Policy},
    pod::Pod,
};

/// The longest wait after faults.
const MAX_FAULT_BACKOFF: Duration = Duration::from_secs(30);
/// The longest wait between two calls of a check that is in quarantine.
pub const MAX_QUARANTINE: Duration = Duration::from_mins(5);
/// How long there may be no verdict before people should hear of it.
const STALE_AFTER: Duration = Duration::from_mins(5);

/// What is remembered of a gate. It begins with what stands on the pod; counters begin at 0.
#[derive(Clone, Debug)]
pub struct Memory {
    /// What should stand; nothing where what stands should be left alone.
    pub opinion: Option<Arc<Condition>>,
    /// Whether the check in force has answered, with a verdict or a fault.
    pub answered: bool,
    /// The last answer, where it was a fault.
    pub fault: Option<Box<Fault>>,
    /// The opinion is what faults lead to, and not a verdict that is held through them.
    pub by_fault: bool,
    phase: Phase,
    successes: u32,
    failures: u32,
    /// When the last failure was counted.
    counted: Option<Duration>,
    faults: u32,
    faulty: Option<Faulty>,
    /// A verdict has been taken in: what stands tells nothing any more of since when there are faults.
    heard: bool,
}

/// How far it is with these containers and this IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No verdict has been decided.
    First,
    /// Nor here, but there was one for former containers or another IP.
    Void,
    /// There may have been one, and it counts no more: it was never written, or an override hides what it was.
    Unsure,
    /// One has been decided, and none has been written.
    Decided,
    /// One has been written: thresholds apply.
    Written,
}

/// Since when there were only faults.
#[derive(Clone, Copy, Debug)]
struct Faulty {
    /// In whole seconds of Unix time, as the condition tells it.
    since: i64,
    /// The instant of the first one that this process saw, and how long it had been so before.
    from: Duration,
    before: Duration,
}

/// What an answer is judged by.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The check's.
    pub policy: &'a Policy,
    /// What stands on the pod.
    pub standing: Option<&'a Condition>,
    /// What share of a wait after a fault is waited, 0.5 to 1: many gates fault at the same moment.
    pub spread: f64,
    /// A True is on its way to the pod, or never gets there: the check is only tried.
    pub rises: bool,
    /// The generation of the pod that was judged; 0 for none.
    pub generation: u64,
    /// The instant of the answer.
    pub now: Now,
}

impl Asked<'_> {
    /// Whether the pod's condition is True, or about to be.
    fn is_up(&self) -> bool {
        self.rises || self.standing.is_some_and(|standing| standing.status == Status::True)
    }
}

const NOTHING: Past = Past { verdict: false, void: false, was_true: false };

impl Memory {
    /// What a host that has just begun knows of a gate.
    pub fn new(past: Past) -> Self {
        Self {
            opinion: None,
            answered: false,
            fault: None,
            by_fault: false,
            phase: match past {
                Past { verdict: true, .. } => Phase::Written,
                Past { void: true, .. } => Phase::Void,
                Past { was_true: true, .. } => Phase::Unsure,
                Past { .. } => Phase::First,
            },
            successes: 0,
            failures: 0,
            counted: None,
            faults: 0,
            faulty: None,
            heard: false,
        }
    }

    /// No verdict has been decided for the containers and the IP that the pod has now: `startWhen` counts.
    pub fn waits(&self) -> bool {
        matches!(self.phase, Phase::First | Phase::Void)
    }

    /// No verdict counts: the first one is decided whatever the thresholds.
    fn is_fresh(&self) -> bool {
        self.waits() || self.phase == Phase::Unsure
    }

    /// There was a verdict, and a restart or a new IP made it void.
    pub fn is_void(&self) -> bool {
        self.phase == Phase::Void
    }

    /// Another check, or another generation of this one, answers from now on. A verdict that was not written yet, or
    /// that an override `hides`, counts no more.
    pub fn forget(&mut self, hides: bool) {
        let phase = match self.phase {
            Phase::Decided => Phase::Unsure,
            Phase::Written if hides => Phase::Unsure,
            phase => phase,
        };
        *self = Self { phase, heard: self.heard, ..Self::new(NOTHING) };
    }

    /// A container restarted or the IP is a new one. Whether there was a verdict that is void now.
    pub fn renew(&mut self) -> bool {
        let had = self.phase != Phase::First;
        *self = Self { heard: self.heard, ..Self::new(Past { void: had, ..NOTHING }) };
        had
    }

    /// The condition that was decided stands.
    pub fn wrote(&mut self) {
        if self.phase == Phase::Decided {
            self.phase = Phase::Written;
        }
    }

    /// The gate is not asked yet.
    pub fn wait(&mut self, pod: &Pod, policy: &Policy) {
        let (reason, message) = identity::waiting(policy, self.is_void());
        self.set(Status::Unknown, reason, message.into(), pod.generation);
    }

    /// The gate is asked at `at`, in Unix milliseconds, and not before.
    pub fn delay(&mut self, pod: &Pod, at: i64) {
        if !self.is_void() {
            self.set(Status::Unknown, reason::INITIAL_DELAY, format!("first asked at {}", time(at)), pod.generation);
        }
    }

    /// No check answers; `why` says which.
    pub fn unanswered(&mut self, pod: &Pod, why: &str) {
        self.set(Status::Unknown, reason::NO_CHECK, sanitize::text(why, MESSAGE_MAX), pod.generation);
    }

    /// Takes in an answer; how long until the gate is due again.
    pub fn take(&mut self, answer: Result<Verdict, Fault>, asked: &Asked<'_>) -> Duration {
        self.answered = true;
        match answer {
            Ok(verdict) => self.take_verdict(&verdict, asked),
            Err(fault) => self.take_fault(fault, asked),
        }
    }

    /// Whether a verdict says True and has been written; `standing` is what stands, if not by an override.
    pub fn is_true(&self, standing: Option<&Condition>) -> bool {
        self.in_force(standing) == Some(Status::True)
    }

    /// Whether there have been only faults for so long that people should hear of it.
    pub fn is_stale(&self, now: Now) -> bool {
        self.faulty.is_some_and(|faulty| faulty.elapsed(now) >= STALE_AFTER)
    }

    fn take_verdict(&mut self, verdict: &Verdict, asked: &Asked<'_>) -> Duration {
        (self.faults, self.faulty, self.fault, self.heard) = (0, None, None, true);
        if self.passes(verdict.status, asked) {
            (self.successes, self.failures, self.counted) = (0, 0, None);
            if self.is_fresh() {
                self.phase = Phase::Decided;
            }
            self.by_fault = false;
            self.set(verdict.status, &verdict.reason, verdict.message.clone(), asked.generation);
        }
        verdict.recheck_after.unwrap_or(asked.policy.period)
    }

    /// Whether an answer is enough to turn the gate, or turns nothing.
    fn passes(&mut self, status: Status, asked: &Asked<'_>) -> bool {
        match (self.in_force(asked.standing), status) {
            (None, _) | (Some(Status::True), Status::True) => true,
            // A True that was decided and does not stand is protected by nothing.
            (Some(Status::True), _) if !asked.is_up() => true,
            (Some(Status::True), _) => self.fails(asked),
            (Some(_), Status::True) => {
                self.successes = self.successes.saturating_add(1);
                self.successes >= asked.policy.success_threshold
            }
            (Some(_), _) => {
                self.successes = 0;
                true
            }
        }
    }

    /// Counts one failure, once a period; whether they are enough.
    fn fails(&mut self, asked: &Asked<'_>) -> bool {
        let now = asked.now.mono;
        if self.counted.is_none_or(|at| now >= at.saturating_add(asked.policy.period)) {
            self.counted = Some(now);
            self.failures = self.failures.saturating_add(1);
        }
        self.failures >= asked.policy.failure_threshold
    }

    /// The status that thresholds protect; none before the first verdict is written.
    fn in_force(&self, standing: Option<&Condition>) -> Option<Status> {
        let opinion = self.opinion.as_deref().or(standing).filter(|_| self.phase == Phase::Written);
        opinion.map(|condition| condition.status)
    }

    fn take_fault(&mut self, fault: Fault, asked: &Asked<'_>) -> Duration {
        self.faults = self.faults.saturating_add(1);
        let Asked { policy, standing, generation, now, .. } = *asked;
        let backoff = policy.period.saturating_mul(1 << self.faults.saturating_sub(1).min(16));
        let next = if fault.kind == FaultKind::Quarantined {
            format!("one of its gates is asked again within {} s", MAX_QUARANTINE.as_secs())
        } else {
            format!("asked again within {} s", MAX_FAULT_BACKOFF.as_secs())
        };
        let backoff = backoff.min(MAX_FAULT_BACKOFF).mul_f64(asked.spread.clamp(0.5, 1.0));
        let mut wait = fault.retry_after.unwrap_or(backoff).min(MAX_FAULT_BACKOFF);
        let told = standing.filter(|_| !self.heard);
        let tell = |memory: &mut Self, status, reason: &str, what: &str, last: &str| {
            let faulty = *memory.faulty.get_or_insert_with(|| Faulty::begin(told, &[reason], now));
            let said = format!("since {}: {what}; {last}{next}", time(faulty.since * 1000));
            memory.by_fault |= reason != reason::FAULT_HELD;
            memory.set(status, reason, sanitize::text(&said, MESSAGE_MAX), generation);
        };
        // Whatever `onFault` was then, there has been nothing but faults since.
        let told_by = [reason::FAULT_HELD, reason::STALE, reason::QUARANTINED, fault.reason.as_str()];
        let both = format!("{}: {}", fault.reason, fault.message);
        if self.is_fresh() {
            let reason = if self.phase == Phase::First { reason::NO_VERDICT_YET } else { reason::RESTARTED };
            tell(self, Status::Unknown, reason, &both, "");
        } else {
            // A verdict grows old whether or not it has been written: what hides it may end when it is too old.
            let elapsed = self.faulty.get_or_insert_with(|| Faulty::begin(told, &told_by, now)).elapsed(now);
            match (self.in_force(standing), policy.on_fault) {
                (held, OnFault::Hold) => match policy.max_stale {
                    Some(most) if elapsed >= most => {
                        tell(self, Status::Unknown, reason::STALE, &both, "the last verdict is too old; ");
                    }
                    most => {
                        if let Some(status) = held
                            && self.faults >= policy.failure_threshold
                        {
                            tell(self, status, reason::FAULT_HELD, &both, "the last verdict stands; ");
                        }
                        // Asked once more when it becomes too old.
                        wait = wait.min(most.map_or(wait, |most| most.saturating_sub(elapsed)));
                    }
                },
                (held, on_fault) => {
                    let to = if on_fault == OnFault::False { Status::False } else { Status::Unknown };
                    // A first True that is decided and not written yet is to faults as one that stands: what hides it
                    // may end when they are too many.
                    let hidden = held.is_none() && self.says(Status::True);
                    // It counts as an unmet answer does: it ends a row of met ones.
                    let turns = if hidden { self.fails(asked) } else { self.passes(to, asked) };
                    if turns {
                        tell(self, to, &fault.reason, &fault.message, "");
                    }
                }
            }
        }
        self.fault = Some(Box::new(fault));
        wait
    }

    /// Whether this is what should stand.
    fn says(&self, status: Status) -> bool {
        self.opinion.as_ref().is_some_and(|opinion| opinion.status == status)
    }

    fn set(&mut self, status: Status, reason: &str, message: String, generation: u64) {
        let condition = Condition {
            status,
            reason: reason.into(),
            message,
            last_transition: None,
            observed_generation: (generation > 0).then_some(generation),
        };
        if self.opinion.as_deref() != Some(&condition) {
            self.opinion = Some(Arc::new(condition));
        }
    }
}

impl Faulty {
    /// Since now, or since the time that a condition with one of these reasons tells, so that a restart of the host
    /// changes neither the text nor the age.
    fn begin(standing: Option<&Condition>, reasons: &[&str], now: Now) -> Self {
        let told = standing.filter(|standing| reasons.contains(&&*standing.reason)).and_then(|standing| {
            let (time, _) = standing.message.strip_prefix("since ")?.split_once(": ")?;
            time.parse::<Timestamp>().ok().map(Timestamp::as_second)
        });
        let current = now.wall.div_euclid(1000);
        let since = told.filter(|told| *told <= current).unwrap_or(current);
        let before = Duration::from_secs(u64::try_from(current - since).unwrap_or(0));
        Self { since, from: now.mono, before }
    }

    fn elapsed(self, now: Now) -> Duration {
        self.before + now.mono.saturating_sub(self.from)
    }
}

/// RFC 3339 in whole seconds.
fn time(millis: i64) -> String {
    Timestamp::from_second(millis.div_euclid(1000)).unwrap_or_default().to_string()
}
