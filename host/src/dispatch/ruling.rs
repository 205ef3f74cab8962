//! Which check answers which gate.

use std::{collections::BTreeSet, sync::Arc};

use super::{Action, Core, NoteKind, Now, Rule, Rules, core::Wake, entry::note, gate::Gate};
use crate::{check::is_reserved, pod::Pod};

impl Core {
    pub(super) fn take_rules(&mut self, rules: Rules, now: Now) {
        self.revision += 1;
        let before = std::mem::replace(&mut self.rules, rules);
        let after = &self.rules;
        let kinds = |rules: &Rules| rules.live.keys().chain(rules.dry_run.keys()).cloned().collect::<BTreeSet<_>>();
        let mut moved: BTreeSet<_> = kinds(&before).union(&kinds(after)).cloned().collect();
        moved.retain(|kind| {
            before.live.get(kind) != after.live.get(kind) || before.dry_run.get(kind) != after.dry_run.get(kind)
        });
        let begins = after.scanned && !before.scanned;
        if !before.live.keys().eq(after.live.keys()) {
            self.redigest();
        }
        let concerned =
            self.pods.values().filter(|entry| begins || entry.gates.iter().any(|g| moved.contains(&g.kind)));
        let uids: Vec<_> = concerned.map(|entry| entry.uid.clone()).collect();
        self.end_quarantines();
        self.assign_all(uids, now);
    }

    pub(super) fn namespace(&mut self, name: Arc<str>, labels: Vec<(String, String)>, now: Now) {
        if self.namespaces.get(&name) == Some(&labels) {
            return;
        }
        self.namespaces.insert(name.clone(), labels);
        let by_labels = |rule: &Arc<Rule>| rule.select.namespace_labels.is_some();
        if self.rules.live.values().chain(self.rules.dry_run.values()).any(by_labels) {
            let inside = self.pods.values().filter(|entry| entry.namespace == name);
            let uids = inside.map(|entry| entry.uid.clone()).collect();
            self.assign_all(uids, now);
        }
    }

    fn assign_all(&mut self, uids: Vec<Arc<str>>, now: Now) {
        for uid in uids {
            let Some(pod) = self.pods.get(&uid).map(|entry| entry.packed.open()) else { continue };
            self.assign(&uid, &pod);
            self.read_overrides(&uid, &pod, now);
            self.prepare(&uid, &pod, false, now);
            self.plan_write(&uid, now);
            self.count(&uid, now);
        }
    }

    /// Gives each gate of a pod the check that answers it, and tells where there is none.
    pub(super) fn assign(&mut self, uid: &Arc<str>, pod: &Pod) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let labels = self.namespaces.get(&entry.namespace).map(Vec::as_slice);
        let selects = |rule: &&Arc<Rule>| rule.select.selects(&pod.namespace, labels, &pod.labels);
        for at in 0..entry.gates.len() {
            let gate = &mut entry.gates[at];
            let rules = if gate.dry_run { &self.rules.dry_run } else { &self.rules.live };
            let rule = rules.get(&gate.kind).filter(|_| !is_reserved(&gate.kind)).filter(selects).cloned();
            if gate.rule == rule {
                continue;
            }
            let means_the_same =
                gate.rule.as_ref().zip(rule.as_ref()).is_some_and(|(old, new)| {
                    old.check == new.check && old.memory.is_some() && old.memory == new.memory
                });
            if !means_the_same {
                self.keeping.forget(gate);
            }
            self.reading.forget(uid, gate);
            self.quarantine.forget(uid, gate);
            gate.forget();
            gate.rule = rule;
            if let Some(at) = gate.timer.take() {
                // It is due at once, or not at all.
                self.timers.remove(&(at, Wake::Gate(gate.key(uid))));
            }
        }
        entry.gates.retain(|gate| !gate.dry_run || gate.rule.is_some());
        let mut tried = Vec::new();
        for kind in &pod.gates {
            let rule = self.rules.dry_run.get(kind.as_str()).filter(|_| !is_reserved(kind)).filter(selects);
            let is_it = |gate: &&Gate| *gate.kind == **kind;
            let known = entry.gates.iter().filter(is_it).any(|gate| gate.dry_run);
            let live = entry.gates.iter().find(is_it).map(|gate| gate.kind.clone());
            if let (Some(rule), Some(kind), false) = (rule, live, known) {
                tried.push(Gate { rule: Some(rule.clone()), ..Gate::new(kind, true, pod) });
            }
        }
        for gate in &mut tried {
            self.resume(uid, gate);
        }
        if let Some(entry) = self.pods.get_mut(uid) {
            entry.gates.append(&mut tried);
        }
        self.tell_unanswered(uid, pod);
    }

    /// A gate that no check answers: under a claimed domain it gets a condition where none stands, and people hear of
    /// it; as well where the check that it names does not select the pod.
    fn tell_unanswered(&mut self, uid: &Arc<str>, pod: &Pod) {
        if !self.rules.scanned {
            return;
        }
        let mut unanswered = Vec::new();
        for gate in self.pods.get(uid).iter().flat_map(|entry| &entry.gates).filter(|gate| gate.rule.is_none()) {
            let claimed = self.claims(&gate.kind) && !is_reserved(&gate.kind);
            let why = match self.rules.live.get(&gate.kind).filter(|_| !is_reserved(&gate.kind)) {
                None if claimed => "no check answers this gate: add one to the host's directories".to_owned(),
                None => continue,
                Some(rule)
                    if rule.select.namespace_labels.is_some() && !self.namespaces.contains_key(&*pod.namespace) =>
                {
                    // Its labels are on their way.
                    continue;
                }
                Some(rule) => {
                    format!("check {} answers this gate, but not on this pod: see its spec.select", rule.check)
                }
            };
            unanswered.push((gate.kind.clone(), claimed, why));
        }
        let Some(entry) = self.pods.get_mut(uid) else { return };
        for (kind, claimed, why) in unanswered {
            let Some(at) = entry.gates.iter().position(|gate| gate.kind == kind && !gate.dry_run) else { continue };
            let gate = &mut entry.gates[at];
            // The API server stores any status: what stands may be none of the three.
            if claimed && pod.condition(&kind).is_none() {
                gate.memory.unanswered(pod, &why);
            }
            if !std::mem::replace(&mut gate.rare().told_unanswered, true) {
                let note = note(entry, Some(&entry.gates[at]), NoteKind::NotAnswered, why);
                self.actions.push(Action::Note(note));
            }
        }
    }

    /// Whether a gate is under a domain that `--claim` names.
    pub(super) fn claims(&self, kind: &str) -> bool {
        let under = |domain: &str, root: &str| {
            domain.strip_suffix(root).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        let domain = kind.split_once('/').map(|(domain, _)| domain);
        domain.is_some_and(|domain| self.options.claims.iter().any(|root| under(domain, root)))
    }
}
