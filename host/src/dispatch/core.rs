//! The state machine: events and the time go in, actions come out.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Action, Event, GateKey, Now, Rules,
    asking::Ended,
    entry::{Entry, Write},
    fair::Fair,
    flight::Flight,
    gate::{Gate, Hold, State},
    keeping::Keeping,
    owners::{self, Owners},
    pace::Pace,
    quarantine::Quarantine,
    reading::Reading,
    writes::Writes,
};
use crate::{
    decide::identity,
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
    /// A check whose plugin breaks off again and again is called rarely. Default true.
    pub quarantine: bool,
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
            quarantine: true,
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
    pub(super) owners: Owners,
    /// Labels of namespaces, where they are known.
    pub(super) namespaces: HashMap<Arc<str>, Vec<(String, String)>>,
    pub(super) timers: BTreeSet<(Duration, Wake)>,
    pub(super) fair: Fair,
    pub(super) calls: HashMap<u64, Flight>,
    pub(super) writes: Writes,
    pub(super) pace: Pace,
    pub(super) actions: Vec<Action>,
    pub(super) next_id: u64,
    pub(super) rng: fastrand::Rng,
    pub(super) keeping: Keeping,
    pub(super) reading: Reading,
    pub(super) quarantine: Quarantine,
    /// For each scope, the number of its list.
    lists: HashMap<u32, u32>,
    /// The scopes that have been listed once.
    pub(super) listed: HashSet<u32>,
    /// Until when the pods may have changed without anybody having heard of it yet.
    pub(super) wary_until: Duration,
    /// How often the checks in force changed or a list was completed.
    pub(super) revision: u64,
    /// Condition types and namespaces in use, so that a hundred thousand gates share one name.
    names: BTreeSet<Arc<str>>,
}

/// How long after a standstill every turn is bound to the version that was judged: by then the watch has told.
const WARY: Duration = Duration::from_secs(65);

/// What a timer is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    /// A gate is due.
    Gate(GateKey),
    /// A pod's write may be tried.
    Write(Arc<str>),
    /// There is a token for a write.
    Pace,
    /// An override of a pod ends.
    Override(Arc<str>),
    /// Kubelet's Ready has disagreed for long.
    Disagrees(Arc<str>),
    /// A check in quarantine may be called once.
    Probe(Arc<str>),
}

impl Core {
    /// A core that knows no pod and no check.
    pub fn new(options: Options) -> Self {
        Self {
            rng: fastrand::Rng::with_seed(options.seed),
            pace: Pace::new(options.writes_per_second, options.write_burst),
            options,
            rules: Rules::default(),
            pods: HashMap::new(),
            owners: Owners::default(),
            namespaces: HashMap::new(),
            timers: BTreeSet::new(),
            fair: Fair::default(),
            calls: HashMap::new(),
            writes: Writes::default(),
            actions: Vec::new(),
            next_id: 0,
            keeping: Keeping::default(),
            reading: Reading::default(),
            quarantine: Quarantine::default(),
            lists: HashMap::new(),
            listed: HashSet::new(),
            wary_until: Duration::ZERO,
            revision: 0,
            names: BTreeSet::new(),
        }
    }

    /// Takes in one event.
    pub fn handle(&mut self, event: Event, now: Now) {
        match event {
            Event::ListStarted(scope) => *self.lists.entry(scope).or_default() += 1,
            Event::Pod(scope, seen) => self.pod(scope, *seen, now),
            Event::Gone(uid) => self.drop_pod(&uid, now),
            Event::ListDone(scope) => self.sweep(scope, now),
            Event::Rules(rules) => self.take_rules(rules, now),
            Event::Namespace(name, labels) => self.namespace(name, labels, now),
            Event::NamespaceGone(name) => drop(self.namespaces.remove(&name)),
            Event::Stalled => {
                self.wary_until = now.mono + WARY;
                self.calls.values_mut().for_each(|flight| flight.stalled = true);
            }
            Event::Outside { id } => self.outside(id),
            Event::Answered { id, answer, keep, reads } => {
                self.answered(id, Ended { answer, keep, reads: Some(reads) }, now);
            }
            Event::ObjectsChanged(changes) => self.objects_changed(&changes, now),
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
                    self.count(&uid, now);
                }
                Some((_, Wake::Override(uid))) => self.end_overrides(&uid, now),
                Some((_, Wake::Disagrees(uid))) => self.disagrees(&uid),
                Some((_, Wake::Probe(check))) => self.probe(&check, now),
                Some((_, Wake::Pace)) | None => {}
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
            return self.drop_pod(&pod.uid, now);
        }
        let list = self.lists.get(&scope).copied().unwrap_or_default();
        let version = resource_version.parse().unwrap_or(0);
        let digest = pod.due_digest(|kind| self.is_own(&pod, kind));
        let uid: Arc<str> = pod.uid.as_str().into();
        let pretends = self.options.dry_run;
        let changed = match self.pods.get_mut(&uid) {
            Some(entry) if entry.lists(&pod) => {
                (entry.scope, entry.list) = (scope, list);
                if entry.outdates(version) {
                    return;
                }
                let changed = entry.digest != digest;
                let renewed = changed && identity::renewed(&entry.packed.open(), &pod) | entry.moved(&pod);
                entry.packed = Packed::new(&pod);
                (entry.version, entry.generation, entry.digest) = (version, pod.generation, digest);
                entry.look(&pod);
                let pretended = pretends && entry.gates.iter().any(|gate| gate.wrote.is_some());
                if !pretended {
                    entry.read_standing(&pod);
                    let contested = entry.contested();
                    self.actions.extend(contested.into_iter().map(Action::Note));
                }
                if renewed {
                    self.renew(&uid);
                }
                self.follow_owner(&uid, &pod, now);
                changed
            }
            _ => {
                self.drop_pod(&uid, now);
                self.add_pod(&pod, (scope, list), version, digest);
                true
            }
        };
        if changed {
            self.assign(&uid, &pod);
            self.read_overrides(&uid, &pod, now);
        }
        self.watch_agreement(&uid, &pod, now);
        self.prepare(&uid, &pod, changed, now);
        self.plan_write(&uid, now);
        self.count(&uid, now);
    }

    fn add_pod(&mut self, pod: &Pod, (scope, list): (u32, u32), version: u64, digest: u64) {
        let uid: Arc<str> = pod.uid.as_str().into();
        let gates = pod.gates.iter().map(|kind| Gate::new(self.name(kind), false, pod)).collect();
        let mut entry = Box::new(Entry {
            uid: uid.clone(),
            namespace: self.name(&pod.namespace),
            packed: Packed::new(pod),
            ip: 0,
            scope,
            list,
            version,
            written: 0,
            generation: pod.generation,
            digest,
            gates,
            write: Write { in_flight: self.writes.holds(&uid), ..Write::default() },
            owner: owners::owner(pod),
            spent: false,
            budgets: Vec::new(),
            ready: false,
            was_ready: identity::has_been_ready(pod),
            disagrees: None,
            overrides: 0,
        });
        entry.moved(pod);
        entry.look(pod);
        for gate in &mut entry.gates {
            self.resume(&uid, gate);
        }
        entry.spent = entry.is_lost();
        self.owners.join(&entry);
        self.pods.insert(uid, entry);
    }

    /// A gate that was let go and comes back may still have a call in flight: it waits for its end, which tells nothing.
    pub(super) fn resume(&self, uid: &Arc<str>, gate: &mut Gate) {
        let key = gate.key(uid);
        if let Some((id, flight)) = self.calls.iter().find(|(_, flight)| flight.key == key) {
            gate.state = State::Running(*id);
            gate.epoch = flight.epoch.wrapping_add(1);
        }
    }

    fn drop_pod(&mut self, uid: &str, now: Now) {
        let Some(mut entry) = self.pods.remove(uid) else { return };
        for gate in &mut entry.gates {
            self.keeping.forget(gate);
            self.reading.forget(uid, gate);
            self.quarantine.forget(&entry.uid, gate);
            if let Some(at) = gate.timer {
                self.timers.remove(&(at, Wake::Gate(gate.key(&entry.uid))));
            }
        }
        if let Some(at) = entry.write.timer {
            self.timers.remove(&(at, Wake::Write(entry.uid.clone())));
        }
        if let Some(at) = entry.disagrees {
            self.timers.remove(&(at, Wake::Disagrees(entry.uid.clone())));
        }
        if let Some(at) = entry.overrides_end() {
            self.timers.remove(&(at, Wake::Override(entry.uid.clone())));
        }
        let turns = self.owners.leave(&entry);
        self.take_turns(turns, now);
    }

    /// Drops what a complete list did not hold; after the first one the owners' pods are known.
    fn sweep(&mut self, scope: u32, now: Now) {
        self.revision += 1;
        let list = self.lists.get(&scope).copied().unwrap_or_default();
        let stale = |e: &Entry| e.scope == scope && e.list != list;
        let gone: Vec<_> = self.pods.values().filter(|e| stale(e)).map(|e| e.uid.clone()).collect();
        for uid in gone {
            self.drop_pod(&uid, now);
        }
        if self.listed.insert(scope) {
            let waits = |entry: &Entry| entry.gates.iter().any(|gate| gate.hold == Some(Hold::Unlisted));
            let waiting: Vec<_> = self.pods.values().filter(|e| waits(e)).map(|e| e.uid.clone()).collect();
            self.take_turns(waiting, now);
        }
    }

    /// Whether every list that was begun has been completed once.
    pub(super) fn is_listed(&self) -> bool {
        !self.lists.is_empty() && self.lists.keys().all(|scope| self.listed.contains(scope))
    }

    /// Whether the host writes a pod's condition of this type, so that it makes no gate due.
    fn is_own(&self, pod: &Pod, kind: &str) -> bool {
        (self.rules.live.contains_key(kind) || self.claims(kind)) && pod.gates.iter().any(|gate| gate == kind)
    }

    /// Which conditions are the host's own depends on the checks, and so do the digests.
    pub(super) fn redigest(&mut self) {
        let mut pods = std::mem::take(&mut self.pods);
        for entry in pods.values_mut() {
            let pod = entry.packed.open();
            let digest = pod.due_digest(|kind| self.is_own(&pod, kind));
            let before = std::mem::replace(&mut entry.digest, digest);
            // What was judged on the pod as it is was judged on the pod as it is.
            for gate in entry.gates.iter_mut().filter(|gate| gate.judged == before) {
                gate.judged = digest;
            }
            let running =
                self.calls.values_mut().filter(|flight| flight.key.uid == entry.uid && flight.digest == before);
            running.for_each(|flight| flight.digest = digest);
        }
        self.pods = pods;
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        // Names that no pod has any more are swept out before they pile up.
        if self.names.len() >= 1024 {
            self.names.retain(|name| Arc::strong_count(name) > 1);
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }
}

/// A gate and the pod it belongs to.
pub(super) fn find<'a>(
    pods: &'a mut HashMap<Arc<str>, Box<Entry>>,
    key: &GateKey,
) -> Option<(&'a Packed, &'a mut Gate)> {
    let entry = pods.get_mut(&key.uid)?;
    let gate = entry.gates.iter_mut().find(|gate| gate.dry_run == key.dry_run && gate.kind == key.gate)?;
    Some((&entry.packed, gate))
}
