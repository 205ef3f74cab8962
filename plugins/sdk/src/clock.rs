//! The time of the call, and times in messages.

/// Now, in Unix milliseconds: one instant for the whole call, the same that `SystemTime::now` shows.
pub fn now() -> u64 {
    crate::bindings::gatehost::check::clock::now_ms()
}

/// An instant, in Unix milliseconds, as RFC 3339 in UTC, for messages: `2026-11-23T15:04:05Z`, with milliseconds only
/// where there are any.
pub fn rfc3339(unix_ms: u64) -> String {
    let (secs, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (days, second) = (secs / 86_400, secs % 86_400);
    // Civil date from days, in years that begin in March, so that the leap day is a year's last one.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let fraction = if ms == 0 { String::new() } else { format!(".{ms:03}") };
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::rfc3339;

    #[test]
    fn every_day_of_three_centuries_reads_as_jiff_reads_it() {
        for day in 0..110_000_u64 {
            let ms = day * 86_400_000 + (day * 7_919) % 86_400 * 1000;
            let jiff = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap();
            assert_eq!(rfc3339(ms), jiff.to_string());
        }
    }

    #[test]
    fn milliseconds_are_shown_where_there_are_any() {
        assert_eq!(rfc3339(1_500), "1970-01-01T00:00:01.500Z");
        assert_eq!(rfc3339(1_000), "1970-01-01T00:00:01Z");
    }
}
