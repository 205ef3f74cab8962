//! Who is asked when many gates are due and some answers never come.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use gatehost::{
    check::{Policy, Selection, StartWhen},
    decide::{Status, Verdict},
    dispatch::{Action, Call, Core, Event, GateKey, Now, Options, Rule, Rules},
    pod::{Pod, Seen},
};

use super::{
    step::{Ending, Step},
    world::World,
};

/// Pods with one gate for each of some checks, and the calls that have begun and not ended.
struct Crowd {
    core: Core,
    now: Now,
    rules: Rules,
    calls: Vec<Call>,
}

impl Crowd {
    fn new(pods: usize, checks: &[&str]) -> Self {
        let now = Now { mono: Duration::from_secs(1), wall: 1_700_000_000_000 };
        let mut crowd = Self { core: Core::new(Options::default()), now, rules: Rules::default(), calls: Vec::new() };
        for check in checks {
            crowd.add(check);
        }
        for n in 0..pods {
            crowd.pod(n, checks);
        }
        crowd
    }

    fn add(&mut self, check: &str) {
        let (period, start_when) = (Duration::from_hours(1), StartWhen::Always);
        let policy = Policy { period, start_when, ..Policy::default() };
        let select = Selection::default();
        let rule = Rule { check: check.into(), generation: 1, select, policy, memory: None };
        self.rules.live.insert(format!("example.com/{check}").into(), rule.into());
        self.core.handle(Event::Rules(self.rules.clone()), self.now);
    }

    fn pod(&mut self, n: usize, checks: &[&str]) {
        let gates = checks.iter().map(|check| format!("example.com/{check}")).collect();
        let pod = Pod { namespace: "ns".into(), name: format!("p{n}"), uid: format!("u{n}"), gates, ..Pod::default() };
        let seen = Seen { pod, resource_version: "1".into(), over: false };
        self.core.handle(Event::Pod(0, Box::new(seen)), self.now);
    }

    fn act(&mut self) {
        self.core.advance(self.now);
        for action in self.core.actions() {
            if let Action::Call(call) = action {
                self.calls.push(call);
            }
        }
    }

    /// Ends the calls of the checks that `ends` names.
    fn answer(&mut self, ends: impl Fn(&str) -> bool) -> Vec<Call> {
        let (ended, running) = std::mem::take(&mut self.calls).into_iter().partition(|call| ends(&call.check));
        self.calls = running;
        for Call { id, .. } in &ended {
            let verdict =
                Verdict { status: Status::True, reason: "Met".into(), message: String::new(), recheck_after: None };
            self.core.handle(Event::Answered { id: *id, answer: Ok(verdict), keep: None, reads: vec![] }, self.now);
        }
        ended
    }

    fn running(&self) -> BTreeMap<&str, usize> {
        let mut running = BTreeMap::new();
        for call in &self.calls {
            *running.entry(&*call.check).or_default() += 1;
        }
        running
    }
}

#[test]
fn the_calls_in_flight_are_bounded_in_all_and_for_each_check() {
    let checks = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut crowd = Crowd::new(100, &checks);
    crowd.act();
    assert_eq!(crowd.calls.len(), 48);
    assert!(checks.iter().all(|check| crowd.running()[check] == 4), "{:?}", crowd.running());

    let mut alone = Crowd::new(100, &["a"]);
    alone.act();
    assert_eq!(alone.calls.len(), 8);
    // What ends makes room for as much, and each gate gets its turn.
    let mut asked = BTreeSet::new();
    while !alone.calls.is_empty() {
        assert!(alone.calls.len() <= 8);
        asked.extend(alone.answer(|_| true).into_iter().map(|call| call.key.uid));
        alone.act();
    }
    assert_eq!(asked.len(), 100);
}

#[test]
fn checks_whose_calls_do_not_end_delay_no_other_check() {
    let slow = ["s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8"];
    let mut crowd = Crowd::new(100, &slow);
    crowd.act();
    assert_eq!(crowd.calls.len(), 48);
    crowd.add("quick");
    for n in 100..200 {
        crowd.pod(n, &["quick"]);
    }
    crowd.act();
    assert_eq!(crowd.running()["quick"], 1, "it gets in beside the slow ones at once");
    let mut waits = Vec::new();
    while waits.len() < 100 {
        let ended = crowd.answer(|check| check == "quick");
        assert!(!ended.is_empty(), "after {} of 100 answers nobody is asked", waits.len());
        waits.extend(ended.into_iter().map(|call| call.waited));
        crowd.now.mono += Duration::from_millis(1);
        crowd.act();
    }
    // The last one waited for the others of its own check, and says so.
    assert_eq!((waits[0], waits[99]), (Duration::ZERO, Duration::from_millis(99)));
}

#[test]
fn calls_that_wait_for_an_answer_from_outside_make_room_for_others_up_to_a_bound() {
    let mut crowd = Crowd::new(1000, &["slow"]);
    let mut told = 0;
    loop {
        crowd.act();
        let new: Vec<_> = crowd.calls[told..].iter().map(|call| call.id).collect();
        assert!(new.len() <= 8, "{} compute at once", new.len());
        if new.is_empty() {
            break;
        }
        for id in new {
            crowd.core.handle(Event::Outside { id }, crowd.now);
            told += 1;
        }
    }
    assert_eq!(crowd.running()["slow"], 256);
    // They are in the way of no other check, whether that one computes or waits as well.
    for check in ["quick", "late"] {
        crowd.add(check);
        for n in 0..10 {
            crowd.pod(if check == "quick" { 1000 + n } else { 2000 + n }, &[check]);
        }
        crowd.act();
        assert_eq!(crowd.running()[check], 8);
    }
    // 1,000 gates whose answers take a second each are asked once in less than 10 s.
    let mut asked = BTreeSet::new();
    for second in 0.. {
        asked.extend(crowd.answer(|check| check == "slow").into_iter().map(|call| call.key.uid));
        crowd.now.mono += Duration::from_secs(1);
        if asked.len() == 1000 {
            assert!(second < 5, "{second} s");
            break;
        }
        loop {
            let before = crowd.calls.len();
            crowd.act();
            let new: Vec<_> = crowd.calls[before..].iter().map(|call| call.id).collect();
            if new.is_empty() {
                break;
            }
            for id in new {
                crowd.core.handle(Event::Outside { id }, crowd.now);
            }
        }
    }
}

#[test]
fn a_call_that_does_not_end_holds_up_no_other_gate_of_its_pod() {
    let mut world = World::new();
    world.take(Step::Annotate { pod: 0, note: 1 });
    world.take(Step::Deliver(9));
    let (a, b): (Arc<str>, Arc<str>) = ("example.com/a".into(), "example.com/b".into());
    let mut written = Vec::new();
    for round in 0..20 {
        let answered = world.calls.iter().position(|call| call.key.gate == b);
        let call = world.calls.remove(answered.unwrap_or_else(|| panic!("round {round}: the other gate is not asked")));
        world.answer(&call, false);
        world.act();
        for patch in std::mem::take(&mut world.patches) {
            written.extend(patch.conditions.iter().map(|(gate, _)| gate.clone()));
            world.end_write(&patch, Ending::Written);
        }
        assert_eq!(world.calls.iter().map(|call| &call.key.gate).collect::<Vec<_>>(), [&a], "round {round}");
        world.take(Step::Annotate { pod: 0, note: round % 5 });
        world.take(Step::Deliver(9));
        world.take(Step::Pass(10_001));
    }
    assert!(written.len() > 10 && written.iter().all(|gate| *gate == b), "{written:?}");
    // When it ends at last, it counts.
    let call = world.calls.swap_remove(world.calls.iter().position(|call| call.key.gate == a).unwrap());
    world.answer(&call, false);
    world.rest();
}

#[test]
fn neither_the_hosts_own_condition_nor_ready_makes_a_gate_due() {
    let mut world = World::new();
    world.take(Step::Annotate { pod: 0, note: 1 });
    world.rest();
    for call in std::mem::take(&mut world.calls) {
        world.answer(&call, false);
    }
    world.act();
    world.take(Step::Deliver(usize::MAX));
    assert!(world.calls.is_empty());
    for gate in [0, 1, 2] {
        for status in [0, 1, 2] {
            world.take(Step::Foreign { pod: 0, gate, status });
            world.take(Step::Deliver(usize::MAX));
            let asked: Vec<&GateKey> = world.calls.iter().map(|call| &call.key).collect();
            assert!(asked.is_empty(), "the condition {gate} made due: {asked:?}");
        }
    }
    world.take(Step::Annotate { pod: 0, note: 2 });
    world.take(Step::Deliver(usize::MAX));
    assert_eq!(world.calls.len(), 2, "and the annotation does");
}
