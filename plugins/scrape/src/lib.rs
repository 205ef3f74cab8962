//! True while a metric that the pod itself shows compares as configured: its value, or how fast it grows.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    num::NonZeroU16,
};

use gatehost_sdk::{
    Bounds, Check, ConfigError, Description, Failure, FailureKind, Fault, OnNoAnswer, Pod, Several, Verdict,
    WholePattern, clock,
    http::{Place, Request, Response, Scheme, host_of},
    memory,
    metrics::{self, Line},
};
use serde::Deserialize;

mod rate;

use rate::{Kept, Rate};

/// Which metric, where, and what it has to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    /// Where, absolute; instead of the three below.
    pub url: Option<String>,
    /// A port of the pod.
    pub port: Option<NonZeroU16>,
    /// On that port; `/metrics` unless given.
    pub path: Option<String>,
    /// On that port; `HTTP` unless given.
    pub scheme: Option<Scheme>,
    /// The name of the metric.
    pub metric: String,
    /// Labels and the values that they have to have.
    pub labels: BTreeMap<String, String>,
    /// Labels and what has to match their whole values.
    pub labels_match: BTreeMap<String, WholePattern>,
    /// What is compared where there are several series.
    pub r#match: Match,
    /// Whether the growth in a second is compared instead of the value.
    pub rate: bool,
    /// What the value, or the growth, has to be.
    pub expect: Bounds,
    /// What it means that there is no answer, or none that can be used.
    pub on_no_answer: Option<OnNoAnswer>,
}

/// What is compared where there are several series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Match {
    /// Their sum.
    #[default]
    Sum,
    /// Each of them, and one has to be right.
    Any,
    /// Each of them, and all have to be right.
    All,
}

/// What a scrape found of a metric.
#[derive(Clone, Debug, Default, PartialEq)]
struct Found {
    values: Vec<f64>,
    /// Whether it may fall.
    is_gauge: bool,
}

/// The check.
pub struct Scrape;

impl Check for Scrape {
    type Config = Config;

    fn describe() -> Description {
        let help = "True while a metric of the pod's own /metrics, or its rate, compares as configured.";
        Description::new("scrape", env!("CARGO_PKG_VERSION"), help)
            .config_schema(include_str!("schema.json"))
            .memory_version("1")
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        let errors = config.errors();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn evaluate(_: &Pod, config: Config) -> Result<Verdict, Fault> {
        let url = config.place().url("/metrics")?;
        let request = Request::get(&url).header("accept", "text/plain;version=0.0.4").most_bytes(1 << 20);
        let found = request.send().and_then(|answer| config.find(&answer, &url));
        let decided = match found {
            Ok(found) if config.rate => decide_rate(&found, memory::kept(), &config, clock::now()),
            found => found.and_then(|found| Ok((decide(&found, &config)?, None))),
        };
        match decided {
            Ok((verdict, kept)) => {
                kept.map_or(Ok(()), |kept| memory::keep(&kept))?;
                Ok(verdict)
            }
            Err(failure) => {
                let unless_set = || OnNoAnswer::by_host(host_of(&url).unwrap_or_default());
                config.on_no_answer.unwrap_or_else(unless_set).answer(failure)
            }
        }
    }
}

gatehost_sdk::export!(Scrape);

impl Config {
    fn place(&self) -> Place<'_> {
        Place { url: self.url.as_deref(), port: self.port, path: self.path.as_deref(), scheme: self.scheme }
    }

    fn errors(&self) -> Vec<ConfigError> {
        let mut errors: Vec<_> = self.place().url("/metrics").err().into_iter().collect();
        let mut error = |at: &str, what: &str| errors.push(ConfigError::new(at, what));
        if self.metric.is_empty() {
            error("/metric", "is empty; give the name of a metric, such as queue_depth");
        } else if self.metric.contains(|c: char| matches!(c, '{' | '}' | '"') || c.is_whitespace()) {
            error("/metric", "is no name of a metric; write only the name, and labels in labels");
        }
        if self.rate && self.r#match != Match::Sum {
            error("/match", "a rate is one of the sum; remove this, or choose one series with labels");
        }
        errors.extend(self.expect.errors("/expect"));
        errors
    }

    /// The metric as messages name it.
    fn shown(&self) -> String {
        let equals = self.labels.iter().map(|(key, value)| format!("{key}={value:?}"));
        let matches = self.labels_match.iter().map(|(key, pattern)| format!("{key}=~{:?}", pattern.to_string()));
        let labels: Vec<_> = equals.chain(matches).collect();
        if labels.is_empty() { self.metric.clone() } else { format!("{}{{{}}}", self.metric, labels.join(", ")) }
    }

    /// What is asked for, as a number: what was kept under another one is of no use.
    fn asked(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.shown(), self.place().url("/metrics").ok()).hash(&mut hasher);
        hasher.finish()
    }

    fn find(&self, answer: &Response, url: &str) -> Result<Found, Failure> {
        let whom = url.split('?').next().unwrap_or(url);
        if answer.status != 200 {
            let what = format!("{whom} answers {}", answer.status);
            return Err(Failure::new(FailureKind::Other("BadStatus".to_owned()), what));
        }
        let garbled = |what: &str| Failure::new(FailureKind::Garbled, format!("{whom} answers {what}"));
        if answer.cut {
            return Err(garbled("with more than 1 MiB of metrics"));
        }
        self.read(&answer.text()).map_err(|wrong| garbled(&format!("what is no text format of metrics: {wrong}")))
    }

    fn read(&self, text: &str) -> Result<Found, String> {
        let mut found = Found::default();
        for line in metrics::lines(text) {
            match line? {
                Line::Sample { name, labels, value } if name == self.metric => {
                    // As in PromQL, a label that is not there is an empty one.
                    let label =
                        |key: &str| labels.iter().find(|(known, _)| known == key).map_or("", |(_, value)| value);
                    let is_one = self.labels.iter().all(|(key, value)| label(key) == value)
                        && self.labels_match.iter().all(|(key, pattern)| pattern.is_match(label(key)));
                    found.values.extend(is_one.then_some(value));
                }
                Line::Type { name, kind } if name == self.metric => found.is_gauge = kind == "gauge",
                _ => {}
            }
        }
        Ok(found)
    }
}

/// Decides by the values of the series. A metric that is not there, or is not a number where that decides, is an answer
/// that cannot be used.
fn decide(found: &Found, config: &Config) -> Result<Verdict, Failure> {
    let (sum, shown) = ([found.sum(config)?], config.shown());
    let values = if config.r#match == Match::Sum { &sum[..] } else { &found.values };
    match config.expect.judge(values, config.r#match == Match::Any) {
        Several::Right => Ok(Verdict::met("InBounds").message(format!("{shown} is {}", config.expect))),
        Several::Broken(at, what) => {
            Ok(Verdict::unmet("OutOfBounds").message(format!("{shown} is {}, {what}", values[at])))
        }
        Several::NotANumber => Err(unusable("NotANumber", format!("{shown} is NaN"))),
    }
}

/// Decides by how fast the sum of the series grows; what is to be kept for the next call.
fn decide_rate(
    found: &Found,
    kept: Option<Kept>,
    config: &Config,
    now: u64,
) -> Result<(Verdict, Option<Kept>), Failure> {
    let (shown, sum) = (config.shown(), found.sum(config)?);
    if !sum.is_finite() {
        return Err(unusable("NotANumber", format!("{shown} is {sum}, which grows at no rate")));
    }
    let (rate, kept) = rate::step(kept, config.asked(), now, sum, found.is_gauge);
    let verdict = match rate {
        Rate::First => Verdict::unknown("FirstScrape").message(format!("the rate of {shown} needs a second scrape")),
        Rate::Reset => {
            Verdict::unknown("CounterReset").message(format!("{shown} began anew; its rate needs a scrape more"))
        }
        Rate::PerSecond(rate) => match config.expect.broken(rate) {
            None => Verdict::met("InBounds").message(format!("{shown} grows by {} a second", config.expect)),
            Some(what) => Verdict::unmet("OutOfBounds").message(format!("{shown} grows by {rate:.3} a second, {what}")),
        },
    };
    Ok((verdict, Some(kept)))
}

impl Found {
    fn sum(&self, config: &Config) -> Result<f64, Failure> {
        if self.values.is_empty() {
            return Err(unusable("MetricMissing", format!("there is no {}", config.shown())));
        }
        Ok(self.values.iter().sum())
    }
}

fn unusable(reason: &str, what: String) -> Failure {
    Failure::new(FailureKind::Other(reason.to_owned()), what)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use gatehost_sdk::{Status, parse, testing::assert_schema};

    use super::*;

    const TEXT: &str = "# TYPE depth gauge\ndepth{queue=\"a\"} 4\ndepth{queue=\"b\",kind=\"x\"} 8\nother 1\nbad NaN\n";

    fn config(more: &str) -> Config {
        let expect = if more.contains("expect") { "" } else { r#", "expect": {"lessThan": 10}"# };
        parse(&format!(r#"{{"port": 9090, "metric": "depth" {expect} {more}}}"#)).unwrap()
    }

    /// The reason and the message, whichever it is, and the status of a verdict.
    fn told(decided: Result<Verdict, Failure>) -> (Option<Status>, String, String) {
        match decided {
            Ok(verdict) => (Some(verdict.status), verdict.reason, verdict.message),
            Err(failure) => (None, failure.reason().to_owned(), failure.message),
        }
    }

    fn decided(more: &str) -> (Option<Status>, String, String) {
        let config = config(more);
        told(decide(&config.read(TEXT).unwrap(), &config))
    }

    #[test]
    fn the_schema_has_the_fields_of_the_config() {
        assert_schema::<Config>(include_str!("schema.json"));
    }

    #[test]
    fn the_sum_of_the_series_with_the_labels_is_compared_or_each() {
        for (more, expected) in [
            ("", "OutOfBounds"),
            (r#", "labels": {"queue": "a"}"#, "InBounds"),
            (r#", "labels": {"kind": ""}"#, "InBounds"),
            (r#", "labelsMatch": {"queue": "a|b"}"#, "OutOfBounds"),
            (r#", "labelsMatch": {"queue": ".*", "kind": "x"}"#, "InBounds"),
            (r#", "labels": {"queue": "c"}"#, "MetricMissing"),
            (r#", "match": "all""#, "InBounds"),
            (r#", "match": "all", "expect": {"notEquals": 8}"#, "OutOfBounds"),
            (r#", "match": "any", "expect": {"notEquals": 8}"#, "InBounds"),
            (r#", "match": "any", "expect": {"greaterThan": 8}"#, "OutOfBounds"),
        ] {
            assert_eq!(decided(more).1, expected, "{more}");
        }
        assert_eq!(decided("").2, "depth is 12, not less than 10");
        let missing = "there is no depth{queue=\"c\", kind=~\"x.*\"}";
        assert_eq!(decided(r#", "labels": {"queue": "c"}, "labelsMatch": {"kind": "x.*"}"#).2, missing);
    }

    #[test]
    fn what_is_missing_or_no_number_is_no_answer_unless_another_series_decides() {
        for (metric, found) in [("gone", "MetricMissing"), ("bad", "NotANumber")] {
            let config = Config { metric: metric.to_owned(), ..config("") };
            let (status, reason, message) = told(decide(&config.read(TEXT).unwrap(), &config));
            assert_eq!((status, reason.as_str()), (None, found), "{message}");
        }
        for (values, sum, any, all) in [
            ([5.0, f64::NAN], "NotANumber", "InBounds", "NotANumber"),
            ([12.0, f64::NAN], "NotANumber", "NotANumber", "OutOfBounds"),
            ([f64::INFINITY, f64::NEG_INFINITY], "NotANumber", "InBounds", "OutOfBounds"),
        ] {
            let found = Found { values: values.to_vec(), is_gauge: true };
            for (way, reason) in [(Match::Sum, sum), (Match::Any, any), (Match::All, all)] {
                assert_eq!(
                    told(decide(&found, &Config { r#match: way, ..config("") })).1,
                    reason,
                    "{way:?} {values:?}"
                );
            }
        }
    }

    #[test]
    fn a_rate_is_unknown_at_first_and_compared_then() {
        let config = config(r#", "rate": true"#);
        let found = |value| Found { values: vec![value], is_gauge: false };
        let (first, kept) = decide_rate(&found(0.0), None, &config, 10_000).unwrap();
        assert_eq!((first.status, first.reason.as_str()), (Status::Unknown, "FirstScrape"));
        assert_eq!(decide_rate(&found(50.0), kept.clone(), &config, 20_000).unwrap().0.reason, "InBounds");
        let fast = decide_rate(&found(200.0), kept.clone(), &config, 20_000).unwrap().0;
        assert_eq!(fast.message, "depth grows by 20.000 a second, not less than 10");
        let nan = decide_rate(&found(f64::NAN), kept.clone(), &config, 20_000).unwrap_err();
        assert_eq!(nan.to_string(), "NotANumber: depth is NaN, which grows at no rate");
        assert_eq!(decide_rate(&Found::default(), kept, &config, 20_000).unwrap_err().reason(), "MetricMissing");
    }

    #[test]
    fn an_answer_that_shows_no_metrics_is_none() {
        let answer = |status, body: &str, cut| Response { status, headers: vec![], body: body.into(), cut };
        for (answer, reason) in [
            (answer(503, TEXT, false), "BadStatus"),
            (answer(200, "<html>", false), "Garbled"),
            (answer(200, TEXT, true), "Garbled"),
        ] {
            assert_eq!(config("").find(&answer, "http://pod:1/").unwrap_err().reason(), reason);
        }
        assert!(config("").find(&answer(200, TEXT, false), "http://pod:1/").unwrap().is_gauge);
    }

    #[test]
    fn every_mistake_of_a_config_is_named_with_its_place() {
        for (wrong, at) in [
            (r#"{"metric": "x", "expect": {"equals": 1}}"#, ""),
            (r#"{"port": 1, "expect": {"equals": 1}}"#, "/metric"),
            (r#"{"port": 1, "metric": "x{a=\"b\"}", "expect": {"equals": 1}}"#, "/metric"),
            (r#"{"port": 1, "metric": "x"}"#, "/expect"),
            (r#"{"port": 1, "metric": "x", "expect": {"equal": 1}}"#, "/expect/equal"),
            (r#"{"port": 1, "metric": "x", "expect": {"equals": 1}, "rate": true, "match": "any"}"#, "/match"),
            (
                r#"{"port": 1, "metric": "x", "expect": {"equals": 1}, "labelsMatch": {"a/b": "("}}"#,
                "/labelsMatch/a~1b",
            ),
            (r#"{"port": 1, "metric": "x", "expect": {"equals": 1}, "labels": {"a": 1}}"#, "/labels/a"),
        ] {
            let paths = match parse::<Config>(wrong) {
                Ok(config) => config.errors().into_iter().map(|error| error.path).collect(),
                Err(error) => vec![error.path],
            };
            assert_eq!(paths, [at], "{wrong}");
        }
    }
}
