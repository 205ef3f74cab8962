//! What plugins keep for gates between calls, and how much of it there is.

use std::{collections::HashMap, sync::Arc};

use super::gate::Gate;
use crate::sandbox::Kept;

/// How many bytes all gates of a check may keep together.
const CEILING: usize = 16 << 20;

/// How many bytes the gates of each check keep.
#[derive(Debug, Default)]
pub(super) struct Keeping(HashMap<Arc<str>, usize>);

impl Keeping {
    /// What a call for this gate finds, and how much it may leave.
    pub(super) fn of(&self, gate: &Gate) -> Kept {
        let Some(rule) = &gate.rule else { return Kept::default() };
        let bytes = gate.rare.as_ref().and_then(|rare| rare.kept.clone()).unwrap_or_default();
        let others = self.0.get(&rule.check).copied().unwrap_or(0).saturating_sub(bytes.len());
        Kept { room: CEILING.saturating_sub(others), bytes }
    }

    /// Keeps this for a gate instead of what was kept, if there still is room; nothing: forgets.
    pub(super) fn keep(&mut self, gate: &mut Gate, bytes: Arc<[u8]>) {
        let room = self.of(gate).room;
        if bytes.len() > room {
            return;
        }
        self.forget(gate);
        if let Some(rule) = gate.rule.as_ref().filter(|_| !bytes.is_empty()) {
            *self.0.entry(rule.check.clone()).or_default() += bytes.len();
            gate.rare().kept = Some(bytes);
        }
    }

    /// Forgets what was kept for a gate: before another check answers it, or it is gone.
    pub(super) fn forget(&mut self, gate: &mut Gate) {
        let Some(bytes) = gate.rare.as_mut().and_then(|rare| rare.kept.take()) else { return };
        let Some(rule) = &gate.rule else { return };
        if let Some(sum) = self.0.get_mut(&rule.check) {
            *sum = sum.saturating_sub(bytes.len());
            if *sum == 0 {
                self.0.remove(&rule.check);
            }
        }
    }

    /// How many bytes the gates of a check keep.
    #[cfg(test)]
    fn sum(&self, check: &str) -> usize {
        self.0.get(check).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        check::{Policy, Selection},
        dispatch::Rule,
        pod::Pod,
        sandbox::MAX_KEPT,
    };

    fn gate(n: usize) -> Gate {
        let mut gate = Gate::new(format!("example.com/{n}").into(), false, &Pod::default());
        let (select, policy) = (Selection::default(), Policy::default());
        gate.rule = Some(Rule { check: "a".into(), generation: 1, select, policy, memory: None }.into());
        gate
    }

    #[test]
    fn what_is_kept_is_found_replaced_and_forgotten() {
        let (mut keeping, mut gate) = (Keeping::default(), gate(0));
        assert_eq!((keeping.of(&gate).bytes.len(), keeping.of(&gate).room), (0, CEILING));
        keeping.keep(&mut gate, Arc::from(&b"1 2"[..]));
        assert_eq!((&*keeping.of(&gate).bytes, keeping.sum("a")), (&b"1 2"[..], 3));
        keeping.keep(&mut gate, Arc::from(&b"4"[..]));
        assert_eq!((&*keeping.of(&gate).bytes, keeping.sum("a")), (&b"4"[..], 1));
        keeping.keep(&mut gate, Arc::default());
        assert_eq!((keeping.of(&gate).bytes.len(), keeping.sum("a")), (0, 0));
    }

    #[test]
    fn all_gates_of_a_check_share_one_ceiling() {
        let mut keeping = Keeping::default();
        let full: Arc<[u8]> = vec![7; MAX_KEPT].into();
        let mut gates: Vec<_> = (0..=CEILING / MAX_KEPT).map(gate).collect();
        for gate in &mut gates {
            keeping.keep(gate, full.clone());
        }
        let kept = |gate: &Gate| keeping.of(gate).bytes.len();
        assert_eq!(gates.iter().filter(|gate| kept(gate) == MAX_KEPT).count(), CEILING / MAX_KEPT);
        let last = gates.last_mut().unwrap();
        assert_eq!(keeping.of(last).room, 0);
        keeping.forget(&mut gates[0]);
        let last = gates.last_mut().unwrap();
        keeping.keep(last, full);
        assert_eq!((keeping.of(last).bytes.len(), keeping.sum("a")), (MAX_KEPT, CEILING));
    }
}
