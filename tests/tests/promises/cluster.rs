//! The server and kubelet of the model: pods with versions, a watch that lags, and what kubelet makes of gates.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use gatehost::{
    decide::{Condition, Status},
    dispatch::{Event, Patch},
    pod::{self, Container, ContainerState, Owner, Pod, Role, Seen},
};

/// `Ready` is kubelet's: a rule for it must change nothing.
pub(crate) const TYPES: [&str; 3] = ["example.com/a", "example.com/b", "Ready"];
/// No check answers it, and nobody claims its domain.
pub(crate) const UNANSWERED: &str = "unanswered.io/x";
/// No check answers it, and `--claim` may name its domain.
pub(crate) const CLAIMED: &str = "gates.claimed.io/c";
pub(crate) const NOTE: &str = "example.com/note";
/// Pods of this slot and those after it have no owner; those before share one.
pub(crate) const ALONE: usize = 5;
/// How long before the first instant of the model its pods were made, in Unix milliseconds.
pub(crate) const START: i64 = 1_700_000_000_000;

/// What a watch tells.
#[derive(Clone, Debug)]
pub(crate) enum Told {
    Pod(Box<Stored>),
    Gone(String),
    Namespace(String, Vec<(String, String)>),
}

/// A pod on the server, and what the model alone knows of it.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) pod: Pod,
    pub(crate) version: u64,
    pub(crate) over: bool,
    /// Counts containers' restarts and new IPs.
    pub(crate) identity: u32,
    /// Gates that have been True.
    pub(crate) ever_true: BTreeSet<String>,
    /// Gates that a verdict has been written of, and the identity that it was about.
    pub(crate) judged: BTreeMap<String, u32>,
    /// Gates that were overridden.
    pub(crate) overridden: BTreeSet<String>,
    /// Gates that a patch of the host turned from True although nothing made their verdicts void, until they are True
    /// again.
    pub(crate) taken: BTreeSet<String>,
}

/// The server.
pub(crate) struct Cluster {
    pub(crate) pods: BTreeMap<usize, Stored>,
    pub(crate) watch: VecDeque<Told>,
    pub(crate) version: u64,
    uids: u64,
    /// Each version of each pod.
    pub(crate) history: HashMap<(String, u64), Stored>,
    /// What a lagging replica may still answer.
    snapshots: VecDeque<Vec<(String, u64)>>,
}

impl Stored {
    pub(crate) fn event(&self) -> Event {
        let seen = Seen { pod: self.pod.clone(), resource_version: self.version.to_string(), over: self.over };
        Event::Pod(0, Box::new(seen))
    }

    pub(crate) fn status(&self, kind: &str) -> Option<&str> {
        self.pod.condition(kind).map(|condition| condition.status.as_str())
    }

    pub(crate) fn is_true(&self, kind: &str) -> bool {
        self.status(kind) == Some("True")
    }

    /// Sets a condition as kubelet or a stranger does.
    pub(crate) fn set(&mut self, kind: &str, status: &str, wall: i64) {
        let old = self.pod.condition(kind).cloned();
        let same = old.as_ref().is_some_and(|old| old.status == status);
        let last_transition = if same { old.and_then(|old| old.last_transition) } else { Some(wall - wall % 1000) };
        self.pod.conditions.retain(|(other, _)| other != kind);
        let made = pod::Condition { status: status.into(), last_transition, ..pod::Condition::default() };
        self.pod.conditions.push((kind.into(), made));
        if status == "True" {
            self.ever_true.insert(kind.into());
            self.taken.remove(kind);
        }
    }

    fn ready(&self) -> bool {
        self.is_true("ContainersReady") && self.pod.gates.iter().all(|gate| self.is_true(gate))
    }
}

/// What plugins can see of a pod, but for what makes no gate due: the host's own conditions, kubelet's `Ready`, and the
/// times and messages of any condition.
pub(crate) fn visible(pod: &Pod) -> Pod {
    let mut pod = pod.clone();
    let own = |kind: &str| TYPES.contains(&kind) || kind == CLAIMED;
    pod.conditions.retain(|(kind, _)| !own(kind));
    for (_, condition) in &mut pod.conditions {
        (condition.last_transition, condition.message) = (None, String::new());
    }
    pod.conditions.sort_by(|(one, _), (other, _)| one.cmp(other));
    pod
}

pub(crate) fn note(pod: &Pod) -> u64 {
    pod.annotations.iter().find(|(key, _)| key == NOTE).map_or(0, |(_, value)| value.parse().unwrap())
}

impl Cluster {
    pub(crate) fn new() -> Self {
        Self {
            pods: BTreeMap::new(),
            watch: VecDeque::new(),
            version: 1,
            uids: 0,
            history: HashMap::new(),
            snapshots: VecDeque::new(),
        }
    }

    /// Changes a pod, or makes it where there is none.
    pub(crate) fn touch(&mut self, slot: usize, wall: i64, change: impl FnOnce(&mut Stored)) {
        if !self.pods.contains_key(&slot) {
            self.uids += 1;
            let made = make(slot, self.uids, wall);
            self.pods.insert(slot, made);
        }
        let stored = self.pods.get_mut(&slot).unwrap();
        change(stored);
        self.tell(slot);
    }

    /// The pod has a new version.
    fn tell(&mut self, slot: usize) {
        self.version += 1;
        let stored = self.pods.get_mut(&slot).unwrap();
        stored.version = self.version;
        self.history.insert((stored.pod.uid.clone(), stored.version), stored.clone());
        self.watch.push_back(Told::Pod(stored.clone().into()));
        self.snapshots.push_back(self.pods.values().map(|pod| (pod.pod.uid.clone(), pod.version)).collect());
        if self.snapshots.len() > 12 {
            self.snapshots.pop_front();
        }
    }

    pub(crate) fn delete(&mut self, slot: usize) {
        if let Some(stored) = self.pods.remove(&slot) {
            self.version += 1;
            self.watch.push_back(Told::Gone(stored.pod.uid));
        }
    }

    /// Kubelet looks at a pod and says whether it is Ready.
    pub(crate) fn kubelet(&mut self, slot: usize, wall: i64) {
        let Some(stored) = self.pods.get(&slot) else { return };
        let ready = if stored.ready() { "True" } else { "False" };
        if stored.status("Ready") != Some(ready) {
            self.touch(slot, wall, |stored| stored.set("Ready", ready, wall));
        }
    }

    pub(crate) fn containers_ready(&mut self, slot: usize, ready: bool, wall: i64) {
        let Some(stored) = self.pods.get(&slot) else { return };
        let status = if ready { "True" } else { "False" };
        if stored.status("ContainersReady") != Some(status) {
            self.touch(slot, wall, |stored| stored.set("ContainersReady", status, wall));
        }
    }

    /// A container restarts; kubelet tells of it while it is not ready, or only once it is ready again.
    pub(crate) fn restart(&mut self, slot: usize, told_late: bool, wall: i64) {
        if self.pods.contains_key(&slot) {
            self.touch(slot, wall, |stored| {
                let container = &mut stored.pod.containers[0];
                container.restarts += 1;
                container.started_at = Some(wall - wall % 1000);
                stored.identity += 1;
                stored.set("ContainersReady", if told_late { "True" } else { "False" }, wall);
            });
        }
    }

    /// What a replica that lags may answer. One that has not heard of a pod at all would let the host forget it.
    pub(crate) fn past(&self) -> Vec<Vec<Stored>> {
        let complete =
            |list: &&Vec<(String, u64)>| self.pods.values().all(|pod| list.iter().any(|(uid, _)| *uid == pod.pod.uid));
        let read = |list: &Vec<(String, u64)>| list.iter().map(|pod| self.history[pod].clone()).collect();
        self.snapshots.iter().filter(complete).map(read).collect()
    }

    pub(crate) fn find(&self, uid: &str) -> Option<(usize, &Stored)> {
        self.pods.iter().find(|(_, stored)| stored.pod.uid == uid).map(|(slot, stored)| (*slot, stored))
    }

    /// A patch that the server takes. `turns` are the gates that it turns from True, and that are not void.
    pub(crate) fn apply(&mut self, patch: &Patch, turns: &BTreeSet<Arc<str>>) {
        let (slot, _) = self.find(&patch.uid).unwrap();
        let stored = self.pods.get_mut(&slot).unwrap();
        for (kind, condition) in &patch.conditions {
            let old = stored.pod.condition(kind).cloned();
            let (was, is) = (stored.is_true(kind), condition.status == Status::True);
            let made = written(condition, old.as_ref());
            stored.pod.conditions.retain(|(other, _)| **other != **kind);
            stored.pod.conditions.push((kind.to_string(), made));
            if condition.reason == "Overridden" {
                stored.overridden.insert(kind.to_string());
            }
            if condition.reason == "Because" {
                stored.judged.insert(kind.to_string(), stored.identity);
            }
            if is {
                stored.ever_true.insert(kind.to_string());
                stored.taken.remove(&**kind);
            } else if was && turns.contains(kind) {
                stored.taken.insert(kind.to_string());
            }
        }
        self.tell(slot);
    }
}

fn written(condition: &Condition, old: Option<&pod::Condition>) -> pod::Condition {
    pod::Condition {
        status: condition.status.as_str().into(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        last_transition: condition.last_transition.or(old.and_then(|old| old.last_transition)),
        observed_generation: condition.observed_generation,
    }
}

fn make(slot: usize, n: u64, wall: i64) -> Stored {
    // No pod with a gate `Ready`, or with one that nobody answers, is ever Ready; some have them all the same.
    let listed = TYPES.iter().filter(|kind| **kind != "Ready" || slot == 3 || slot > ALONE);
    let unanswered = [UNANSWERED, CLAIMED].into_iter().filter(|_| !matches!(slot, 2 | 4 | ALONE));
    let gates = listed.copied().chain(unanswered).map(ToString::to_string).collect();
    let container = Container {
        name: "app".into(),
        role: Role::App,
        state: ContainerState::Running,
        ready: true,
        restarts: 0,
        started_at: Some(wall - wall % 1000 - 10_000),
    };
    let owner = (slot < ALONE).then(|| Owner {
        api_version: "apps/v1".into(),
        kind: "ReplicaSet".into(),
        name: "web".into(),
        uid: "owner".into(),
    });
    let pod = Pod {
        namespace: if slot < 4 { "shop" } else { "late" }.into(),
        name: format!("pod-{slot}"),
        uid: format!("uid-{n}"),
        generation: 1,
        created_at: wall - wall % 1000 - 20_000,
        labels: vec![("app".into(), "web".into())],
        ip: Some(format!("10.0.0.{n}")),
        phase: "Running".into(),
        containers: vec![container],
        owner,
        gates,
        ..Pod::default()
    };
    let [ever_true, overridden, taken] = [const { BTreeSet::new() }; 3];
    let judged = BTreeMap::new();
    let mut stored = Stored { pod, version: 0, over: false, identity: 0, ever_true, judged, overridden, taken };
    stored.set("PodScheduled", "True", wall - 15_000);
    stored.set("Ready", "False", wall - 15_000);
    stored.set("ContainersReady", "True", wall - 10_000);
    stored
}
