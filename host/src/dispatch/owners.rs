//! The disruption budget: how many pods of each owner have been taken out of service, and whose turn waits for it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{Core, Now, entry::Entry, gate::Hold};
use crate::{check::MaxUnready, pod::Pod};

/// The pods by owner. A pod without one is an owner of itself.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<Arc<str>, Group>);

#[derive(Debug, Default)]
struct Group {
    pods: usize,
    /// Those that had been ready or True and are not now.
    lost: usize,
    /// Those with a gate that would turn and is held.
    held: BTreeSet<Arc<str>>,
    /// The budgets of all checks that answer a gate of one of them, and for how many.
    budgets: Vec<(MaxUnready, usize)>,
}

/// Whose budget a pod counts for.
pub(super) fn owner(pod: &Pod) -> Arc<str> {
    pod.owner.as_ref().map(|owner| owner.uid.as_str()).filter(|uid| !uid.is_empty()).unwrap_or(&pod.uid).into()
}

/// How people know it.
pub(super) fn describe(pod: &Pod) -> String {
    match &pod.owner {
        Some(owner) => format!("{} {}", owner.kind, owner.name),
        None => format!("pod {}", pod.name),
    }
}

impl Core {
    /// Counts the pod for its owner's budget anew, and lets those that wait for it try.
    pub(super) fn count(&mut self, uid: &Arc<str>, now: Now) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        self.owners.count(entry);
        let turns = self.owners.turns(entry);
        self.take_turns(turns, now);
    }

    pub(super) fn take_turns(&mut self, turns: Vec<Arc<str>>, now: Now) {
        for uid in turns {
            if let Some(entry) = self.pods.get_mut(&uid) {
                for gate in &mut entry.gates {
                    if matches!(gate.hold, Some(Hold::Budget(_) | Hold::Unlisted)) {
                        gate.hold = None;
                    }
                }
            }
            self.plan_write(&uid, now);
        }
    }

    /// A pod may be released from its owner, or adopted by another one.
    pub(super) fn follow_owner(&mut self, uid: &Arc<str>, pod: &Pod, now: Now) {
        let Some(entry) = self.pods.get_mut(uid).filter(|entry| entry.owner != owner(pod)) else { return };
        let turns = self.owners.leave(entry);
        entry.owner = owner(pod);
        self.owners.join(entry);
        self.take_turns(turns, now);
        // What the former owner's budget held is up to the new one's.
        self.take_turns(vec![uid.clone()], now);
    }
}

impl Owners {
    pub(super) fn join(&mut self, entry: &Entry) {
        let group = self.0.entry(entry.owner.clone()).or_default();
        group.pods += 1;
        group.lost += usize::from(entry.spent);
        group.budget(&[], &entry.budgets);
    }

    /// The pod is gone. Whose turn may have come.
    pub(super) fn leave(&mut self, entry: &Entry) -> Vec<Arc<str>> {
        let Some(group) = self.0.get_mut(&entry.owner) else { return vec![] };
        group.pods = group.pods.saturating_sub(1);
        group.lost = group.lost.saturating_sub(usize::from(entry.spent));
        group.held.remove(&entry.uid);
        group.budget(&entry.budgets, &[]);
        if group.pods == 0 {
            self.0.remove(&entry.owner);
            return vec![];
        }
        self.turns(entry)
    }

    /// Takes note of whether the pod uses up a part of the budget, and of what its checks allow.
    pub(super) fn count(&mut self, entry: &mut Entry) {
        let budgets = entry.budgets();
        if entry.budgets != budgets
            && let Some(group) = self.0.get_mut(&entry.owner)
        {
            group.budget(&entry.budgets, &budgets);
            entry.budgets = budgets;
        }
        let lost = entry.is_lost();
        if std::mem::replace(&mut entry.spent, lost) != lost
            && let Some(group) = self.0.get_mut(&entry.owner)
        {
            group.lost = if lost { group.lost + 1 } else { group.lost.saturating_sub(1) };
        }
    }

    /// Whether the pod may be taken out of service: it is already, or the smallest budget of its owner's checks allows
    /// one more.
    pub(super) fn allow(&self, entry: &Entry) -> bool {
        entry.spent || self.0.get(&entry.owner).is_none_or(|group| group.free() > 0)
    }

    /// The pod waits for its turn.
    pub(super) fn hold(&mut self, entry: &Entry) {
        if let Some(group) = self.0.get_mut(&entry.owner) {
            group.held.insert(entry.uid.clone());
        }
    }

    /// The pod waits no more.
    pub(super) fn let_go(&mut self, entry: &Entry) {
        if let Some(group) = self.0.get_mut(&entry.owner) {
            group.held.remove(&entry.uid);
        }
    }

    /// Pods of the same owner that waited and may try now.
    pub(super) fn turns(&mut self, entry: &Entry) -> Vec<Arc<str>> {
        let Some(group) = self.0.get_mut(&entry.owner).filter(|group| !group.held.is_empty()) else { return vec![] };
        let free = group.free();
        let mut turns = Vec::new();
        while turns.len() < free
            && let Some(uid) = group.held.pop_first()
        {
            turns.push(uid);
        }
        turns
    }
}

impl Group {
    /// How many more pods may be taken out of service: of several checks the smallest budget counts.
    fn free(&self) -> usize {
        let most = self.budgets.iter().map(|(budget, _)| budget.of(self.pods)).min().unwrap_or(self.pods);
        most.saturating_sub(self.lost)
    }

    fn budget(&mut self, before: &[MaxUnready], after: &[MaxUnready]) {
        for budget in before {
            if let Some(known) = self.budgets.iter_mut().find(|(known, _)| known == budget) {
                known.1 = known.1.saturating_sub(1);
            }
        }
        for budget in after {
            match self.budgets.iter_mut().find(|(known, _)| known == budget) {
                Some(known) => known.1 += 1,
                None => self.budgets.push((*budget, 1)),
            }
        }
        self.budgets.retain(|(_, count)| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dispatch::{Event, Options},
        pod::{Condition, Seen},
    };

    /// Whether a host that begins takes a pod for one that has been taken out of service: its gate's status and reason,
    /// and kubelet's Ready with the second in which it changed.
    fn spends(gate: (&str, &str), ready: (&str, i64)) -> bool {
        let condition = |kind: &str, status: &str, reason: &str, second: i64| {
            let (status, reason) = (status.into(), reason.into());
            let made = Condition { status, reason, last_transition: Some(second * 1000), ..Condition::default() };
            (kind.into(), made)
        };
        let conditions = vec![
            condition("PodScheduled", "True", "", 0),
            condition("Ready", ready.0, "", ready.1),
            condition("example.com/a", gate.0, gate.1, 50),
        ];
        let pod = Pod { uid: "u".into(), gates: vec!["example.com/a".into()], conditions, ..Pod::default() };
        let seen = Seen { pod, resource_version: "1".into(), over: false };
        let mut core = Core::new(Options::default());
        core.handle(Event::ListStarted(0), Now::default());
        core.handle(Event::Pod(0, Box::new(seen)), Now::default());
        core.pods["u"].spent
    }

    #[test]
    fn a_host_that_begins_counts_what_was_in_service_by_its_gate_or_by_kubelet_whichever_tells() {
        let never = ("False", 0);
        assert!(!spends(("True", "Warm"), never), "the gate is open");
        assert!(spends(("False", "Cold"), never), "it may have been True");
        assert!(!spends(("Unknown", "InitialDelay"), never), "there was no verdict yet");
        assert!(spends(("Unknown", "InitialDelay"), ("False", 60)), "it had been Ready");
        assert!(spends(("Unknown", "InitialDelay"), ("True", 40)), "it will not be Ready for long");
        assert!(!spends(("True", "Warm"), ("True", 40)));
    }
}
