//! A small cluster around the core: a server with pods, a watch that lags, plugins and writes that end at random.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use gatehost::{
    check::{Policy, Selection, StartWhen, is_reserved},
    decide::{Condition, Fault, FaultKind, Status, Verdict},
    dispatch::{Action, Call, Core, Event, GateKey, Now, Options, Outcome, Patch, Rule, Rules},
    pod::{self, Pod, Seen},
};
use proptest::sample::Index;

/// `Ready` is kubelet's: a rule for it must change nothing.
const TYPES: [&str; 3] = ["example.com/a", "example.com/b", "Ready"];
const NOTE: &str = "example.com/note";
const PERIOD: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Annotate { pod: usize, note: u8 },
    Recreate(usize),
    Delete(usize),
    Foreign { pod: usize, gate: usize, status: u8 },
    Reload(usize),
    Remove(usize),
    Deliver(usize),
    Relist,
    Answer { which: Index, fault: bool },
    EndWrite { which: Index, how: Ending },
    Pass(u64),
    JumpWall(i64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Written,
    Refused,
    Lost,
    AppliedButLost,
}

#[derive(Clone)]
struct Stored {
    pod: Pod,
    version: u64,
}

pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) now: Now,
    server: BTreeMap<String, Stored>,
    watch: VecDeque<Event>,
    version: u64,
    uids: u64,
    rules: Rules,
    generation: u64,
    pub(crate) calls: Vec<Call>,
    pub(crate) patches: Vec<Patch>,
    /// Gates whose condition somebody else wrote, or whose write was applied but reported lost: what the host knew
    /// of them at a write cannot be told from here.
    blurred: BTreeSet<GateKey>,
    /// The last condition that was reported as written.
    written: BTreeMap<GateKey, Condition>,
    texts: BTreeMap<GateKey, Duration>,
    pub(crate) sent: usize,
}

/// What the plugin of a generation says of a note. Every reload changes some answers.
fn truth(generation: u64, note: u64) -> Status {
    [Status::True, Status::False, Status::Unknown][usize::try_from((generation + note) % 3).unwrap()]
}

fn note(pod: &Pod) -> u64 {
    pod.annotations.iter().find(|(key, _)| key == NOTE).map_or(0, |(_, value)| value.parse().unwrap())
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            core: Core::new(Options::default()),
            now: Now { mono: Duration::ZERO, wall: 1_700_000_000_000 },
            server: BTreeMap::new(),
            watch: VecDeque::new(),
            version: 1,
            uids: 0,
            rules: Rules::default(),
            generation: 0,
            calls: Vec::new(),
            patches: Vec::new(),
            blurred: BTreeSet::new(),
            written: BTreeMap::new(),
            texts: BTreeMap::new(),
            sent: 0,
        };
        for gate in 0..TYPES.len() {
            world.take(Step::Reload(gate));
        }
        world.take(Step::Relist);
        world
    }

    pub(crate) fn take(&mut self, step: Step) {
        match step {
            Step::Annotate { pod, note } => self.touch(pod, |p| p.annotations = vec![(NOTE.into(), note.to_string())]),
            Step::Recreate(pod) => {
                self.take(Step::Delete(pod));
                self.touch(pod, |_| ());
            }
            Step::Delete(pod) => {
                if let Some(stored) = self.server.remove(&format!("pod-{pod}")) {
                    self.watch.push_back(Event::Gone(stored.pod.uid.into()));
                }
            }
            Step::Foreign { pod, gate, status } => {
                let status = [Status::True, Status::False, Status::Unknown][usize::from(status)];
                let wall = self.now.wall;
                self.touch(pod, |p| {
                    p.conditions.retain(|(kind, _)| kind != TYPES[gate]);
                    let theirs = pod::Condition { status: status.as_str().into(), ..pod::Condition::default() };
                    p.conditions.push((TYPES[gate].into(), pod::Condition { last_transition: Some(wall), ..theirs }));
                });
                let uid = self.server[&format!("pod-{pod}")].pod.uid.as_str().into();
                self.blurred.insert(GateKey { uid, gate: TYPES[gate].into(), dry_run: false });
            }
            Step::Reload(gate) => {
                self.generation += 1;
                let check = format!("check-{gate}").into();
                let policy = Policy {
                    period: PERIOD,
                    failure_threshold: 1,
                    start_when: StartWhen::Always,
                    max_flaps: 6000,
                    ..Policy::default()
                };
                let rule = Rule { check, generation: self.generation, select: Selection::default(), policy };
                self.rules.live.insert(TYPES[gate].into(), rule.into());
                self.core.handle(Event::Rules(self.rules.clone()), self.now);
            }
            Step::Remove(gate) => {
                self.rules.live.remove(TYPES[gate]);
                self.core.handle(Event::Rules(self.rules.clone()), self.now);
            }
            Step::Deliver(count) => {
                for event in self.watch.drain(..count.min(self.watch.len())).collect::<Vec<_>>() {
                    self.core.handle(event, self.now);
                }
            }
            Step::Relist => {
                self.watch.clear();
                self.core.handle(Event::ListStarted(0), self.now);
                for stored in self.server.values() {
                    self.core.handle(stored.event(), self.now);
                }
                self.core.handle(Event::ListDone(0), self.now);
            }
            Step::Answer { which, fault } if !self.calls.is_empty() => {
                let call = self.calls.swap_remove(which.index(self.calls.len()));
                self.answer(&call, fault);
            }
            Step::EndWrite { which, how } if !self.patches.is_empty() => {
                let patch = self.patches.swap_remove(which.index(self.patches.len()));
                self.end_write(&patch, how);
            }
            Step::Answer { .. } | Step::EndWrite { .. } => {}
            Step::Pass(ms) => {
                self.now.mono += Duration::from_millis(ms);
                self.now.wall += i64::try_from(ms).unwrap();
            }
            Step::JumpWall(ms) => self.now.wall += ms,
        }
        self.act();
    }

    /// Changes a pod, or makes it where there is none.
    fn touch(&mut self, pod: usize, change: impl FnOnce(&mut Pod)) {
        let name = format!("pod-{pod}");
        self.version += 1;
        let stored = self.server.entry(name.clone()).or_insert_with(|| {
            self.uids += 1;
            let gates = TYPES.iter().chain(&["unanswered.io/x"]).map(ToString::to_string).collect();
            let uid = format!("uid-{}", self.uids);
            let pod = Pod { namespace: "ns".into(), name, uid, generation: 1, gates, ..Pod::default() };
            Stored { pod, version: 0 }
        });
        change(&mut stored.pod);
        stored.version = self.version;
        self.watch.push_back(stored.event());
    }

    pub(crate) fn answer(&mut self, call: &Call, fault: bool) {
        let pod = call.pod.open();
        let answer = if fault {
            Self::fault(call)
        } else {
            Ok(Verdict {
                status: truth(call.generation, note(&pod)),
                reason: "Because".into(),
                message: format!("{} {} {}", call.generation, note(&pod), pod.uid),
                recheck_after: None,
            })
        };
        self.core.handle(Event::Answered { id: call.id, answer }, self.now);
    }

    pub(crate) fn fault(call: &Call) -> Result<Verdict, Fault> {
        let pod = call.pod.open();
        let message = format!("{} {} {}", call.generation, note(&pod), pod.uid);
        Err(Fault { kind: FaultKind::Trap, reason: "Trap".into(), message, retry_after: None })
    }

    pub(crate) fn end_write(&mut self, patch: &Patch, how: Ending) {
        let current = self.server.get(&*patch.name).filter(|stored| *stored.pod.uid == *patch.uid);
        let late = current.is_some_and(|stored| patch.version.is_some_and(|bound| bound != stored.version));
        let outcome = match how {
            Ending::Written | Ending::AppliedButLost if late => Outcome::Conflict,
            Ending::Written | Ending::AppliedButLost if current.is_none() => Outcome::Replaced,
            Ending::Written | Ending::AppliedButLost => {
                self.apply(patch, matches!(how, Ending::AppliedButLost));
                match how {
                    Ending::Written => Outcome::Written(Some(self.version)),
                    _ => Outcome::Failed { error: "lost".into(), retry_after: None },
                }
            }
            Ending::Refused => Outcome::Refused("policy".into()),
            Ending::Lost => Outcome::Failed { error: "lost".into(), retry_after: None },
        };
        self.core.handle(Event::Wrote { id: patch.id, outcome }, self.now);
    }

    fn apply(&mut self, patch: &Patch, lost: bool) {
        self.version += 1;
        let stored = self.server.get_mut(&*patch.name).unwrap();
        for (kind, condition) in &patch.conditions {
            let key = GateKey { uid: patch.uid.clone(), gate: kind.clone(), dry_run: false };
            let old = stored.pod.condition(kind).cloned();
            let moved = condition.last_transition;
            if lost {
                self.blurred.insert(key.clone());
            }
            if !self.blurred.contains(&key) {
                // Promise 3.
                let same = old.as_ref().is_some_and(|old| old.status == condition.status.as_str());
                assert_eq!(moved.is_none(), same, "the transition time moves if and only if the status does");
                if let (Some(before), Some(after)) = (old.as_ref().and_then(|old| old.last_transition), moved) {
                    assert!(after >= before, "the transition time runs backwards");
                }
                let again = self.written.get(&key).is_some_and(|before| before.says_the_same(condition));
                assert!(!again, "the same condition is written twice: {condition:?}");
            }
            self.written.insert(key, condition.clone());
            stored.pod.conditions.retain(|(other, _)| **other != **kind);
            let last_transition = moved.or(old.and_then(|old| old.last_transition));
            let made = pod::Condition {
                status: condition.status.as_str().into(),
                reason: condition.reason.clone(),
                message: condition.message.clone(),
                last_transition,
                observed_generation: condition.observed_generation,
            };
            stored.pod.conditions.push((kind.to_string(), made));
        }
        stored.version = self.version;
        self.watch.push_back(stored.event());
    }

    /// Carries the core forward, and checks what it wants done against the promises.
    pub(crate) fn act(&mut self) {
        self.core.advance(self.now);
        for action in self.core.actions() {
            match action {
                Action::Call(call) => {
                    assert!(!self.calls.iter().any(|other| other.key == call.key), "two calls for one gate");
                    assert_eq!(self.rules.live[&call.key.gate].generation, call.generation);
                    self.calls.push(call);
                }
                Action::Patch(patch) => {
                    self.sent += 1;
                    assert!(!self.patches.iter().any(|other| other.uid == patch.uid), "two writes for one pod");
                    for (kind, condition) in &patch.conditions {
                        self.check_condition(&patch.uid, kind, condition);
                    }
                    self.patches.push(patch);
                }
                Action::Note(_) => {}
            }
        }
    }

    fn check_condition(&mut self, uid: &Arc<str>, kind: &Arc<str>, condition: &Condition) {
        assert!(!is_reserved(kind) && TYPES.contains(&&**kind), "promise 1: {kind}");
        // A verdict's message, or that of a fault with the host's words around it.
        let (_, said) = condition.message.rsplit_once("Trap: ").unwrap_or_default();
        let said = if said.is_empty() { &condition.message } else { said };
        let said: Vec<_> = said.split([' ', ';']).collect();
        assert_eq!(said[2], &**uid, "promise 2: a verdict on another pod");
        assert_eq!(said[0], self.rules.live[kind].generation.to_string(), "promise 6: an old generation writes");
        // A pod that is gone may be forgotten and seen once more in an old event; nothing reaches it any more.
        let alive = self.server.values().any(|stored| *stored.pod.uid == **uid);
        if alive && condition.last_transition.is_none() {
            let key = GateKey { uid: uid.clone(), gate: kind.clone(), dry_run: false };
            if let Some(before) = self.texts.insert(key, self.now.mono) {
                assert!(self.now.mono >= before + Duration::from_mins(5), "promise 8: a text is written too soon");
            }
        }
    }

    /// Lets everything come to rest, and checks that each condition says what its check decides.
    pub(crate) fn rest(&mut self) {
        let until = self.now.mono + Duration::from_mins(2);
        while self.now.mono < until {
            self.take(Step::Deliver(usize::MAX));
            for call in std::mem::take(&mut self.calls) {
                self.answer(&call, false);
            }
            self.act();
            for patch in std::mem::take(&mut self.patches) {
                self.end_write(&patch, Ending::Written);
            }
            self.act();
            if self.calls.is_empty() && self.patches.is_empty() && self.watch.is_empty() {
                let wake = self.core.next_wake().unwrap_or(until).max(self.now.mono);
                self.take(Step::Pass(u64::try_from(wake.saturating_sub(self.now.mono).as_millis()).unwrap() + 1));
            }
        }
        for Stored { pod, .. } in self.server.values() {
            for (kind, rule) in self.rules.live.iter().filter(|(kind, _)| !is_reserved(kind)) {
                let stands = pod.condition(kind).map(|condition| condition.status.as_str());
                assert_eq!(stands, Some(truth(rule.generation, note(pod)).as_str()), "promise 4: {} {kind}", pod.name);
            }
            assert!(pod.condition("unanswered.io/x").is_none());
        }
    }
}

impl Stored {
    fn event(&self) -> Event {
        let seen = Seen { pod: self.pod.clone(), resource_version: self.version.to_string(), over: false };
        Event::Pod(0, Box::new(seen))
    }
}
