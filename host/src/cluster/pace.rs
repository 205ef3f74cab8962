//! When a watch may ask the server again: not before the server says, and not in a hot loop.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// A watch that lived this much longer than it was waited for has worked.
const LIVED: Duration = Duration::from_secs(1);

/// The pace of one watch. Times are since the start of the process, in nanoseconds; only one task writes.
#[derive(Debug)]
pub(super) struct Pace {
    /// The server wants nothing before.
    not_before: AtomicU64,
    /// When a watch was opened last; 0 where none was.
    opened: AtomicU64,
    /// How far apart two openings are at least, but for jitter.
    gap: AtomicU64,
}

impl Pace {
    const FIRST: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(5);

    pub(super) fn new() -> Self {
        let (not_before, opened) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { not_before, opened, gap: AtomicU64::new(nanoseconds(Self::FIRST)) }
    }

    /// The server asks to be left alone for so long.
    pub(super) fn hold(&self, wait: Duration, now: Duration) {
        self.not_before.store(nanoseconds(now.saturating_add(wait)), Ordering::Relaxed);
    }

    /// How much of that is left.
    pub(super) fn held(&self, now: Duration) -> Duration {
        Duration::from_nanos(self.not_before.load(Ordering::Relaxed)).saturating_sub(now)
    }

    /// A watch is about to be opened: how long to wait before. Nothing where the one before has worked; else openings
    /// are 0.5 s apart, doubling to 5 s, each between a half and the whole of it. The client opens a watch that was cut
    /// again at once, without a word.
    pub(super) fn opening(&self, now: Duration) -> Duration {
        let opened = Duration::from_nanos(self.opened.load(Ordering::Relaxed));
        let gap = Duration::from_nanos(self.gap.load(Ordering::Relaxed));
        let lived = now.saturating_sub(opened);
        let (wait, next) = if opened.is_zero() || lived > gap + LIVED {
            (Duration::ZERO, Self::FIRST)
        } else {
            (gap.mul_f64(0.5 + fastrand::f64() / 2.0).saturating_sub(lived), (gap * 2).min(Self::MAX))
        };
        self.gap.store(nanoseconds(next), Ordering::Relaxed);
        self.opened.store(nanoseconds(now + wait), Ordering::Relaxed);
        wait
    }
}

/// In nanoseconds; what does not fit is for ever.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_that_are_cut_at_once_are_opened_ever_less_often() {
        let pace = Pace::new();
        let mut now = Duration::from_secs(1);
        let mut waits = Vec::new();
        for _ in 0..20 {
            let wait = pace.opening(now);
            waits.push(wait);
            now += wait + Duration::from_millis(1);
        }
        assert_eq!(waits[0], Duration::ZERO);
        assert!(waits[1] > Pace::FIRST / 3 && waits[1] <= Pace::FIRST, "{waits:?}");
        assert!(waits[10..].iter().all(|w| *w >= Pace::MAX / 3 && *w <= Pace::MAX), "{waits:?}");
        assert!(waits[10..].iter().any(|w| *w != waits[10]), "no jitter");
    }

    #[test]
    fn a_watch_that_worked_is_opened_again_at_once() {
        let pace = Pace::new();
        for n in 1..10 {
            assert_eq!(pace.opening(Duration::from_secs(25 * n)), Duration::ZERO);
        }
        assert_ne!(pace.opening(Duration::from_secs(225)), Duration::ZERO);
        assert_eq!(pace.opening(Duration::from_mins(4)), Duration::ZERO);
    }

    #[test]
    fn what_the_server_asks_for_is_granted() {
        let (pace, now) = (Pace::new(), Duration::from_secs(7));
        assert_eq!(pace.held(now), Duration::ZERO);
        pace.hold(Duration::from_secs(3), now);
        assert_eq!(pace.held(Duration::from_secs(8)), Duration::from_secs(2));
        assert_eq!(pace.held(Duration::from_secs(11)), Duration::ZERO);
    }
}
