//! Which Events stand, so that one that happens again is counted up instead of written anew.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::object::Topic;

/// What has not happened again for this long is another Event.
const SERIES: Duration = Duration::from_mins(10);
/// The shortest time between two writes of one Event.
const PAUSE: Duration = Duration::from_mins(1);
/// Events that are remembered.
const EVENTS: usize = 4096;

struct Known {
    name: Arc<str>,
    count: i32,
    last: Timestamp,
    seen: Instant,
    written: Instant,
    /// When its count is to be written.
    due: Option<Instant>,
}

/// A count to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    pub(super) name: Arc<str>,
    pub(super) count: i32,
    pub(super) last: Timestamp,
}

/// The Events of the last ten minutes.
#[derive(Default)]
pub(super) struct Memory {
    known: HashMap<Arc<Topic>, Known>,
    due: BTreeSet<(Instant, Arc<Topic>)>,
}

impl Memory {
    /// Whether this has happened within the last ten minutes. Its count is written later then.
    pub(super) fn repeats(&mut self, topic: &Arc<Topic>, now: Instant, wall: Timestamp) -> bool {
        let Some(known) = self.known.get_mut(topic) else { return false };
        if now.saturating_duration_since(known.seen) >= SERIES {
            self.forget(topic);
            return false;
        }
        known.count = known.count.saturating_add(1);
        (known.seen, known.last) = (now, wall);
        if known.due.is_none() {
            let due = now.max(known.written + PAUSE);
            known.due = Some(due);
            self.due.insert((due, topic.clone()));
        }
        true
    }

    /// An Event of this name was written.
    pub(super) fn learn(&mut self, topic: Arc<Topic>, name: Arc<str>, now: Instant, wall: Timestamp) {
        if self.known.len() >= EVENTS {
            self.make_room(now);
        }
        self.known.insert(topic, Known { name, count: 1, last: wall, seen: now, written: now, due: None });
    }

    /// When the next count is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A count that is due. It counts as written.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Arc<Topic>, Series)> {
        if self.next()? > now {
            return None;
        }
        let (_, topic) = self.due.pop_first()?;
        let known = self.known.get_mut(&topic)?;
        (known.due, known.written) = (None, now);
        let series = Series { name: known.name.clone(), count: known.count, last: known.last };
        Some((topic, series))
    }

    /// The Event is no more.
    pub(super) fn forget(&mut self, topic: &Arc<Topic>) {
        if let Some(due) = self.known.remove(topic).and_then(|known| known.due) {
            self.due.remove(&(due, topic.clone()));
        }
    }

    /// Lets go of what is over, or else of the older half.
    fn make_room(&mut self, now: Instant) {
        let mut seen: Vec<_> = self.known.values().map(|known| known.seen).collect();
        seen.sort_unstable();
        let middle = seen.get(seen.len() / 2).copied().unwrap_or(now);
        let mut left = EVENTS / 2;
        self.known.retain(|topic, known| {
            let stays = left > 0 && known.seen >= middle && now.saturating_duration_since(known.seen) < SERIES;
            left -= usize::from(stays);
            if let Some(due) = known.due.filter(|_| !stays) {
                self.due.remove(&(due, topic.clone()));
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::cluster::events::testing::topic;

    const WALL: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn what_happens_again_is_counted_and_written_at_most_once_a_minute() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut memory = Memory::default();
        assert!(!memory.repeats(&topic("a"), start, WALL));
        memory.learn(topic("a"), "p.1".into(), start, WALL);
        for second in 1..=30 {
            assert!(memory.repeats(&topic("a"), at(second), WALL));
        }
        assert!(!memory.repeats(&topic("b"), at(30), WALL), "another message is another Event");
        assert_eq!(memory.next(), Some(at(60)));
        assert_eq!(memory.take_due(at(59)), None);
        let series = Series { name: "p.1".into(), count: 31, last: WALL };
        assert_eq!(memory.take_due(at(60)), Some((topic("a"), series)));
        assert_eq!(memory.next(), None);
        assert!(memory.repeats(&topic("a"), at(61), WALL));
        assert_eq!(memory.next(), Some(at(120)));
        assert!(memory.repeats(&topic("a"), at(300), WALL));
        assert_eq!(memory.take_due(at(300)).unwrap().1.count, 33);
    }

    #[test]
    fn after_ten_quiet_minutes_it_is_a_new_event() {
        let start = Instant::now();
        let mut memory = Memory::default();
        memory.learn(topic("a"), "p.1".into(), start, WALL);
        assert!(memory.repeats(&topic("a"), start + SERIES / 2, WALL));
        assert!(memory.repeats(&topic("a"), start + SERIES, WALL), "it is quiet since the last time");
        assert!(!memory.repeats(&topic("a"), start + SERIES * 2, WALL));
        assert_eq!(memory.next(), None);
    }

    #[test]
    fn what_is_remembered_does_not_grow_and_nothing_forgotten_is_due() {
        let start = Instant::now();
        let mut memory = Memory::default();
        for n in 0..3 * EVENTS {
            let topic = topic(&n.to_string());
            memory.learn(topic.clone(), "p.1".into(), start, WALL);
            assert!(memory.repeats(&topic, start, WALL));
            assert!(memory.known.len() <= EVENTS && memory.due.len() == memory.known.len());
        }
    }
}
