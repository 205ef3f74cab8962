//! How much of what a check's plugin causes reaches the host's log: so much a second in the long run, a few seconds' worth
//! at once, and a count of the rest.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What a line costs besides its bytes: what stands around it in the log.
const AROUND: u64 = 128;

/// How many seconds' worth may be written at once: all that is kept of one call, at the least.
const AT_ONCE: u64 = 8;

/// How often people are told of what was left out.
const TELL: Duration = Duration::from_mins(1);

/// A bucket that fills by the second.
#[derive(Debug)]
pub struct LogRate {
    per_second: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// How many bytes may be written now, ...
    left: u64,
    /// ... as of this instant.
    at: Option<Instant>,
    /// Lines and bytes that were left out since people were told.
    lines: u64,
    bytes: u64,
    told: Option<Instant>,
}

impl LogRate {
    /// A full bucket, for so many bytes a second.
    pub fn new(per_second: u32) -> Self {
        let left = u64::from(per_second) * AT_ONCE;
        Self { per_second, state: Mutex::new(State { left, at: None, lines: 0, bytes: 0, told: None }) }
    }

    /// The bytes a second.
    pub fn per_second(&self) -> u32 {
        self.per_second
    }

    /// Whether a line of so many bytes may be written; it counts as left out where not.
    pub fn admits(&self, bytes: usize, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let per_second = u64::from(self.per_second);
        let (most, at) = (per_second * AT_ONCE, state.at.unwrap_or(now));
        let since = u64::try_from(now.saturating_duration_since(at).as_micros()).unwrap_or(u64::MAX);
        let filled = since.saturating_mul(per_second) / 1_000_000;
        state.left = state.left.saturating_add(filled).min(most);
        // Only the time that made whole bytes is used up: calls in quick succession fill it as well.
        let used = Duration::from_micros(filled.saturating_mul(1_000_000) / per_second);
        state.at = Some(if state.left == most { now } else { at + used });
        let cost = bytes as u64 + AROUND;
        if state.left >= cost {
            state.left -= cost;
            return true;
        }
        state.lines += 1;
        state.bytes += bytes as u64;
        false
    }

    /// Lines and bytes that were left out, where it is time to tell of them: at once, and then each minute at most.
    pub fn left_out(&self, now: Instant) -> Option<(u64, u64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let early = state.told.is_some_and(|told| now.saturating_duration_since(told) < TELL);
        if state.lines == 0 || early {
            return None;
        }
        state.told = Some(now);
        Some((std::mem::take(&mut state.lines), std::mem::take(&mut state.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With what stands around it, 1 KiB.
    const LINE: usize = 896;

    #[test]
    fn a_few_seconds_worth_passes_at_once_and_then_so_much_a_second() {
        let (rate, start) = (LogRate::new(1024), Instant::now());
        let passed = |at: Duration| (0..20).filter(|_| rate.admits(LINE, start + at)).count();
        assert_eq!(passed(Duration::ZERO), 8);
        assert_eq!(passed(Duration::from_millis(999)), 0);
        assert_eq!(passed(Duration::from_secs(3)), 3);
        assert_eq!(passed(Duration::from_hours(1)), 8);
    }

    #[test]
    fn lines_in_quick_succession_fill_it_as_well() {
        let (rate, start) = (LogRate::new(1024), Instant::now());
        let passed = (0..100_000).filter(|n| rate.admits(LINE, start + Duration::from_micros(100 * n))).count();
        assert!((17..=18).contains(&passed), "8 at once and 10 in 10 s: {passed}");
    }

    #[test]
    fn what_is_left_out_is_counted_and_told_once_a_minute() {
        let (rate, start) = (LogRate::new(1024), Instant::now());
        assert_eq!(rate.left_out(start), None);
        let flood = |at: u64| {
            (0..10).for_each(|_| _ = rate.admits(LINE, start + Duration::from_secs(at)));
            rate.left_out(start + Duration::from_secs(at))
        };
        let bytes = LINE as u64;
        assert_eq!(flood(0), Some((2, 2 * bytes)));
        assert_eq!(flood(1), None);
        assert_eq!(flood(61), Some((9 + 2, 11 * bytes)));
    }
}
