//! What the core shows of itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Core,
    gate::{Gate, Hold, State},
};
use crate::{
    check::Selection,
    decide::{Condition, Fault, Status},
    pod::Packed,
};

/// A gate as it is now.
#[derive(Clone, Copy, Debug)]
pub struct GateView<'a> {
    /// The pod's uid.
    pub uid: &'a Arc<str>,
    /// The pod.
    pub pod: &'a Packed,
    /// The condition type.
    pub gate: &'a Arc<str>,
    /// The check that answers it, if there is one.
    pub check: Option<&'a Arc<str>>,
    /// What should stand (by override or by the check's last answer) or, where nothing was decided yet, what stands on
    /// the pod. A gate that is held shows what holds it.
    pub condition: Option<&'a Condition>,
    /// The last answer was this fault.
    pub fault: Option<&'a Fault>,
    /// The dry-run check of this gate, and what it would decide, once it has answered.
    pub dry_run: Option<(&'a Arc<str>, Option<&'a Condition>)>,
}

/// Counts of gates, by check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By what stands on their pods; nothing stands where the status is none.
    pub standing: BTreeMap<(Arc<str>, Option<Status>), u64>,
    /// Held by the disruption budget or the damper.
    pub held: BTreeMap<Arc<str>, u64>,
    /// Without a verdict for 5 minutes.
    pub stale: BTreeMap<Arc<str>, u64>,
    /// 1 for a check in quarantine, 0 for any other.
    pub quarantined: BTreeMap<Arc<str>, u64>,
    /// Overridden.
    pub overridden: BTreeMap<Arc<str>, u64>,
    /// By dry-run check: those that it would decide differently.
    pub differs: BTreeMap<Arc<str>, u64>,
}

impl Core {
    /// All gates, in no order.
    pub fn gates(&self) -> impl Iterator<Item = GateView<'_>> {
        let gates = self.pods.values().flat_map(|entry| entry.gates.iter().map(move |gate| (entry, gate)));
        gates.filter(|(_, gate)| !gate.dry_run).map(|(entry, gate)| {
            let held = match &gate.hold {
                Some(Hold::Budget(held) | Hold::Damper(_, held)) => Some(&**held),
                Some(Hold::Unlisted) | None => None,
            };
            let dry = entry.gates.iter().find(|dry| dry.dry_run && dry.kind == gate.kind);
            GateView {
                uid: &entry.uid,
                pod: &entry.packed,
                gate: &gate.kind,
                check: gate.rule.as_ref().map(|rule| &rule.check),
                condition: held.or(gate.wanted().map(|wanted| &**wanted)).or(gate.standing.as_deref()),
                fault: gate.memory.fault.as_deref(),
                dry_run: dry.and_then(|dry| Some((&dry.rule.as_ref()?.check, dry.memory.opinion.as_deref()))),
            }
        })
    }

    /// Grows when the checks in force change or a list of pods is complete: when [`Core::unused`] is worth another look.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The checks whose selection matches none of the pods, once all are listed. It walks over all gates.
    pub fn unused(&self) -> BTreeSet<Arc<str>> {
        if !self.is_listed() {
            return BTreeSet::new();
        }
        let rules = self.rules.live.values().chain(self.rules.dry_run.values());
        let selecting = rules.filter(|rule| rule.select != Selection::default());
        let mut unused: BTreeSet<_> = selecting.map(|rule| rule.check.clone()).collect();
        if !unused.is_empty() {
            for rule in self.pods.values().flat_map(|entry| &entry.gates).filter_map(|gate| gate.rule.as_ref()) {
                unused.remove(&rule.check);
            }
        }
        unused
    }

    /// Counts the gates. It walks over all of them.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for gate in self.pods.values().flat_map(|entry| entry.gates.iter()) {
            let Some(rule) = &gate.rule else { continue };
            // A check whose gates are all well has a 0 and not nothing, so that a rate can be taken of the first.
            let count = |of: &mut BTreeMap<Arc<str>, u64>, counts: bool| {
                *of.entry(rule.check.clone()).or_default() += u64::from(counts);
            };
            if !tally.quarantined.contains_key(&rule.check) {
                tally.quarantined.insert(rule.check.clone(), self.quarantine.fault(&rule.check).is_some().into());
            }
            let rare = gate.rare.as_ref();
            if gate.dry_run {
                count(&mut tally.differs, rare.is_some_and(|rare| rare.differs));
                continue;
            }
            *tally.standing.entry((rule.check.clone(), gate.status())).or_default() += 1;
            count(&mut tally.held, matches!(gate.hold, Some(Hold::Budget(_) | Hold::Damper(..))));
            count(&mut tally.stale, rare.is_some_and(|rare| rare.told_stale));
            count(&mut tally.overridden, rare.is_some_and(|rare| rare.over.is_some()));
        }
        tally
    }

    /// Whether every gate with a check has been answered or waits for its pod, every change has been answered, and
    /// nothing is unwritten. Gates that are asked again only because their period has passed are settled all the same:
    /// where there are enough of them, one always is.
    pub fn settled(&self) -> bool {
        let asked_again = |gate: &Gate| match gate.state {
            State::Running(id) => self.calls.get(&id).is_none_or(|flight| flight.periodic),
            State::Idle | State::Waiting(_) => true,
        };
        let answered = |gate: &Gate| gate.asleep || gate.memory.answered && !gate.changed && asked_again(gate);
        let gates = || self.pods.values().flat_map(|entry| entry.gates.iter());
        self.writes.idle() && gates().all(|gate| gate.rule.is_none() || answered(gate))
    }
}
