//! The state machine: events and the time go in, actions come out.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use super::{
    Action, Call, Event, GateKey, Now, Rules,
    fair::Fair,
    gate::{Entry, Gate, State, Write},
    writes::Writes,
};
use crate::{
    check::is_reserved,
    decide::{Fault, Verdict, decide, due_after},
    pod::{Packed, Pod, Seen},
};

/// How a core behaves, for its whole life.
#[derive(Clone, Debug)]
pub struct Options {
    /// Writes are pretended: what the watch says of a condition is ignored once one was "written".
    pub dry_run: bool,
    /// Seeds the jitter of backoffs and the spread of periods.
    pub seed: u64,
    /// `--claim`: DNS domains whose gates get Unknown/NoCheck where no check answers them.
    pub claims: Vec<String>,
    /// `--max-override`: an override that ends later than this from now is refused. Default 24 h.
    pub max_override: Duration,
    /// `--kube-api-qps`: writes a second, in the long run. Default 200.
    pub writes_per_second: u32,
    /// `--kube-api-burst`: writes at once. Default 500.
    pub write_burst: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dry_run: false,
            seed: 0,
            claims: Vec::new(),
            max_override: Duration::from_hours(24),
            writes_per_second: 200,
            write_burst: 500,
        }
    }
}

/// Which gate is due, what is in flight, what is written when. It reads no clock and does nothing by itself: give it
/// events, call [`Core::advance`], carry out what [`Core::actions`] returns, and come back at [`Core::next_wake`].
#[derive(Debug)]
pub struct Core {
    pub(super) options: Options,
    pub(super) rules: Rules,
    pub(super) pods: HashMap<Arc<str>, Box<Entry>>,
    pub(super) timers: BTreeSet<(Duration, Wake)>,
    pub(super) fair: Fair,
    pub(super) calls: HashMap<u64, Flight>,
    pub(super) writes: Writes,
    pub(super) actions: Vec<Action>,
    pub(super) next_id: u64,
    pub(super) rng: fastrand::Rng,
    /// For each scope, the number of its list.
    lists: HashMap<u32, u32>,
    /// Condition types in use, so that a hundred thousand gates share one name.
    kinds: BTreeSet<Arc<str>>,
}

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    /// A gate is due.
    Gate(GateKey),
    /// A pod's write may be tried.
    Write(Arc<str>),
}

/// A call in flight.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) key: GateKey,
    pub(super) check: Arc<str>,
    pub(super) generation: u64,
    /// The generation of the pod that is judged.
    pub(super) judged: u64,
}

impl Core {
    /// A core that knows no pod and no check.
    pub fn new(options: Options) -> Self {
        let rng = fastrand::Rng::with_seed(options.seed);
        Self {
            options,
            rng,
            rules: Rules::default(),
            pods: HashMap::new(),
            timers: BTreeSet::new(),
            fair: Fair::default(),
            calls: HashMap::new(),
            writes: Writes::default(),
            actions: Vec::new(),
            next_id: 0,

            lists: HashMap::new(),
            kinds: BTreeSet::new(),
        }
    }

    /// Takes in one event.
    pub fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::ListStarted(scope) => *self.lists.entry(scope).or_default() += 1,
            Event::Pod(scope, seen) => self.pod(scope, *seen, now),
            Event::Gone(uid) => self.drop_pod(&uid),
            Event::ListDone(scope) => self.sweep(scope),
            Event::Rules(rules) => self.take_rules(rules, now),
            Event::Namespace(..) => {}
            Event::Answered { id, answer } => self.answered(id, answer, now),
            Event::Wrote { id, outcome } => self.wrote(id, &outcome, now),
        }
    }

    /// Does what has become due, and starts as many calls and writes as there is room for.
    pub fn advance(&mut self, now: Now) {
        while let Some((at, _)) = self.timers.first() {
            if *at > now.mono {
                break;
            }
            match self.timers.pop_first() {
                Some((_, Wake::Gate(key))) => {
                    if let Some((_, gate)) = find(&mut self.pods, &key) {
                        gate.timer = None;
                        if gate.state == State::Idle {
                            self.wait(&key, now);
                        }
                    }
                }
                Some((_, Wake::Write(uid))) => {
                    if let Some(entry) = self.pods.get_mut(&uid) {
                        entry.write.timer = None;
                    }
                    self.plan_write(&uid, now);
                }
                None => {}
            }
        }
        while let Some((check, key)) = self.fair.pop() {
            self.start_call(check, &key, now);
        }
        self.start_writes(now);
    }

    /// What is to be done now; each action is handed out once.
    pub fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// When [`Core::advance`] has something to do next, on the monotonic clock, if nothing happens before.
    pub fn next_wake(&self) -> Option<Duration> {
        self.timers.first().map(|(at, _)| *at)
    }

    fn pod(&mut self, scope: u32, seen: Seen, now: Now) {
        let Seen { pod, resource_version, over } = seen;
        if over || pod.gates.is_empty() {
            return self.drop_pod(&pod.uid);
        }
        let list = self.lists.get(&scope).copied().unwrap_or_default();
        let version = resource_version.parse().unwrap_or(0);
        let digest = pod.due_digest(|kind| self.is_own(&pod, kind));
        let same_gates = |entry: &Entry| entry.gates.iter().map(|g| &*g.kind).eq(pod.gates.iter().map(String::as_str));
        let changed = match self.pods.get_mut(pod.uid.as_str()) {
            Some(entry) if same_gates(entry) => {
                (entry.scope, entry.list) = (scope, list);
                if entry.outdates(version) {
                    return;
                }
                let changed = entry.digest != digest;
                entry.packed = Packed::new(&pod);
                (entry.version, entry.generation, entry.digest) = (version, pod.generation, digest);
                let pretended = self.options.dry_run && entry.gates.iter().any(|g| g.wrote.is_some());
                if !pretended {
                    entry.read_standing(&pod);
                }
                changed
            }
            _ => {
                self.drop_pod(&pod.uid);
                self.add_pod(&pod, scope, list, version, digest);
                true
            }
        };
        let uid: Arc<str> = pod.uid.as_str().into();
        if changed {
            self.pod_changed(&uid, now);
        }
        self.plan_write(&uid, now);
    }

    fn add_pod(&mut self, pod: &Pod, scope: u32, list: u32, version: u64, digest: u64) {
        let uid: Arc<str> = pod.uid.as_str().into();
        let gates = pod.gates.iter().map(|kind| Gate::new(self.kind(kind))).collect();
        let mut entry = Box::new(Entry {
            uid: uid.clone(),
            packed: Packed::new(pod),
            scope,
            list,
            version,
            written: 0,
            generation: pod.generation,
            digest,
            gates,
            write: Write { in_flight: self.writes.holds(&uid), ..Write::default() },
        });
        entry.read_standing(pod);
        // A pod that was let go and comes back (an old event after a refused write) may still have calls in flight.
        for (id, flight) in self.calls.iter().filter(|(_, flight)| flight.key.uid == uid) {
            if let Some(gate) = entry.gates.iter_mut().find(|gate| gate.kind == flight.key.gate) {
                gate.state = State::Running(*id);
            }
        }
        self.pods.insert(uid, entry);
    }

    fn pod_changed(&mut self, uid: &Arc<str>, now: Now) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let mut due = Vec::new();
        for gate in &mut entry.gates {
            if self.rules.live.contains_key(&gate.kind) {
                gate.changed = true;
                due.push((
                    GateKey { uid: uid.clone(), gate: gate.kind.clone(), dry_run: false },
                    gate.change_allowed(),
                ));
            }
        }
        for (key, at) in due {
            self.make_due(&key, at, now);
        }
    }

    fn drop_pod(&mut self, uid: &str) {
        let Some(entry) = self.pods.remove(uid) else { return };
        for gate in entry.gates {
            if let Some(at) = gate.timer {
                self.timers
                    .remove(&(at, Wake::Gate(GateKey { uid: entry.uid.clone(), gate: gate.kind, dry_run: false })));
            }
        }
        if let Some(at) = entry.write.timer {
            self.timers.remove(&(at, Wake::Write(entry.uid)));
        }
    }

    /// Drops what a complete list did not hold.
    fn sweep(&mut self, scope: u32) {
        let list = self.lists.get(&scope).copied().unwrap_or_default();
        let stale = |e: &Entry| e.scope == scope && e.list != list;
        let gone: Vec<_> = self.pods.values().filter(|e| stale(e)).map(|e| e.uid.clone()).collect();
        for uid in gone {
            self.drop_pod(&uid);
        }
    }

    fn take_rules(&mut self, rules: Rules, now: Now) {
        let before = std::mem::replace(&mut self.rules, rules);
        let differs = |kind: &str| before.live.get(kind) != self.rules.live.get(kind);
        let types_moved = !before.live.keys().eq(self.rules.live.keys());
        let mut due = Vec::new();
        for entry in self.pods.values_mut() {
            for gate in &mut entry.gates {
                if differs(&gate.kind) {
                    gate.forget();
                    due.push(GateKey { uid: entry.uid.clone(), gate: gate.kind.clone(), dry_run: false });
                }
            }
        }
        for key in due {
            if self.rules.live.contains_key(&key.gate) {
                self.make_due(&key, Duration::ZERO, now);
            } else if let Some((_, gate)) = find(&mut self.pods, &key)
                && let Some(at) = gate.timer.take()
            {
                self.timers.remove(&(at, Wake::Gate(key)));
            }
        }
        if types_moved {
            self.redigest();
        }
    }

    /// Which conditions are the host's own depends on the checks, and so do the digests.
    fn redigest(&mut self) {
        let rules = &self.rules;
        for entry in self.pods.values_mut() {
            let pod = entry.packed.open();
            entry.digest = pod.due_digest(|kind| rules.live.contains_key(kind) && pod.gates.iter().any(|g| g == kind));
        }
    }

    fn is_own(&self, pod: &Pod, kind: &str) -> bool {
        self.rules.live.contains_key(kind) && pod.gates.iter().any(|gate| gate == kind)
    }

    /// Makes a gate due at `at`, or now if that has passed. A gate that is asked right now is due again afterwards.
    fn make_due(&mut self, key: &GateKey, at: Duration, now: Now) {
        let Some((_, gate)) = find(&mut self.pods, key) else { return };
        if gate.state != State::Idle || gate.timer.is_some_and(|set| set <= at) {
            return;
        }
        if let Some(set) = gate.timer.take() {
            self.timers.remove(&(set, Wake::Gate(key.clone())));
        }
        if at <= now.mono {
            self.wait(key, now);
        } else {
            gate.timer = Some(at);
            self.timers.insert((at, Wake::Gate(key.clone())));
        }
    }

    /// Puts a gate into its check's lane.
    fn wait(&mut self, key: &GateKey, now: Now) {
        let Some(rule) = self.rules.live.get(&key.gate) else { return };
        if let Some((_, gate)) = find(&mut self.pods, key) {
            gate.state = State::Waiting(now.mono);
            self.fair.push(&rule.check, key.clone());
        }
    }

    fn start_call(&mut self, check: Arc<str>, key: &GateKey, now: Now) {
        let rule = self.rules.live.get(&key.gate).cloned();
        let Some((entry, gate)) = find(&mut self.pods, key) else { return };
        let State::Waiting(since) = gate.state else { return };
        let Some(rule) = rule.filter(|_| !is_reserved(&key.gate)) else {
            gate.state = State::Idle;
            return;
        };
        if rule.check != check {
            // The gate changed hands while it waited: it waits in the new check's lane.
            return self.fair.push(&rule.check, key.clone());
        }
        let id = self.next_id;
        self.next_id += 1;
        gate.state = State::Running(id);
        gate.charge(now.mono);
        let call = Call {
            id,
            key: key.clone(),
            check: check.clone(),
            generation: rule.generation,
            pod: entry.clone(),
            now: now.wall,
            waited: now.mono.saturating_sub(since),
        };
        let judged = self.pods.get(&key.uid).map_or(0, |e| e.generation);
        self.fair.started(&check);
        self.calls.insert(id, Flight { key: key.clone(), check, generation: rule.generation, judged });
        self.actions.push(Action::Call(call));
    }

    fn answered(&mut self, id: u64, answer: Result<Verdict, Fault>, now: Now) {
        let Some(flight) = self.calls.remove(&id) else { return };
        self.fair.ended(&flight.check);
        let key = flight.key;
        let rule = self.rules.live.get(&key.gate).cloned();
        let Some((_, gate)) = find(&mut self.pods, &key) else { return };
        if gate.state != State::Running(id) {
            return;
        }
        gate.state = State::Idle;
        let Some(rule) = rule else { return };
        if rule.check != flight.check || rule.generation != flight.generation {
            // Replaced code does not decide any more, whether or not the new one has answered yet.
            return self.make_due(&key, Duration::ZERO, now);
        }
        gate.answered = true;
        gate.faults = if answer.is_ok() { 0 } else { gate.faults.saturating_add(1) };
        let wait = due_after(&answer, rule.policy.period, gate.faults);
        let stands = gate.standing.is_some() || gate.decided.is_some();
        if let Some(condition) = decide(&answer, stands, flight.judged)
            && gate.decided.as_deref() != Some(&condition)
        {
            gate.decided = Some(condition.into());
        }
        gate.fault = answer.err().map(Box::new);
        let mut at = now.mono + wait;
        if gate.changed {
            at = at.min(gate.change_allowed());
        }
        self.make_due(&key, at, now);
        self.plan_write(&key.uid, now);
    }

    fn kind(&mut self, kind: &str) -> Arc<str> {
        if let Some(known) = self.kinds.get(kind) {
            return known.clone();
        }
        // Types that no pod has any more are swept out before they pile up.
        if self.kinds.len() >= 1024 {
            self.kinds.retain(|kind| Arc::strong_count(kind) > 1);
        }
        let kind: Arc<str> = kind.into();
        self.kinds.insert(kind.clone());
        kind
    }
}

/// A gate and the pod it belongs to.
fn find<'a>(pods: &'a mut HashMap<Arc<str>, Box<Entry>>, key: &GateKey) -> Option<(&'a Packed, &'a mut Gate)> {
    let entry = pods.get_mut(&key.uid)?;
    let gate = entry.gates.iter_mut().find(|gate| gate.kind == key.gate)?;
    Some((&entry.packed, gate))
}
