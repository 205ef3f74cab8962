#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use gatehost_sdk::Status;

use super::*;

fn cron(cron: &str, duration: &str) -> Entry {
    Entry { cron: Some(cron.into()), duration: Some(duration.into()), ..Entry::default() }
}

fn daily(from: &str, to: &str, days: Option<&[Day]>) -> Entry {
    let days = days.map(<[Day]>::to_vec);
    Entry { from: Some(from.into()), to: Some(to.into()), days, ..Entry::default() }
}

fn inside(zone: &str, windows: &[Entry]) -> Config {
    Config { open: Side::Inside, time_zone: zone.into(), windows: windows.to_vec() }
}

fn ms(at: &str) -> u64 {
    at.parse::<Timestamp>().unwrap().as_millisecond().try_into().unwrap()
}

fn at(config: &Config, time: &str) -> Verdict {
    decide(config, ms(time)).unwrap()
}

/// Whether it is inside, and when that changes, in UTC.
fn state(config: &Config, time: &str) -> (bool, String) {
    let verdict = at(config, time);
    let next = Timestamp::from_millisecond(ms(time).try_into().unwrap()).unwrap() + verdict.recheck_after.unwrap();
    (verdict.status == Status::Met, next.to_string())
}

fn mistakes(config: &Config) -> Vec<(String, String)> {
    let errors = config.read().err().unwrap_or_default();
    errors.into_iter().map(|e| (e.path, e.message)).collect()
}

fn mistake(entry: Entry) -> (String, String) {
    let mut all = mistakes(&inside("UTC", &[entry]));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn the_schema_has_the_fields_of_the_config() {
    gatehost_sdk::testing::assert_schema::<Config>(include_str!("schema.json"));
}

#[test]
fn a_nightly_job_closes_the_gate_while_it_runs() {
    let config = Config { open: Side::Outside, ..inside("Europe/Berlin", &[cron("0 2 * * *", "90m")]) };
    let before = at(&config, "2026-11-25T00:59:59.999Z");
    assert_eq!((before.status, before.recheck_after), (Status::Met, Some(Duration::from_millis(1))));
    assert_eq!(before.message, "outside of the windows until 2026-11-25T02:00:00+01:00[Europe/Berlin]");
    let during = at(&config, "2026-11-25T01:00:00Z");
    assert_eq!((during.status, during.reason.as_str()), (Status::Unmet, "InsideWindow"));
    assert_eq!(during.message, "inside the window until 2026-11-25T03:30:00+01:00[Europe/Berlin]");
    assert_eq!(at(&config, "2026-11-25T02:29:59Z").message, during.message);
    let after = at(&config, "2026-11-25T02:30:00Z");
    assert_eq!((after.status, after.reason.as_str()), (Status::Met, "OutsideWindow"));
}

#[test]
fn times_of_day_are_those_of_the_zone_on_the_days_that_are_named() {
    let week = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri];
    let config = inside("America/New_York", &[daily("09:00", "17:30", Some(&week))]);
    // A Friday, in winter.
    assert_eq!(state(&config, "2026-11-27T13:59:59Z"), (false, "2026-11-27T14:00:00Z".into()));
    assert_eq!(state(&config, "2026-11-27T14:00:00Z"), (true, "2026-11-27T22:30:00Z".into()));
    assert_eq!(state(&config, "2026-11-27T22:30:00Z"), (false, "2026-11-30T14:00:00Z".into()));
}

#[test]
fn a_window_may_end_on_the_next_day() {
    let config = inside("UTC", &[daily("22:00", "06:00", Some(&[Day::Sat]))]);
    assert_eq!(state(&config, "2026-11-28T22:00:00Z"), (true, "2026-11-29T06:00:00Z".into()));
    assert_eq!(state(&config, "2026-11-29T05:59:59Z"), (true, "2026-11-29T06:00:00Z".into()));
    assert_eq!(state(&config, "2026-11-29T06:00:00Z"), (false, "2026-12-05T22:00:00Z".into()));
    let whole = inside("UTC", &[daily("00:00", "24:00", Some(&[Day::Sun]))]);
    assert_eq!(state(&whole, "2026-11-29T00:00:00Z"), (true, "2026-11-30T00:00:00Z".into()));
}

#[test]
fn a_time_that_the_clock_skips_is_the_moment_of_the_jump() {
    // In Berlin 2027-03-28 goes from 01:59:59 to 03:00:00, at 01:00 UTC.
    let jump = || "2027-03-28T01:00:00Z".to_owned();
    let from = inside("Europe/Berlin", &[daily("02:30", "04:00", None)]);
    assert_eq!(state(&from, "2027-03-28T00:30:00Z"), (false, jump()));
    assert_eq!(state(&from, "2027-03-28T01:00:00Z"), (true, "2027-03-28T02:00:00Z".into()));
    let to = inside("Europe/Berlin", &[daily("01:00", "02:30", None)]);
    assert_eq!(state(&to, "2027-03-28T00:30:00Z"), (true, jump()));
    assert_eq!(state(&to, "2027-03-28T01:00:00Z"), (false, "2027-03-28T23:00:00Z".into()));
    // All of it is skipped, and does not come that day.
    let lost = inside("Europe/Berlin", &[daily("02:10", "02:50", None)]);
    assert_eq!(state(&lost, "2027-03-28T00:59:59Z"), (false, "2027-03-29T00:10:00Z".into()));
    let nightly = inside("Europe/Berlin", &[cron("30 2 * * *", "1h")]);
    assert_eq!(state(&nightly, "2027-03-28T00:59:59Z"), (false, jump()));
    assert_eq!(state(&nightly, "2027-03-28T01:00:00Z"), (true, "2027-03-28T02:00:00Z".into()));
}

#[test]
fn of_a_time_that_comes_twice_a_window_covers_both() {
    // In Berlin 2026-10-25 shows 02:00 to 03:00 twice, from 00:00 UTC and from 01:00 UTC on.
    let from = inside("Europe/Berlin", &[daily("02:30", "04:00", None)]);
    assert_eq!(state(&from, "2026-10-25T00:00:00Z"), (false, "2026-10-25T00:30:00Z".into()));
    assert_eq!(state(&from, "2026-10-25T00:30:00Z"), (true, "2026-10-25T03:00:00Z".into()));
    let to = inside("Europe/Berlin", &[daily("01:00", "02:30", None)]);
    assert_eq!(state(&to, "2026-10-25T00:45:00Z"), (true, "2026-10-25T01:30:00Z".into()));
    // A job at a fixed time runs once.
    let nightly = inside("Europe/Berlin", &[cron("30 2 * * *", "30m")]);
    assert_eq!(state(&nightly, "2026-10-25T00:30:00Z"), (true, "2026-10-25T01:00:00Z".into()));
    assert_eq!(state(&nightly, "2026-10-25T01:30:00Z"), (false, "2026-10-26T01:30:00Z".into()));
}

#[test]
fn windows_that_touch_are_one() {
    let two = inside("UTC", &[daily("08:00", "12:00", None), cron("0 12 * * *", "2h"), daily("11:00", "11:30", None)]);
    assert_eq!(state(&two, "2026-11-24T11:15:00Z"), (true, "2026-11-24T14:00:00Z".into()));
    let hourly = inside("UTC", &[cron("0 8-10 * * *", "2h")]);
    assert_eq!(state(&hourly, "2026-11-24T09:30:00Z"), (true, "2026-11-24T12:00:00Z".into()));
    let always = inside("UTC", &[daily("00:00", "24:00", None)]);
    assert_eq!(at(&always, "2026-11-24T09:30:00Z").message, "inside the window, with no end in sight");
}

#[test]
fn a_cron_schedule_is_that_of_a_cronjob() {
    let config = inside("Asia/Kathmandu", &[cron("*/30 9-17 * * MON-FRI", "10m")]);
    // Kathmandu is 5:45 ahead; this is a Tuesday.
    assert_eq!(state(&config, "2026-11-24T03:15:00Z"), (true, "2026-11-24T03:25:00Z".into()));
    assert_eq!(state(&config, "2026-11-24T03:25:00Z"), (false, "2026-11-24T03:45:00Z".into()));
    let leap = inside("UTC", &[cron("0 0 29 2 *", "24h")]);
    assert_eq!(state(&leap, "2026-11-24T00:00:00Z"), (false, "2028-02-29T00:00:00Z".into()));
    assert_eq!(mistakes(&inside("UTC", &[cron("@daily", "1h")])), []);
}

#[test]
fn a_wrong_field_of_a_schedule_is_named_with_its_value_and_its_range() {
    let such = "*, or a list, a range or a step of such";
    for (text, field, value, range) in [
        ("60 2 * * *", "minute", "60", "0 to 59"),
        ("*/0 2 * * *", "minute", "*/0", "0 to 59"),
        ("0 24 * * *", "hour", "24", "0 to 23"),
        ("0 0,12,24 * * *", "hour", "24", "0 to 23"),
        ("0 9-25 * * *", "hour", "9-25", "0 to 23"),
        ("0 2 32 * *", "day of month", "32", "1 to 31"),
        ("0 2 0 * *", "day of month", "0", "1 to 31"),
        ("0 2 * 13 *", "month", "13", "1 to 12 or JAN to DEC"),
        ("0 2 * JANUARY *", "month", "JANUARY", "1 to 12 or JAN to DEC"),
        ("0 2 * * 8", "day of week", "8", "0 to 7 or SUN to SAT"),
        ("0 2 * * FUNDAY", "day of week", "FUNDAY", "0 to 7 or SUN to SAT"),
        ("a b c d e", "minute", "a", "0 to 59"),
        ("-1 2 * * *", "minute", "-1", "0 to 59"),
        ("0 99999999999 * * *", "hour", "99999999999", "0 to 23"),
    ] {
        let expected = format!("{text:?}: the {field} cannot be {value:?}; write {range}, {such}");
        assert_eq!(mistake(cron(text, "1h")), ("/windows/0/cron".into(), expected));
    }
    for text in ["", "0 2 * *", "0 0 2 * * *", "0 2 * * * 2027", "0", "@dayly"] {
        let five = "write five fields (minute, hour, day of month, month, day of week)";
        let expected = format!("{text:?} is no schedule; {five}, or @hourly, @daily, @weekly, @monthly or @yearly");
        assert_eq!(mistake(cron(text, "1h")), ("/windows/0/cron".into(), expected));
    }
    for text in ["@hourly", "@daily", "@weekly", "@monthly", "@yearly"] {
        assert_eq!(mistakes(&inside("UTC", &[cron(text, "10m")])), [], "{text}");
    }
}

#[test]
fn every_mistake_is_named_with_its_place() {
    assert_eq!(mistake(cron("0 0 30 2 *", "1h")).1, "\"0 0 30 2 *\" never comes; no such day exists");
    for text in ["", "0s", "-1h", "745h", "soon", "1"] {
        assert_eq!(mistake(cron("0 2 * * *", text)).0, "/windows/0/duration", "{text}");
    }
    for text in ["24:00", "8:00", "08:60", "25:00", "0800", "+8:00", "08:00:00", ""] {
        assert_eq!(mistake(daily(text, "09:00", None)).0, "/windows/0/from", "{text}");
    }
    assert_eq!(mistake(daily("08:00", "24:01", None)).0, "/windows/0/to");
    assert_eq!(
        mistake(daily("08:00", "08:00", None)),
        ("/windows/0/to".into(), "is 08:00:00 like from; a window has to end".into())
    );
    assert_eq!(mistake(daily("08:00", "09:00", Some(&[]))).0, "/windows/0/days");
    for entry in [
        Entry::default(),
        Entry { duration: None, ..cron("0 2 * * *", "1h") },
        Entry { cron: None, ..cron("0 2 * * *", "1h") },
        Entry { to: None, ..daily("08:00", "09:00", None) },
        Entry { days: Some(vec![Day::Mon]), ..cron("0 2 * * *", "1h") },
    ] {
        assert_eq!(mistake(entry).0, "/windows/0");
    }
    let both = mistakes(&inside("Europe/Berln", &[cron("x", "y")]));
    let paths: Vec<_> = both.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["/timeZone", "/windows/0/cron", "/windows/0/duration"]);
    assert!(both[0].1.starts_with("\"Europe/Berln\" is no time zone of the IANA database 20"), "{}", both[0].1);
    assert_eq!(mistakes(&inside("UTC", &[]))[0].0, "/windows");
}
