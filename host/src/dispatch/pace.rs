//! How fast the host writes: so many a second, and as many at once as the API server takes without strain.

use std::time::Duration;

/// Writes in flight at most. More only wait inside the API server.
const WINDOW: f64 = 64.0;
/// An answer that takes longer tells of a server under strain.
const SLOW: Duration = Duration::from_secs(1);
/// The window is halved at most once in this time: one moment of strain fails many writes.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// A token bucket, and a window that halves with strain and grows by one with each round of good answers.
#[derive(Debug)]
pub(super) struct Pace {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Duration,
    window: f64,
    cut_after: Duration,
}

impl Pace {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let burst = f64::from(burst.max(1));
        let rate = f64::from(per_second.max(1));
        Self { rate, burst, tokens: burst, at: Duration::ZERO, window: WINDOW, cut_after: Duration::ZERO }
    }

    /// Whether another write may be in flight beside so many.
    pub(super) fn admits(&self, in_flight: usize) -> bool {
        in_flight == 0 || u32::try_from(in_flight + 1).is_ok_and(|writes| f64::from(writes) <= self.window)
    }

    /// Takes a token, or says when there will be one.
    pub(super) fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.burst);
        self.at = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        // A millisecond on top, so that rounding does not make it too early.
        Err(now + Duration::from_secs_f64((1.0 - self.tokens) / self.rate) + Duration::from_millis(1))
    }

    /// A token that was not used.
    pub(super) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.burst);
    }

    /// A write ended after `took`; `strained` where the server could not take it.
    pub(super) fn ended(&mut self, strained: bool, took: Duration, now: Duration) {
        if !strained && took <= SLOW {
            self.window = (self.window + 1.0 / self.window).min(WINDOW);
        } else if now >= self.cut_after {
            self.window = (self.window / 2.0).max(1.0);
            self.cut_after = now + CUT_EVERY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_and_then_so_many_a_second() {
        let mut pace = Pace::new(10, 5);
        let mut now = SECOND;
        assert_eq!((0..9).filter(|_| pace.take(now).is_ok()).count(), 5);
        let mut taken = 0;
        for _ in 0..1000 {
            match pace.take(now) {
                Ok(()) => taken += 1,
                Err(at) => {
                    assert!(at > now);
                    now = at;
                }
            }
            if now > 11 * SECOND {
                break;
            }
        }
        assert!((98..=101).contains(&taken), "{taken} in 10 s");
    }

    #[test]
    fn strain_halves_the_window_once_a_second_and_good_answers_open_it_again() {
        let mut pace = Pace::new(200, 500);
        assert!(pace.admits(63) && !pace.admits(64));
        for _ in 0..20 {
            pace.ended(true, Duration::ZERO, SECOND);
        }
        assert!(pace.admits(31) && !pace.admits(32));
        for second in 2..20 {
            pace.ended(false, 2 * SECOND, second * SECOND);
        }
        assert!(pace.admits(0) && !pace.admits(1), "one write is always in flight, so that it can heal");
        for _ in 0..4000 {
            pace.ended(false, Duration::ZERO, 30 * SECOND);
        }
        assert!(pace.admits(63));
    }
}
