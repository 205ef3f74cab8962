//! How fast a value grows between two scrapes.

use serde::{Deserialize, Serialize};

/// How far apart two scrapes are at least that a rate is taken of. A pod that changes is asked about in quick succession,
/// and what grew in some milliseconds says nothing.
const APART_MS: u64 = 1000;

/// What is kept between calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// What was asked for: what is kept under another config is of no use.
    of: u64,
    /// When, in Unix milliseconds, and how much; the newest last.
    scrapes: Vec<(u64, f64)>,
}

/// The rate now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// So much in a second.
    PerSecond(f64),
    /// There is no earlier scrape yet.
    First,
    /// The counter began anew.
    Reset,
}

/// The rate by what was kept before, and what is to be kept instead. `falls`: whether the value may do so, as a gauge.
pub(crate) fn step(kept: Option<Kept>, of: u64, now: u64, value: f64, falls: bool) -> (Rate, Kept) {
    let mut scrapes = kept.filter(|kept| kept.of == of).map(|kept| kept.scrapes).unwrap_or_default();
    // A clock that was set back makes scrapes of a time to come.
    scrapes.retain(|(at, _)| *at <= now);
    let is_reset = !falls && scrapes.iter().any(|(_, before)| value < *before);
    if is_reset {
        scrapes.clear();
    }
    let earlier = scrapes.iter().rev().find(|(at, _)| now - at >= APART_MS);
    let rate = match earlier {
        #[allow(clippy::cast_precision_loss, reason = "2^53 ms are 285,000 years")]
        Some((at, before)) => Rate::PerSecond((value - before) * 1000.0 / (now - at) as f64),
        None if is_reset => Rate::Reset,
        None => Rate::First,
    };
    // Two are kept, so that there is one that is old enough while the newer one is not.
    if scrapes.last().is_none_or(|(at, _)| now - at >= APART_MS) {
        scrapes.push((now, value));
        let old = scrapes.len().saturating_sub(2);
        scrapes.drain(..old);
    }
    (rate, Kept { of, scrapes })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rates of one scrape after the other.
    fn rates(scrapes: &[(u64, f64)], falls: bool) -> Vec<Rate> {
        let mut kept = None;
        let mut rates = Vec::new();
        for (now, value) in scrapes {
            let (rate, next) = step(kept, 1, *now, *value, falls);
            assert!(next.scrapes.len() <= 2, "{next:?}");
            rates.push(rate);
            kept = Some(next);
        }
        rates
    }

    #[test]
    fn a_rate_is_what_grew_since_the_last_scrape() {
        let expected = [Rate::First, Rate::PerSecond(5.0), Rate::PerSecond(0.0)];
        assert_eq!(rates(&[(10_000, 100.0), (20_000, 150.0), (30_000, 150.0)], false), expected);
    }

    #[test]
    fn calls_in_quick_succession_take_the_scrape_before() {
        let scrapes =
            [(10_000, 100.0), (10_010, 100.0), (20_000, 150.0), (20_500, 150.0), (20_600, 153.0), (30_600, 250.0)];
        let rate = |grown: f64, ms: f64| Rate::PerSecond(grown * 1000.0 / ms);
        let expected = [
            Rate::First,
            Rate::First,
            rate(50.0, 10_000.0),
            rate(50.0, 10_500.0),
            rate(53.0, 10_600.0),
            rate(100.0, 10_600.0),
        ];
        assert_eq!(rates(&scrapes, false), expected);
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_gives_no_rate() {
        assert_eq!(rates(&[(5_000, 1.0), (5_000, 9.0)], false), [Rate::First; 2]);
        let expected = [Rate::First, Rate::First, Rate::PerSecond(1.0)];
        assert_eq!(rates(&[(50_000, 1.0), (5_000, 2.0), (6_000, 3.0)], false), expected);
    }

    #[test]
    fn a_counter_that_begins_anew_gives_no_rate_and_a_gauge_falls() {
        let scrapes = [(10_000, 100.0), (20_000, 50.0), (30_000, 60.0)];
        assert_eq!(rates(&scrapes, false), [Rate::First, Rate::Reset, Rate::PerSecond(1.0)]);
        assert_eq!(rates(&scrapes, true), [Rate::First, Rate::PerSecond(-5.0), Rate::PerSecond(1.0)]);
    }

    #[test]
    fn what_was_kept_of_something_else_is_of_no_use() {
        let (_, kept) = step(None, 1, 10_000, 1.0, false);
        assert_eq!(step(Some(kept.clone()), 2, 20_000, 2.0, false).0, Rate::First);
        assert_eq!(step(Some(kept), 1, 20_000, 2.0, false).0, Rate::PerSecond(0.1));
    }
}
