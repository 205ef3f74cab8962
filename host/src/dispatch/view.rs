//! What the core shows of itself.

use std::{collections::BTreeMap, sync::Arc};

use super::{Core, gate::State};
use crate::{
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
    /// What the check decided last or, before it has, what stands on the pod.
    pub condition: Option<&'a Condition>,
    /// The last answer was this fault.
    pub fault: Option<&'a Fault>,
}

impl Core {
    /// All gates, in no order.
    pub fn gates(&self) -> impl Iterator<Item = GateView<'_>> {
        self.pods.values().flat_map(|entry| entry.gates.iter().map(move |gate| (entry, gate))).map(|(entry, gate)| {
            GateView {
                uid: &entry.uid,
                pod: &entry.packed,
                gate: &gate.kind,
                check: self.rules.live.get(&gate.kind).map(|rule| &rule.check),
                condition: gate.decided.as_deref().or(gate.standing.as_deref()),
                fault: gate.fault.as_deref(),
            }
        })
    }

    /// How many gates each check has by what stands on their pods; nothing stands where the status is none. It walks
    /// over all gates.
    pub fn tally(&self) -> BTreeMap<(Arc<str>, Option<Status>), u64> {
        let mut tally = BTreeMap::new();
        for gate in self.pods.values().flat_map(|entry| entry.gates.iter()) {
            if let Some(rule) = self.rules.live.get(&gate.kind) {
                let status = gate.standing.as_ref().map(|standing| standing.status);
                *tally.entry((rule.check.clone(), status)).or_default() += 1;
            }
        }
        tally
    }

    /// Whether every gate with a check has been answered, and nothing is due, in flight or unwritten.
    pub fn settled(&self) -> bool {
        let answered = |gate: &super::gate::Gate| gate.answered && gate.state == State::Idle && !gate.changed;
        self.calls.is_empty()
            && self.writes.idle()
            && self
                .pods
                .values()
                .flat_map(|entry| entry.gates.iter())
                .all(|gate| !self.rules.live.contains_key(&gate.kind) || answered(gate))
    }
}
