//! What the host has been told: the model's own account of it, from which it tells what the host may do.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gatehost::{
    check::is_reserved,
    dispatch::{Event, GateKey, Outcome, Patch, Rule},
    pod::Pod,
};
use proptest::sample::Index;

use super::{
    cluster::{Stored, Told},
    reference::Reference,
    world::World,
};

pub(crate) const OVERRIDE: &str = "gatehost.dev/override";
/// How long a write whose end nobody knows counts as done.
const DOUBT: Duration = Duration::from_secs(65);

/// A pod as the host has been told of it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) pod: Pod,
    pub(crate) version: u64,
    /// The version of the host's own last write.
    written: u64,
    /// Counts restarts and new IPs.
    pub(crate) epoch: u32,
    pub(crate) was_ready: bool,
    ip: Option<String>,
}

impl Known {
    fn new(stored: &Stored) -> Self {
        let (pod, version) = (stored.pod.clone(), stored.version);
        let since = |kind: &str| pod.condition(kind).and_then(|c| c.last_transition);
        // Kubelet's first word is False: what changed later had been True.
        let changed = since("Ready").zip(since("PodScheduled")).is_some_and(|(ready, born)| ready > born + 5_000);
        let (was_ready, ip) = (is_ready(&pod) || changed, pod.ip.clone());
        Self { pod, version, written: 0, epoch: 0, was_ready, ip }
    }

    pub(crate) fn is_ready(&self) -> bool {
        is_ready(&self.pod)
    }

    /// Takes a newer state; whether a container restarted or the IP is a new one.
    fn take(&mut self, stored: &Stored) -> bool {
        let (old, new) = (&self.pod.containers[0], &stored.pod.containers[0]);
        let renewed = new.restarts > old.restarts || new.started_at > old.started_at || self.ip != stored.pod.ip;
        self.ip.clone_from(&stored.pod.ip);
        (self.pod, self.version) = (stored.pod.clone(), stored.version);
        self.was_ready |= self.is_ready();
        self.epoch += u32::from(renewed);
        renewed
    }
}

fn is_ready(pod: &Pod) -> bool {
    pod.condition("Ready").is_some_and(|c| c.status == "True")
}

impl World {
    /// The host hears of something.
    pub(super) fn tell(&mut self, told: Told) {
        match told {
            Told::Pod(stored) => {
                self.core.handle(stored.event(), self.now);
                self.hear(&stored);
            }
            Told::Gone(uid) => {
                self.core.handle(Event::Gone(uid.as_str().into()), self.now);
                self.forget(&uid);
            }
            Told::Namespace(name, labels) => {
                self.core.handle(Event::Namespace(name.as_str().into(), labels.clone()), self.now);
                self.namespaces.insert(name, labels);
                self.assign();
            }
        }
    }

    /// A list of all pods: as they are, or as a replica that lags has them. Afterwards the watch goes on from there.
    pub(super) fn relist(&mut self, old: Option<Index>) {
        let current: Vec<_> = self.cluster.pods.values().cloned().collect();
        let candidates = self.cluster.past();
        let list = match old {
            // A host's first list is read from a quorum.
            Some(which) if self.listed && !candidates.is_empty() => candidates[which.index(candidates.len())].clone(),
            _ => current.clone(),
        };
        self.core.handle(Event::ListStarted(0), self.now);
        for stored in &list {
            self.list(stored);
        }
        let gone: Vec<_> =
            self.view.keys().filter(|uid| !list.iter().any(|listed| listed.pod.uid == **uid)).cloned().collect();
        for uid in &gone {
            self.forget(uid);
        }
        self.core.handle(Event::ListDone(0), self.now);
        self.listed = true;
        let since = |uid: &str, version: u64| !list.iter().any(|old| old.pod.uid == uid && old.version >= version);
        self.cluster.watch.retain(|told| matches!(told, Told::Namespace(..)));
        let gone = list.iter().filter(|old| !current.iter().any(|pod| pod.pod.uid == old.pod.uid));
        let gone = gone.map(|old| Told::Gone(old.pod.uid.clone()));
        let newer = current.iter().filter(|pod| since(&pod.pod.uid, pod.version));
        let told: Vec<_> = gone.chain(newer.map(|pod| Told::Pod(pod.clone().into()))).collect();
        self.cluster.watch.extend(told);
    }

    pub(super) fn list(&mut self, stored: &Stored) {
        self.core.handle(stored.event(), self.now);
        self.hear(stored);
    }

    fn forget(&mut self, uid: &str) {
        self.drop_calls(|key| *key.uid == *uid);
        self.view.remove(uid);
        self.references.retain(|key, _| *key.uid != *uid);
    }

    /// What comes of these calls does not count.
    fn drop_calls(&mut self, of: impl Fn(&GateKey) -> bool) {
        for call in self.calls.iter().filter(|call| of(&call.key)) {
            self.asked.remove(&call.id);
        }
    }

    fn hear(&mut self, stored: &Stored) {
        let uid = stored.pod.uid.as_str();
        if stored.over {
            return self.forget(uid);
        }
        let now = self.now.mono;
        let in_flight = self.patches.iter().any(|patch| *patch.uid == *uid);
        match self.view.get_mut(uid) {
            Some(known) if stored.version < known.version => return,
            Some(known) => {
                let renewed = known.take(stored);
                let stands = known.version >= known.written;
                for (key, reference) in self.references.iter_mut().filter(|(key, _)| *key.uid == *uid) {
                    if stands && !key.dry_run {
                        let standing = stored.pod.condition(&key.gate);
                        let status = standing.and_then(|c| super::reference::read(&c.status));
                        reference.stand(status, standing.map_or("", |c| &c.message));
                        if !in_flight && (reference.doubt.is_none() || reference.sent == status) {
                            reference.sent = None;
                        }
                        if reference.doubt.is_some_and(|until| until <= now) {
                            (reference.sent, reference.doubt) = (None, None);
                        }
                    }
                    if renewed {
                        reference.renew();
                    }
                }
            }
            None => {
                self.view.insert(uid.to_owned(), Known::new(stored));
            }
        }
        self.assign();
    }

    /// The check that answers a gate of a pod.
    fn rule_of(&self, pod: &Pod, kind: &str, dry_run: bool) -> Option<Arc<Rule>> {
        let rules = if dry_run { &self.rules.dry_run } else { &self.rules.live };
        let rule = rules.get(kind).filter(|_| !is_reserved(kind))?;
        let labels = self.namespaces.get(&pod.namespace).map(Vec::as_slice);
        rule.select.selects(&pod.namespace, labels, &pod.labels).then(|| rule.clone())
    }

    /// Each gate of each pod has the check that answers it.
    pub(super) fn assign(&mut self) {
        let mut references = std::mem::take(&mut self.references);
        let mut gone = BTreeSet::new();
        for known in self.view.values() {
            for kind in known.pod.gates.iter().filter(|kind| !is_reserved(kind)) {
                for dry_run in [false, true] {
                    let key = GateKey { uid: known.pod.uid.as_str().into(), gate: kind.as_str().into(), dry_run };
                    let rule = self.rule_of(&known.pod, kind, dry_run);
                    if dry_run && rule.is_none() {
                        if references.remove(&key).is_some() {
                            gone.insert(key);
                        }
                        continue;
                    }
                    let reference = references.entry(key).or_insert_with(|| Reference::new(&known.pod, kind));
                    reference.assign(rule);
                }
            }
        }
        self.references = references;
        self.drop_calls(|key| gone.contains(key));
    }

    /// The host hears how a write ended.
    pub(super) fn wrote(&mut self, patch: &Patch, outcome: &Outcome) {
        if matches!(outcome, Outcome::Replaced) {
            return self.forget(&patch.uid);
        }
        let Some(known) = self.view.get_mut(&*patch.uid) else { return };
        let stands = matches!(outcome, Outcome::Written(_));
        for (key, reference) in self.references.iter_mut().filter(|(key, _)| key.uid == patch.uid) {
            // The end of a write tells nothing of what an earlier one may have left.
            let its = patch.conditions.iter().any(|(kind, _)| *kind == key.gate);
            if matches!(outcome, Outcome::Failed { .. }) {
                reference.doubt = Some(self.now.mono + DOUBT);
            } else if reference.doubt.is_none() || stands && its {
                (reference.sent, reference.doubt) = (None, None);
            }
        }
        let Outcome::Written(Some(version)) = *outcome else { return };
        known.written = known.written.max(version);
        if known.version >= version {
            return;
        }
        if patch.version == Some(known.version) {
            known.version = version;
        }
        for (kind, condition) in &patch.conditions {
            let key = GateKey { uid: patch.uid.clone(), gate: kind.clone(), dry_run: false };
            if let Some(reference) = self.references.get_mut(&key) {
                reference.stand(Some(condition.status), &condition.message);
            }
        }
    }
}
