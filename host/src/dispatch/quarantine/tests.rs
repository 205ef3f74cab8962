//! Each rule of the quarantine, obeyed and violated.

use super::*;
use crate::check::{Policy, Selection};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);

struct Bed {
    quarantine: Quarantine,
    rule: Rule,
    calls: u64,
}

fn key(n: usize) -> GateKey {
    GateKey { uid: format!("{n:02}").into(), gate: "example.com/a".into(), dry_run: false }
}

fn trap() -> Fault {
    let (reason, message) = ("Trap".to_owned(), "it broke".to_owned());
    Fault { kind: FaultKind::Trap, blame: Blame::Code, reason, message, retry_after: None }
}

impl Bed {
    fn new() -> Self {
        let (select, policy) = (Selection::default(), Policy::default());
        let rule = Rule { check: "a".into(), generation: 1, select, policy, memory: None };
        Self { quarantine: Quarantine::default(), rule, calls: 0 }
    }

    /// A call of this gate that is admitted; its id.
    fn call(&mut self, gate: usize, now: Duration) -> Option<u64> {
        self.calls += 1;
        self.quarantine.admit(&self.rule, &key(gate), self.calls, now).ok().map(|()| self.calls)
    }

    fn end(&mut self, id: u64, gate: usize, blame: Blame, now: Duration) -> Effect {
        self.quarantine.ended((id, &key(gate)), &self.rule, blame, (now, 1.0))
    }

    fn ask(&mut self, gate: usize, blame: Blame, now: Duration) -> Effect {
        let id = self.call(gate, now).unwrap_or_else(|| panic!("gate {gate} is not asked at {now:?}"));
        self.end(id, gate, blame, now)
    }

    /// In quarantine since 0 s, for faults of the gates 0, 1 and 2.
    fn held() -> Self {
        let mut bed = Self::new();
        let effects: Vec<_> = (0..10).map(|n| bed.ask(n % 3, Blame::Code, Duration::ZERO)).collect();
        assert_eq!(effects[9], Effect::Enough(3));
        assert!(effects[..9].iter().all(|effect| *effect == Effect::None));
        assert_eq!(bed.quarantine.begin("a", &trap(), Duration::ZERO, 1.0), SECOND);
        bed
    }
}

#[test]
fn only_faults_of_the_code_count_and_any_answer_ends_the_row() {
    let mut bed = Bed::new();
    for n in 0..100 {
        assert_eq!(bed.ask(n % 7, Blame::Nothing, Duration::ZERO), Effect::None);
    }
    for _ in 0..3 {
        for n in 0..9 {
            assert_eq!(bed.ask(n, Blame::Code, Duration::ZERO), Effect::None);
        }
        assert_eq!(bed.ask(0, Blame::Answer, Duration::ZERO), Effect::None);
    }
    for n in 0..9 {
        assert_eq!(bed.ask(n, Blame::Code, Duration::ZERO), Effect::None);
    }
    assert_eq!(bed.ask(0, Blame::Nothing, Duration::ZERO), Effect::None, "it ends no row either");
    assert_eq!(bed.ask(0, Blame::Code, Duration::ZERO), Effect::Enough(9));
}

#[test]
fn of_how_many_gates_the_faults_are_is_told() {
    let mut bed = Bed::new();
    let effects: Vec<_> = (0..40).map(|n| bed.ask(n % 2, Blame::Code, Duration::ZERO)).collect();
    assert_eq!(effects.last(), Some(&Effect::Enough(2)));
    assert_eq!(bed.ask(2, Blame::Code, Duration::ZERO), Effect::Enough(3));
}

#[test]
fn a_check_is_called_by_one_call_at_a_time_and_no_sooner_than_its_backoff() {
    let mut bed = Bed::held();
    let mut now = Duration::ZERO;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        let wait = Duration::from_secs(wait);
        assert_eq!(bed.call(5, now + wait.saturating_sub(Duration::from_millis(1))), None, "before {wait:?}");
        now += wait;
        let id = bed.call(5, now).unwrap();
        assert_eq!(bed.call(6, now + MINUTE), None, "a second one at once");
        now += MINUTE;
        let next = now + (2 * wait).min(MAX_QUARANTINE);
        assert_eq!(bed.end(id, 5, Blame::Code, now), Effect::Wait(next));
    }
}

#[test]
fn a_call_that_tells_nothing_of_the_code_is_made_again_after_the_same_wait() {
    let mut bed = Bed::held();
    assert_eq!(bed.ask(0, Blame::Nothing, SECOND), Effect::Wait(2 * SECOND));
    assert_eq!(bed.ask(0, Blame::Nothing, 2 * SECOND), Effect::Wait(3 * SECOND));
    assert_eq!(bed.ask(0, Blame::Code, 3 * SECOND), Effect::Wait(5 * SECOND));
}

#[test]
fn a_call_from_before_makes_no_wait_longer_and_its_answer_counts() {
    let mut bed = Bed::new();
    let early = [7, 8].map(|gate| (bed.call(gate, Duration::ZERO).unwrap(), gate));
    for n in 0..10 {
        bed.ask(n, Blame::Code, Duration::ZERO);
    }
    bed.quarantine.begin("a", &trap(), Duration::ZERO, 1.0);
    assert_eq!(bed.end(early[0].0, 7, Blame::Code, Duration::ZERO), Effect::None);
    let id = bed.call(3, SECOND).unwrap();
    assert!(matches!(bed.end(early[1].0, 8, Blame::Answer, SECOND), Effect::Released(_)));
    assert_eq!(bed.end(id, 3, Blame::Code, SECOND), Effect::None, "the first of another row");
}

#[test]
fn one_answer_releases_all_that_came_due_and_the_next_row_begins_at_nothing() {
    let mut bed = Bed::held();
    assert!(bed.quarantine.fault("a").is_some() && bed.call(4, Duration::ZERO).is_none());
    let released = bed.ask(4, Blame::Answer, SECOND);
    assert_eq!(released, Effect::Released(vec![key(0), key(1), key(2), key(4)]));
    assert!(bed.quarantine.fault("a").is_none());
    assert_eq!(bed.ask(4, Blame::Code, SECOND), Effect::None);
}

#[test]
fn what_is_spared_gets_the_same_fault_for_as_long_as_it_lasts_and_no_word_about_another_pod() {
    let mut bed = Bed::held();
    let fault = bed.quarantine.admit(&bed.rule, &key(0), 99, Duration::ZERO).unwrap_err();
    assert_eq!(
        (fault.kind, fault.blame, fault.reason.as_str()),
        (FaultKind::Quarantined, Blame::Nothing, "Quarantined")
    );
    assert!(fault.message.ends_with(" (Trap)") && fault.retry_after.is_none(), "{}", fault.message);
    bed.ask(0, Blame::Code, SECOND);
    assert_eq!(bed.quarantine.admit(&bed.rule, &key(0), 99, SECOND).unwrap_err(), fault);
    // Only the gate itself hears what the plugin said there, and hears it for as long.
    let own = here(fault.clone(), Some(&trap()));
    assert!(own.message.ends_with(" (Trap); here: Trap: it broke"), "{}", own.message);
    assert_eq!((here(fault.clone(), Some(&own)), here(fault.clone(), None)), (own, fault.clone()));
    let unreachable = Fault { blame: Blame::Answer, ..trap() };
    assert_eq!(here(fault.clone(), Some(&unreachable)), fault);
}

#[test]
fn gates_that_have_not_been_tried_go_first_and_then_each_in_turn() {
    let mut bed = Bed::held();
    for gate in [5, 1, 4] {
        assert_eq!(bed.call(gate, Duration::ZERO), None);
    }
    let (mut now, mut order) = (Duration::ZERO, Vec::new());
    assert_eq!(bed.quarantine.candidate("a", now), None, "not yet");
    for _ in 0..7 {
        now += MAX_QUARANTINE;
        let next = bed.quarantine.candidate("a", now).unwrap();
        let gate = next.uid.parse().unwrap();
        order.push(gate);
        bed.ask(gate, Blame::Code, now);
        assert_eq!(bed.quarantine.candidate("a", now), None);
    }
    assert_eq!(order, [4, 5, 0, 1, 2, 4, 5]);
    bed.quarantine.pass_over("a", &key(0));
    assert_eq!(bed.quarantine.candidate("a", now + MAX_QUARANTINE), Some(key(1)));
}

#[test]
fn another_version_is_asked_at_once() {
    let mut bed = Bed::held();
    assert_eq!(bed.quarantine.keep(|_, generation| generation == 1), []);
    assert_eq!(bed.call(0, Duration::ZERO), None);
    bed.rule.generation = 2;
    assert!(bed.call(0, Duration::ZERO).is_some());
    let gone = bed.quarantine.keep(|check, generation| (check, generation) == ("a", 2));
    assert_eq!(gone, [("a".into(), vec![key(0), key(1), key(2)])]);
    assert!(bed.quarantine.fault("a").is_none());
    // A row that was too short for anybody to notice ends with its version as well.
    let mut bed = Bed::new();
    for n in 0..9 {
        bed.ask(n, Blame::Code, Duration::ZERO);
    }
    bed.rule.generation = 2;
    assert_eq!(bed.ask(0, Blame::Code, Duration::ZERO), Effect::None);
}
