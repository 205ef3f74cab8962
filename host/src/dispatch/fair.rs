//! Who is asked next: in turn by check, so that one with ten thousand due gates does not starve one with a single.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use super::GateKey;

/// Calls in flight in all. Guests share as many threads as there are cores, so more would only wait inside.
const CALLS: usize = 48;
/// Calls in flight of one check.
const CALLS_OF_A_CHECK: usize = 8;
/// A check with nothing in flight is let in above [`CALLS`], up to here: slow checks delay no other one.
const CALLS_AT_MOST: usize = 64;

/// The gates that are due, a lane for each check.
#[derive(Debug, Default)]
pub(super) struct Fair {
    lanes: BTreeMap<Arc<str>, Lane>,
    running: usize,
    last: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<GateKey>,
    running: usize,
}

impl Fair {
    pub(super) fn push(&mut self, check: &Arc<str>, key: GateKey) {
        match self.lanes.get_mut(check) {
            Some(lane) => lane.waiting.push_back(key),
            None => self.lanes.entry(check.clone()).or_default().waiting.push_back(key),
        }
    }

    /// The next gate that may be asked now, by the check whose lane it stands in. Whoever takes it either starts a
    /// call and then reports it with [`Fair::started`], or lets it go.
    pub(super) fn pop(&mut self) -> Option<(Arc<str>, GateKey)> {
        let admits = |lane: &Lane, running: usize| {
            let room = if lane.running == 0 { CALLS_AT_MOST } else { CALLS };
            !lane.waiting.is_empty() && lane.running < CALLS_OF_A_CHECK && running < room
        };
        let after = self.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let turn = self.lanes.range::<Arc<str>, _>((after, Bound::Unbounded)).chain(self.lanes.iter());
        let check = turn.filter(|(_, lane)| admits(lane, self.running)).map(|(check, _)| check.clone()).next()?;
        let key = self.lanes.get_mut(&check)?.waiting.pop_front()?;
        self.last = Some(check.clone());
        Some((check, key))
    }

    pub(super) fn started(&mut self, check: &Arc<str>) {
        self.running += 1;
        self.lanes.entry(check.clone()).or_default().running += 1;
    }

    pub(super) fn ended(&mut self, check: &Arc<str>) {
        self.running = self.running.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(check) {
            lane.running = lane.running.saturating_sub(1);
            if lane.running == 0 && lane.waiting.is_empty() {
                self.lanes.remove(check);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> GateKey {
        GateKey { uid: format!("{n}").into(), gate: "g".into(), dry_run: false }
    }

    #[test]
    fn a_check_with_one_gate_is_served_beside_one_with_thousands() {
        let mut fair = Fair::default();
        let (busy, calm): (Arc<str>, Arc<str>) = ("busy".into(), "calm".into());
        for n in 0..1000 {
            fair.push(&busy, key(n));
        }
        fair.push(&calm, key(1000));
        let first_two: Vec<_> = (0..2).map(|_| fair.pop().unwrap().0).collect();
        assert!(first_two.contains(&calm));
    }

    #[test]
    fn slow_checks_fill_their_own_lanes_and_a_new_check_still_gets_in() {
        let mut fair = Fair::default();
        for slow in 0..6 {
            for n in 0..20 {
                fair.push(&format!("slow-{slow}").into(), key(n));
            }
        }
        let mut started = 0;
        while let Some((check, _)) = fair.pop() {
            fair.started(&check);
            started += 1;
        }
        assert_eq!((started, fair.running), (CALLS, CALLS));
        fair.push(&"new".into(), key(0));
        let (check, _) = fair.pop().unwrap();
        assert_eq!(&*check, "new");
        fair.started(&check);
        fair.push(&"new".into(), key(1));
        assert!(fair.pop().is_none(), "beyond the common room a check gets one call, not more");
    }
}
