//! One window as instants: which one an instant is in, and when the next one begins.

use croner::Cron;
use jiff::{
    SignedDuration, Timestamp, ToSpan, Zoned,
    civil::{Date, Time},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::{Entry, cron};

/// The longest duration beside a cron schedule: with more than a month no day is left outside.
const MAX_DURATION: SignedDuration = SignedDuration::from_hours(31 * 24);

/// How many windows that touch are looked through for the end of all: what does not end within them has none in sight.
const MAX_TOUCHING: usize = 512;

/// A window that comes again and again.
#[derive(Debug)]
pub(crate) enum Span {
    /// Begins by a schedule and lasts a time.
    Cron(Box<Cron>, SignedDuration),
    /// Begins on these days, Monday first, at a time of day, and ends at the next such time.
    Daily { days: [bool; 7], from: Time, to: Time },
}

/// A field of the entry as a JSON pointer, and what is wrong with it.
type Wrong = (&'static str, String);

impl Span {
    /// Reads an entry; all that is wrong with it.
    pub(crate) fn read(entry: &Entry, zone: &TimeZone) -> Result<Self, Vec<Wrong>> {
        let by_cron = entry.cron.is_some() || entry.duration.is_some();
        if by_cron && (entry.from.is_some() || entry.to.is_some() || entry.days.is_some()) {
            return Err(vec![("", "give either cron and duration, or from, to and days, not both".to_owned())]);
        }
        match (&entry.cron, &entry.duration, &entry.from, &entry.to) {
            (Some(cron), Some(duration), ..) => match (schedule(cron, zone), lasting(duration)) {
                (Ok(cron), Ok(duration)) => Ok(Self::Cron(Box::new(cron), duration)),
                (cron, duration) => Err(wrong([("/cron", cron.err()), ("/duration", duration.err())])),
            },
            (.., Some(from), Some(to)) => {
                let days = entry.days.as_ref().is_none_or(|days| !days.is_empty());
                let days = days.then_some(()).ok_or_else(|| "is empty; name days, or leave it out for all".to_owned());
                match (time(from, false), time(to, true), days) {
                    (Ok(from), Ok(until), Ok(())) if from != until || to == "24:00" => {
                        Ok(Self::Daily { days: entry.weekdays(), from, to: until })
                    }
                    (Ok(from), Ok(_), Ok(())) => {
                        Err(vec![("/to", format!("is {from:.0} like from; a window has to end"))])
                    }
                    (from, to, days) => Err(wrong([("/from", from.err()), ("/to", to.err()), ("/days", days.err())])),
                }
            }
            (Some(_), None, ..) => Err(vec![("", "cron needs duration beside it, such as 2h".to_owned())]),
            (None, Some(_), ..) => Err(vec![("", "duration needs cron beside it, such as \"0 2 * * *\"".to_owned())]),
            _ => Err(vec![("", "needs cron and duration, or from and to".to_owned())]),
        }
    }

    /// When the one that this instant is in ends: the latest, where several overlap.
    fn end(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        match self {
            // All last equally long, so the one that began last ends last.
            Self::Cron(cron, duration) => {
                let start = cron.find_previous_occurrence(&at.to_zoned(zone.clone()), true).ok()?.timestamp();
                start.checked_add(*duration).ok().filter(|end| *end > at)
            }
            Self::Daily { .. } => {
                let today = at.to_zoned(zone.clone()).date();
                let around = [today.yesterday().ok()?, today];
                let of = around.into_iter().filter_map(|day| self.on(day, zone));
                of.filter(|(start, end)| *start <= at && at < *end).map(|(_, end)| end).max()
            }
        }
    }

    /// When the next one begins, after this instant.
    fn start(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let now = at.to_zoned(zone.clone());
        match self {
            Self::Cron(cron, _) => cron.find_next_occurrence(&now, false).ok().map(|next| next.timestamp()),
            Self::Daily { .. } => {
                let days = (0..=8).filter_map(|n| now.date().checked_add(n.days()).ok());
                days.filter_map(|day| self.on(day, zone)).map(|(start, _)| start).find(|start| *start > at)
            }
        }
    }

    /// The one that begins on a day.
    fn on(&self, day: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let Self::Daily { days, from, to } = self else { return None };
        let index = usize::try_from(day.weekday().to_monday_zero_offset()).ok()?;
        if !days[index] {
            return None;
        }
        let last = if to > from { day } else { day.tomorrow().ok()? };
        let (start, end) = (instant(day, *from, zone, false)?, instant(last, *to, zone, true)?);
        (start < end).then_some((start, end))
    }
}

/// When the latest of the windows ends that this instant is in.
pub(crate) fn end(spans: &[Span], at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    spans.iter().filter_map(|span| span.end(at, zone)).max()
}

/// When no window is any more, others that begin before the end of this one included.
pub(crate) fn left(spans: &[Span], at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let mut last = end(spans, at, zone)?;
    for _ in 0..MAX_TOUCHING {
        match end(spans, last, zone) {
            Some(later) => last = later,
            None => return Some(last),
        }
    }
    None
}

/// When the next window begins.
pub(crate) fn start(spans: &[Span], at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    spans.iter().filter_map(|span| span.start(at, zone)).min()
}

/// A time of day as an instant. One that the clock skips is the moment of the jump; of one that it shows twice a window
/// begins with the first and ends with the second.
fn instant(day: Date, time: Time, zone: &TimeZone, end: bool) -> Option<Timestamp> {
    let wanted = zone.to_ambiguous_zoned(day.to_datetime(time));
    let found: Zoned = match (wanted.offset(), end) {
        (AmbiguousOffset::Gap { .. }, _) => {
            let after = wanted.later().ok()?;
            return zone.preceding(after.timestamp()).next().map(|jump| jump.timestamp());
        }
        (_, true) => wanted.later().ok()?,
        (_, false) => wanted.earlier().ok()?,
    };
    Some(found.timestamp())
}

fn schedule(text: &str, zone: &TimeZone) -> Result<Cron, String> {
    let cron = cron::parse(text)?;
    // Any moment will do: what comes at all comes within the years after it.
    let some = Timestamp::UNIX_EPOCH.to_zoned(zone.clone());
    cron.find_next_occurrence(&some, false).map_err(|_| format!("{text:?} never comes; no such day exists"))?;
    Ok(cron)
}

fn lasting(text: &str) -> Result<SignedDuration, String> {
    let lasts: Result<SignedDuration, _> = text.parse();
    match lasts {
        Ok(lasts) if lasts > SignedDuration::ZERO && lasts <= MAX_DURATION => Ok(lasts),
        Ok(_) => Err(format!("is {text:?}; a window lasts longer than 0 and at most 744h")),
        Err(_) => Err(format!("{text:?} is no duration; write one such as 90m, 2h or 1h30m")),
    }
}

fn time(text: &str, end: bool) -> Result<Time, String> {
    let digits = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| Some(part).filter(digits).and_then(|part| part.parse::<i8>().ok());
    let read = text.split_once(':').and_then(|(hour, minute)| number(hour).zip(number(minute)));
    match read {
        Some((24, 0)) if end => Some(Time::midnight()),
        Some((hour, minute)) => Time::new(hour, minute, 0, 0).ok(),
        None => None,
    }
    .ok_or_else(|| format!("{text:?} is no time of day; write one such as \"08:30\""))
}

fn wrong<const N: usize>(all: [(&'static str, Option<String>); N]) -> Vec<Wrong> {
    all.into_iter().filter_map(|(field, what)| Some((field, what?))).collect()
}

impl Entry {
    fn weekdays(&self) -> [bool; 7] {
        let Some(days) = &self.days else { return [true; 7] };
        let mut chosen = [false; 7];
        for day in days {
            chosen[*day as usize - 1] = true;
        }
        chosen
    }
}
