//! What plugins keep for gates between calls, and when it is gone.

use std::{sync::Arc, time::Duration};

use gatehost::{
    check::{Policy, Selection, StartWhen},
    decide::{Blame, Fault, FaultKind, Status, Verdict},
    dispatch::{Action, Call, Core, Event, Now, Options, Rule, Rules},
    pod::{Pod, Seen},
};

const GATE: &str = "example.com/warm";

/// A pod with one gate, and the checks that answer it.
struct Bed {
    core: Core,
    now: Now,
    rules: Rules,
}

impl Bed {
    /// With a check whose plugin gives `memory` this version.
    fn new(memory: Option<&str>) -> Self {
        let now = Now { mono: Duration::from_secs(1), wall: 1_700_000_000_000 };
        let mut bed = Self { core: Core::new(Options::default()), now, rules: Rules::default() };
        bed.rule("warm", 1, memory);
        bed.pod("u1");
        bed
    }

    fn rule(&mut self, check: &str, generation: u64, memory: Option<&str>) {
        self.rules.live.insert(GATE.into(), rule(check, generation, memory));
        self.core.handle(Event::Rules(self.rules.clone()), self.now);
    }

    fn pod(&mut self, uid: &str) {
        let gates = vec![GATE.to_owned()];
        let pod = Pod { namespace: "ns".into(), name: "p".into(), uid: uid.into(), gates, ..Pod::default() };
        let seen = Seen { pod, resource_version: "1".into(), over: false };
        self.core.handle(Event::Pod(0, Box::new(seen)), self.now);
    }

    /// The calls that begin within a minute, each of them once.
    fn calls(&mut self) -> Vec<Call> {
        let mut calls = Vec::new();
        for _ in 0..60 {
            self.core.advance(self.now);
            let called = |action| if let Action::Call(call) = action { Some(call) } else { None };
            calls.extend(self.core.actions().into_iter().filter_map(called));
            self.now.mono += Duration::from_secs(1);
            self.now.wall += 1000;
        }
        calls
    }

    fn call(&mut self) -> Call {
        let mut calls = self.calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }

    fn end(&mut self, call: &Call, answer: Result<Verdict, Fault>, keep: Option<&str>) {
        let keep = keep.map(|text| Arc::from(text.as_bytes()));
        self.core.handle(Event::Answered { id: call.id, answer, keep, reads: vec![] }, self.now);
    }

    /// One call that ends with a verdict and keeps this.
    fn keep(&mut self, text: &str) {
        let call = self.call();
        self.end(&call, Ok(verdict()), Some(text));
    }

    /// What the next call finds; it keeps it.
    fn found(&mut self) -> String {
        let call = self.call();
        self.end(&call, Ok(verdict()), None);
        found(&call)
    }
}

fn rule(check: &str, generation: u64, memory: Option<&str>) -> Arc<Rule> {
    let (period, start_when) = (Duration::from_secs(10), StartWhen::Always);
    let policy = Policy { period, start_when, ..Policy::default() };
    let (check, memory) = (check.into(), memory.map(Into::into));
    Arc::new(Rule { check, generation, select: Selection::default(), policy, memory })
}

fn found(call: &Call) -> String {
    String::from_utf8(call.kept.bytes.to_vec()).unwrap()
}

fn verdict() -> Verdict {
    Verdict { status: Status::True, reason: "Met".into(), message: String::new(), recheck_after: None }
}

#[test]
fn what_was_kept_comes_back_until_something_else_is_kept() {
    let mut bed = Bed::new(None);
    bed.keep("1 2 3");
    assert_eq!((bed.found(), bed.found()), ("1 2 3".into(), "1 2 3".into()));
    bed.keep("4");
    assert_eq!(bed.found(), "4");
    bed.keep("");
    assert_eq!(bed.found(), "");
}

#[test]
fn a_fault_leaves_what_was_kept() {
    let mut bed = Bed::new(None);
    bed.keep("before");
    let call = bed.call();
    let fault = Fault {
        kind: FaultKind::Trap,
        blame: Blame::Code,
        reason: "Trap".into(),
        message: String::new(),
        retry_after: None,
    };
    bed.end(&call, Err(fault), Some("by a fault"));
    assert_eq!(bed.found(), "before");
}

#[test]
fn another_generation_forgets_unless_both_name_the_same_memory_version() {
    for (old, new, expected) in [
        (None, None, ""),
        (Some("1"), None, ""),
        (None, Some("1"), ""),
        (Some("1"), Some("2"), ""),
        (Some("1"), Some("1"), "before"),
    ] {
        let mut bed = Bed::new(old);
        bed.keep("before");
        bed.rule("warm", 2, new);
        assert_eq!(bed.found(), expected, "{old:?} and then {new:?}");
    }
}

#[test]
fn another_check_of_the_same_memory_version_finds_nothing() {
    let mut bed = Bed::new(Some("1"));
    bed.keep("before");
    bed.rule("other", 2, Some("1"));
    assert_eq!(bed.found(), "");
    bed.rule("warm", 3, Some("1"));
    assert_eq!(bed.found(), "");
}

#[test]
fn what_was_kept_is_gone_with_the_pod() {
    let mut bed = Bed::new(Some("1"));
    bed.keep("before");
    bed.core.handle(Event::Gone("u1".into()), bed.now);
    bed.pod("u2");
    assert_eq!(bed.found(), "");
    bed.core.handle(Event::Gone("u2".into()), bed.now);
    bed.pod("u1");
    assert_eq!(bed.found(), "", "not even another pod of the same uid finds it");
}

#[test]
fn an_answer_of_a_replaced_generation_keeps_nothing() {
    for memory in [None, Some("1")] {
        let mut bed = Bed::new(memory);
        bed.keep("before");
        let call = bed.call();
        bed.rule("warm", 2, memory);
        bed.end(&call, Ok(verdict()), Some("too late"));
        assert_eq!(bed.found(), memory.map_or("", |_| "before"));
    }
}

#[test]
fn a_dry_run_has_its_own() {
    let mut bed = Bed::new(None);
    bed.keep("live");
    bed.rules.dry_run.insert(GATE.into(), rule("trial", 2, None));
    bed.core.handle(Event::Rules(bed.rules.clone()), bed.now);
    for (live, trial) in [("live", ""), ("live 2", "trial"), ("live 2", "trial")] {
        let calls = bed.calls();
        assert_eq!(calls.len(), 2, "{calls:?}");
        for call in calls {
            assert_eq!(found(&call), if call.key.dry_run { trial } else { live });
            bed.end(&call, Ok(verdict()), Some(if call.key.dry_run { "trial" } else { "live 2" }));
        }
    }
}
