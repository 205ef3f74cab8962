//! How long a check's calls take: those of a slow one do not begin on the thread that is kept free for short calls, because
//! there they could not be interrupted before the next tick, and within a host function or while their memory is given
//! back not at all.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// A call that computes for so long without a break is a long one: what a short call may have to wait for.
const LONG: Duration = Duration::from_millis(1);

/// A check is slow from here on. Each long call counts for as much as so many short ones undo.
const SLOW: u32 = 16;
const EACH: u32 = 8;
const MOST: u32 = 64;

/// How many long calls a check had lately, and short ones since.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicU32);

/// A stretch of computing, which ends on the thread where it began.
pub(super) struct Stretch {
    since: Instant,
    /// The thread's processor time, where it matters: the clock also counts what others do on the core.
    cpu: Option<Duration>,
}

impl Pace {
    /// Whether its next call is likely to be a long one.
    pub(super) fn is_slow(&self) -> bool {
        self.0.load(Relaxed) >= SLOW
    }

    /// Asking for the processor time is a system call, so it is only asked for where a call seemed to be long before.
    pub(super) fn begin(&self) -> Stretch {
        Stretch { since: Instant::now(), cpu: (self.0.load(Relaxed) > 0).then(thread_time) }
    }

    pub(super) fn end(&self, stretch: Stretch) {
        let kind = match stretch.cpu {
            _ if stretch.since.elapsed() < LONG => Kind::Short,
            None => Kind::LongByTheClock,
            Some(cpu) if thread_time().saturating_sub(cpu) < LONG => Kind::HeldUp,
            Some(_) => Kind::Long,
        };
        self.count(kind);
    }

    #[cfg(test)]
    pub(super) fn be_slow(&self) {
        self.0.store(MOST, Relaxed);
    }

    fn count(&self, kind: Kind) {
        let changed = |score: u32| match kind {
            Kind::Short => score.checked_sub(1),
            Kind::LongByTheClock => Some(score.max(EACH)),
            Kind::Long => Some((score + EACH).min(MOST)),
            Kind::HeldUp => None,
        };
        // A count that is lost to another thread's does not matter, so there is no need to order them.
        let _ = self.0.fetch_update(Relaxed, Relaxed, changed);
    }
}

/// What a stretch was.
#[derive(Clone, Copy)]
enum Kind {
    Short,
    Long,
    /// How long it computed is not known.
    LongByTheClock,
    /// It computed for a short time, and others did meanwhile.
    HeldUp,
}

fn thread_time() -> Duration {
    // The processor time of a thread is never negative.
    clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_check_is_slow_while_one_call_in_nine_or_more_is_long() {
        let pace = Pace::default();
        pace.count(Kind::LongByTheClock);
        assert!(!pace.is_slow(), "nothing is known of the processor");
        pace.count(Kind::Long);
        assert!(pace.is_slow());
        for _ in 0..20 {
            pace.count(Kind::Long);
            (0..EACH).for_each(|_| pace.count(Kind::Short));
        }
        pace.count(Kind::Long);
        assert!(pace.is_slow());
        (0..=MOST - SLOW).for_each(|_| pace.count(Kind::Short));
        assert!(!pace.is_slow());
    }

    #[test]
    fn short_calls_that_others_hold_up_are_no_long_ones() {
        let pace = Pace::default();
        for _ in 0..10 {
            let stretch = pace.begin();
            thread::sleep(LONG);
            pace.end(stretch);
        }
        assert!(!pace.is_slow());
    }

    #[test]
    fn calls_that_compute_for_long_are_told_after_a_few() {
        let pace = Pace::default();
        for _ in 0..3 {
            let stretch = pace.begin();
            let begin = thread_time();
            while thread_time().saturating_sub(begin) < LONG {}
            pace.end(stretch);
        }
        assert!(pace.is_slow());
    }
}
