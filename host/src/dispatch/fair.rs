//! Who is asked next: in turn by check, so that one with ten thousand due gates does not starve one with a single.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Arc,
};

use super::GateKey;

/// Calls in flight in all, but for those that wait for an answer from outside. Guests share as many threads as there are
/// cores, so more would only wait inside.
const CALLS: usize = 48;
/// The same of one check.
const CALLS_OF_A_CHECK: usize = 8;
/// A check with nothing in flight is let in above [`CALLS`], up to here: slow checks delay no other one.
const CALLS_AT_MOST: usize = 64;
/// Calls in flight of one check, with those that wait outside: it is asked about a thousand pods whose answers take
/// seconds within a period.
const FLIGHTS_OF_A_CHECK: usize = 256;
/// Calls in flight in all, with those, ...
const FLIGHTS: usize = 448;
/// ... and where a check has nothing in flight. The sandbox has as many places.
const FLIGHTS_AT_MOST: usize = 512;

/// The gates that are due, a lane for each check.
#[derive(Debug, Default)]
pub(super) struct Fair {
    lanes: BTreeMap<Arc<str>, Lane>,
    running: Running,
    last: Option<Arc<str>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Running {
    flights: usize,
    /// Those of them that wait outside.
    outside: usize,
}

#[derive(Debug, Default)]
struct Lane {
    waiting: VecDeque<GateKey>,
    running: Running,
}

impl Running {
    fn computing(self) -> usize {
        self.flights.saturating_sub(self.outside)
    }

    fn end(&mut self, outside: bool) {
        self.flights = self.flights.saturating_sub(1);
        self.outside = self.outside.saturating_sub(outside.into());
    }
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
        let admits = |lane: &Lane, all: Running| {
            let alone = lane.running.flights == 0;
            let (calls, flights) = if alone { (CALLS_AT_MOST, FLIGHTS_AT_MOST) } else { (CALLS, FLIGHTS) };
            !lane.waiting.is_empty()
                && lane.running.computing() < CALLS_OF_A_CHECK
                && lane.running.flights < FLIGHTS_OF_A_CHECK
                && all.computing() < calls
                && all.flights < flights
        };
        let after = self.last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let turn = self.lanes.range::<Arc<str>, _>((after, Bound::Unbounded)).chain(self.lanes.iter());
        let check = turn.filter(|(_, lane)| admits(lane, self.running)).map(|(check, _)| check.clone()).next()?;
        let key = self.lanes.get_mut(&check)?.waiting.pop_front()?;
        self.last = Some(check.clone());
        Some((check, key))
    }

    pub(super) fn started(&mut self, check: &Arc<str>) {
        self.running.flights += 1;
        self.lanes.entry(check.clone()).or_default().running.flights += 1;
    }

    /// A call waits for an answer from outside; told once.
    pub(super) fn waits(&mut self, check: &Arc<str>) {
        self.running.outside += 1;
        self.lanes.entry(check.clone()).or_default().running.outside += 1;
    }

    /// A call ended; whether it was told that it waits.
    pub(super) fn ended(&mut self, check: &Arc<str>, outside: bool) {
        self.running.end(outside);
        if let Some(lane) = self.lanes.get_mut(check) {
            lane.running.end(outside);
            if lane.running.flights == 0 && lane.waiting.is_empty() {
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
        assert_eq!((started, fair.running.flights), (CALLS, CALLS));
        fair.push(&"new".into(), key(0));
        let (check, _) = fair.pop().unwrap();
        assert_eq!(&*check, "new");
        fair.started(&check);
        fair.push(&"new".into(), key(1));
        assert!(fair.pop().is_none(), "beyond the common room a check gets one call, not more");
    }

    #[test]
    fn what_ends_leaves_nothing_behind() {
        let (mut fair, check) = (Fair::default(), Arc::from("slow"));
        for outside in [false, true, true, false] {
            fair.started(&check);
            if outside {
                fair.waits(&check);
            }
        }
        assert_eq!(fair.running, Running { flights: 4, outside: 2 });
        for outside in [true, false, false, true] {
            fair.ended(&check, outside);
        }
        assert_eq!((fair.running, fair.lanes.len()), (Running::default(), 0));
    }
}
