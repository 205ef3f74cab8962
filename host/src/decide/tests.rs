//! What answers make of a gate, case by case.

use std::time::Duration;

use super::{identity::Past, *};
use crate::check::{OnFault, Policy};

const FRESH: Past = Past { verdict: false, void: false, was_true: false };
const JUDGED: Past = Past { verdict: true, void: false, was_true: true };
const HIDDEN: Past = Past { verdict: false, void: false, was_true: true };
const VOID: Past = Past { verdict: false, void: true, was_true: true };

/// A gate at an instant, with what stands on its pod.
struct Bed {
    memory: Memory,
    policy: Policy,
    standing: Option<Condition>,
    /// An override stands: nothing of what is decided is written.
    hidden: bool,
    seconds: u64,
}

impl Bed {
    fn new(past: Past, standing: Option<(Status, &str)>, policy: Policy) -> Self {
        let standing = standing.map(|(status, reason)| Condition {
            status,
            reason: reason.into(),
            message: String::new(),
            last_transition: Some(0),
            observed_generation: None,
        });
        Self { memory: Memory::new(past), policy, standing, hidden: false, seconds: 1_000 }
    }

    fn now(&self) -> Now {
        let wall = 1_700_000_000_000 + i64::try_from(self.seconds).unwrap() * 1000;
        Now { mono: Duration::from_secs(self.seconds), wall }
    }

    /// An answer, `after` seconds; what should stand then, which is written.
    fn answer(&mut self, after: u64, answer: Result<Status, &str>) -> Option<(Status, String)> {
        self.tell(after, answer);
        self.opinion()
    }

    fn tell(&mut self, after: u64, answer: Result<Status, &str>) -> Duration {
        self.seconds += after;
        let verdict = |status| Verdict { status, reason: "Said".into(), message: String::new(), recheck_after: None };
        let fault = |reason: &str| Fault {
            kind: FaultKind::Trap,
            blame: Blame::Code,
            reason: reason.into(),
            message: "it broke".into(),
            retry_after: None,
        };
        let now = self.now();
        let standing = self.standing.as_ref();
        let asked = Asked { policy: &self.policy, standing, spread: 1.0, rises: false, generation: 3, now };
        let wait = self.memory.take(answer.map(verdict).map_err(fault), &asked);
        if let Some(opinion) = self.memory.opinion.as_deref().filter(|_| !self.hidden) {
            self.standing = Some(opinion.clone());
            self.memory.wrote();
        }
        wait
    }

    fn opinion(&self) -> Option<(Status, String)> {
        self.memory.opinion.as_ref().map(|opinion| (opinion.status, opinion.reason.clone()))
    }

    fn message(&self) -> &str {
        &self.memory.opinion.as_ref().unwrap().message
    }
}

#[allow(clippy::unnecessary_wraps, reason = "it stands beside what may be nothing")]
fn said(status: Status) -> Option<(Status, String)> {
    Some((status, "Said".into()))
}

use Status::{False, True, Unknown};

#[test]
fn before_the_first_verdict_no_threshold_applies() {
    let policy = Policy { success_threshold: 3, ..Policy::default() };
    assert_eq!(Bed::new(FRESH, None, policy.clone()).answer(0, Ok(False)), said(False));
    assert_eq!(Bed::new(FRESH, None, policy.clone()).answer(0, Ok(True)), said(True));
    assert_eq!(Bed::new(VOID, Some((Unknown, "Restarted")), policy).answer(0, Ok(True)), said(True));
}

#[test]
fn a_true_gate_turns_after_three_failures_and_unknown_counts_as_unmet_does() {
    let mut bed = Bed::new(FRESH, None, Policy::default());
    assert_eq!(bed.answer(0, Ok(True)), said(True));
    assert_eq!(bed.answer(10, Ok(False)), said(True));
    assert_eq!(bed.answer(10, Ok(Unknown)), said(True));
    assert_eq!(bed.answer(10, Ok(False)), said(False));
    assert_eq!(bed.answer(10, Ok(Unknown)), said(Unknown), "among what is not True nothing is held back");
    assert_eq!(bed.answer(10, Ok(True)), said(True));
}

#[test]
fn a_success_in_between_begins_the_count_anew() {
    let mut bed = Bed::new(FRESH, None, Policy { failure_threshold: 2, ..Policy::default() });
    bed.answer(0, Ok(True));
    for _ in 0..4 {
        assert_eq!(bed.answer(10, Ok(False)), said(True));
        assert_eq!(bed.answer(10, Ok(True)), said(True));
    }
}

#[test]
fn answers_closer_together_than_the_period_count_once() {
    let mut bed = Bed::new(FRESH, None, Policy { failure_threshold: 2, ..Policy::default() });
    bed.answer(0, Ok(True));
    for _ in 0..10 {
        assert_eq!(bed.answer(1, Ok(False)), said(True), "the tenth comes 9 s after the first");
    }
    assert_eq!(bed.answer(1, Ok(False)), said(False));
}

#[test]
fn successes_are_counted_in_a_row() {
    let mut bed = Bed::new(FRESH, None, Policy { success_threshold: 3, ..Policy::default() });
    bed.answer(0, Ok(False));
    assert_eq!(bed.answer(1, Ok(True)), said(False));
    assert_eq!(bed.answer(1, Ok(True)), said(False));
    bed.answer(1, Ok(Unknown));
    assert_eq!(bed.answer(1, Ok(True)), said(Unknown));
    assert_eq!(bed.answer(1, Ok(True)), said(Unknown));
    assert_eq!(bed.answer(1, Ok(True)), said(True));
}

#[test]
fn a_host_that_has_just_begun_counts_from_nothing_and_leaves_what_stands() {
    let mut bed = Bed::new(JUDGED, Some((True, "Warm")), Policy::default());
    assert_eq!(bed.answer(0, Ok(False)), None);
    assert_eq!(bed.answer(10, Ok(False)), None);
    assert_eq!(bed.answer(10, Ok(False)), said(False));
}

#[test]
fn without_any_verdict_a_fault_is_unknown_and_a_first_answer_ends_it() {
    let mut bed = Bed::new(FRESH, None, Policy::default());
    assert_eq!(bed.answer(0, Err("Trap")), Some((Unknown, "NoVerdictYet".into())));
    assert_eq!(bed.message(), "since 2023-11-14T22:30:00Z: Trap: it broke; asked again within 30 s");
    assert_eq!(bed.answer(10, Ok(False)), said(False));
}

#[test]
fn after_a_restart_a_fault_is_unknown_too() {
    let mut bed = Bed::new(VOID, Some((True, "Warm")), Policy::default());
    assert_eq!(bed.answer(0, Err("Trap")), Some((Unknown, "Restarted".into())));
}

#[test]
fn faults_hold_a_verdict_and_say_so_once_they_last() {
    let mut bed = Bed::new(FRESH, None, Policy::default());
    bed.answer(0, Ok(True));
    assert_eq!(bed.answer(10, Err("Trap")), said(True), "one fault changes not even the text");
    assert_eq!(bed.answer(10, Err("Trap")), said(True));
    assert_eq!(bed.answer(10, Err("Trap")), Some((True, "FaultHeld".into())));
    assert!(bed.message().starts_with("since 2023-11-14T22:30:10Z: Trap: it broke; the last verdict stands"));
    bed.answer(3_600, Err("Trap"));
    assert_eq!(bed.opinion(), Some((True, "FaultHeld".into())), "for ever, unless maxStaleSeconds says otherwise");
}

#[test]
fn a_restarted_host_tells_since_when_as_the_one_before_did() {
    let policy = || Policy { failure_threshold: 1, ..Policy::default() };
    let mut before = Bed::new(FRESH, None, policy());
    before.answer(0, Ok(True));
    before.answer(10, Err("Trap"));
    let mut after = Bed::new(JUDGED, None, policy());
    (after.standing, after.seconds) = (before.standing.clone(), before.seconds);
    after.answer(500, Err("Trap"));
    assert_eq!(after.memory.opinion, before.memory.opinion);
    assert!(after.memory.is_stale(after.now()), "and knows how long it has been");
}

#[test]
fn a_held_condition_becomes_unknown_when_it_is_too_old_and_is_asked_about_just_then() {
    let mut bed = Bed::new(FRESH, None, Policy { max_stale: Some(Duration::from_secs(25)), ..Policy::default() });
    bed.answer(0, Ok(True));
    assert_eq!(bed.tell(10, Err("Trap")), Duration::from_secs(10));
    assert_eq!(bed.tell(10, Err("Trap")), Duration::from_secs(15));
    assert_eq!(bed.opinion(), said(True));
    assert_eq!(bed.answer(15, Err("Trap")), Some((Unknown, "Stale".into())));
    assert_eq!(bed.answer(10, Ok(True)), said(True));
}

#[test]
fn a_first_verdict_that_an_override_hides_becomes_too_old_as_one_that_stands() {
    let policy = Policy { max_stale: Some(Duration::from_secs(25)), ..Policy::default() };
    let mut bed = Bed { hidden: true, ..Bed::new(HIDDEN, Some((False, "Overridden")), policy) };
    assert_eq!(bed.answer(0, Ok(True)), said(True));
    assert_eq!(bed.tell(10, Err("Trap")), Duration::from_secs(10));
    assert_eq!(bed.tell(10, Err("Trap")), Duration::from_secs(15));
    assert_eq!(bed.opinion(), said(True), "until then it stays what it is");
    assert_eq!(bed.answer(15, Err("Trap")), Some((Unknown, "Stale".into())));
    assert_eq!(bed.answer(10, Ok(True)), said(True));
}

#[test]
fn a_first_verdict_that_is_written_late_is_as_old_as_its_faults() {
    for on_fault in [OnFault::Hold, OnFault::False, OnFault::Unknown] {
        let policy = Policy { on_fault, ..Policy::default() };
        let mut bed = Bed { hidden: true, ..Bed::new(HIDDEN, Some((False, "Overridden")), policy) };
        bed.answer(0, Ok(True));
        bed.answer(10, Err("Trap"));
        bed.hidden = false;
        assert_eq!(bed.answer(10, Err("Trap")), said(True), "and now it stands");
        for _ in 0..3 {
            bed.answer(10, Err("Trap"));
        }
        assert!(bed.message().starts_with("since 2023-11-14T22:30:10Z: "), "{}", bed.message());
        bed.seconds = 1_309;
        assert!(!bed.memory.is_stale(bed.now()));
        bed.seconds = 1_310;
        assert!(bed.memory.is_stale(bed.now()), "no verdict for 5 minutes");
    }
}

#[test]
fn a_first_true_that_an_override_hides_is_turned_by_the_faults_that_turn_one_that_stands() {
    for (on_fault, status) in [(OnFault::False, False), (OnFault::Unknown, Unknown)] {
        let policy = Policy { on_fault, ..Policy::default() };
        let mut bed = Bed { hidden: true, ..Bed::new(HIDDEN, Some((False, "Overridden")), policy) };
        assert_eq!(bed.answer(0, Ok(True)), said(True));
        assert_eq!(bed.answer(10, Err("Trap")), said(True));
        assert_eq!(bed.answer(5, Err("Trap")), said(True), "once a period");
        assert_eq!(bed.answer(5, Err("Trap")), said(True));
        assert_eq!(bed.answer(10, Err("Trap")), Some((status, "Trap".into())));
        assert_eq!(bed.answer(10, Ok(True)), said(True));
        assert_eq!(bed.answer(10, Err("Trap")), said(True), "the count begins anew");
    }
}

#[test]
fn on_fault_turns_the_gate_only_after_the_failure_threshold() {
    for (on_fault, status) in [(OnFault::False, False), (OnFault::Unknown, Unknown)] {
        let mut bed = Bed::new(FRESH, None, Policy { on_fault, ..Policy::default() });
        bed.answer(0, Ok(True));
        assert_eq!(bed.answer(10, Err("Trap")), said(True));
        assert_eq!(bed.answer(10, Err("Trap")), said(True));
        assert_eq!(bed.answer(10, Err("Trap")), Some((status, "Trap".into())));
        assert_eq!(bed.answer(10, Ok(True)), said(True));
    }
}

#[test]
fn faults_back_off_to_thirty_seconds_and_answers_never_do() {
    let second = Duration::from_secs(1);
    let mut bed = Bed::new(FRESH, None, Policy { period: second, ..Policy::default() });
    let waits: Vec<_> = (0..7).map(|_| bed.tell(1, Err("Trap")).as_secs()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    for status in [False, Unknown, False] {
        assert_eq!(bed.tell(1, Ok(status)), second);
    }
    let mut slow = Bed::new(FRESH, None, Policy { period: 60 * second, ..Policy::default() });
    assert_eq!(slow.tell(0, Err("Trap")), 30 * second, "a fault is no answer that a long period could wait on");
}

#[test]
fn a_restart_makes_a_verdict_void_and_nothing_void_of_nothing() {
    let mut bed = Bed::new(FRESH, None, Policy::default());
    assert!(!bed.memory.renew());
    bed.answer(0, Ok(True));
    assert!(bed.memory.renew() && bed.memory.is_void() && bed.memory.opinion.is_none());
    assert_eq!(bed.answer(1, Ok(False)), said(False), "no threshold protects what is void");
}

#[test]
fn another_check_forgets_the_counters_and_keeps_the_thresholds() {
    let mut bed = Bed::new(FRESH, None, Policy { failure_threshold: 2, ..Policy::default() });
    bed.answer(0, Ok(True));
    bed.answer(10, Ok(False));
    bed.memory.forget(false);
    assert_eq!(bed.answer(10, Ok(False)), None);
    assert_eq!(bed.answer(10, Ok(False)), said(False));
}

#[test]
fn a_restarted_host_knows_since_when_there_are_only_faults_whatever_they_made_of_the_gate_before() {
    let mut before =
        Bed::new(FRESH, None, Policy { failure_threshold: 1, on_fault: OnFault::False, ..Policy::default() });
    before.answer(0, Ok(True));
    assert_eq!(before.answer(10, Err("Trap")), Some((False, "Trap".into())));
    let policy = Policy { max_stale: Some(Duration::from_mins(1)), ..Policy::default() };
    let mut after = Bed::new(JUDGED, None, policy);
    (after.standing, after.seconds) = (before.standing.clone(), before.seconds);
    assert_eq!(after.answer(60, Err("Trap")), Some((Unknown, "Stale".into())));
}
