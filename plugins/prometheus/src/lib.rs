//! True while an instant PromQL query against a Prometheus server compares as configured.

use gatehost_sdk::{
    Bounds, Check, ConfigError, Description, Failure, FailureKind, Fault, OnNoAnswer, Pod, Several, Verdict,
    http::{Header, Request, host_of},
};
use serde::Deserialize;

mod answer;
mod query;

use answer::{Refusal, Sample};

/// What is asked whom, and what the answer has to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    /// The absolute URL of the server, with the path before `/api/v1` if it has one.
    pub server: String,
    /// PromQL; it may hold fields of the pod.
    pub query: String,
    /// Sent as they are.
    pub http_headers: Vec<Header>,
    /// Which samples have to compare, where there are several.
    pub r#match: Match,
    /// What the value has to be.
    pub expect: Bounds,
    /// What it means that the query gives no sample; what no answer does unless given.
    pub on_no_data: Option<OnNoData>,
    /// What it means that the server does not answer, or not with a number.
    pub on_no_answer: Option<OnNoAnswer>,
}

/// Which samples have to compare.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Match {
    /// Each of them.
    #[default]
    All,
    /// One of them.
    Any,
}

/// What it means that there is no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnNoData {
    /// The condition stays as it is.
    Fault,
    /// The condition becomes Unknown, which closes the gate.
    Unknown,
    /// The gate closes.
    Unmet,
    /// The gate opens.
    Met,
}

/// The check.
pub struct Prometheus;

impl Check for Prometheus {
    type Config = Config;

    fn describe() -> Description {
        let help = "True while an instant PromQL query against a Prometheus server compares as configured.";
        Description::new("prometheus", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        let errors = config.errors();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn evaluate(pod: &Pod, config: Config) -> Result<Verdict, Fault> {
        let query = query::about(&config.query, pod);
        let query = match query.map_err(|wrong| Fault::bad_config("BadQuery").message(wrong))? {
            Ok(query) => query,
            Err(field) => return Ok(field.missing()),
        };
        let answer = config.request(&query).send().map_err(Refusal::NoAnswer);
        let samples = answer.and_then(|answer| answer::samples(&answer, &config.server));
        match samples.and_then(|samples| decide(&samples, &config)) {
            Ok(verdict) => Ok(verdict),
            Err(Refusal::Fault(fault)) => Err(fault),
            Err(Refusal::NoAnswer(failure)) => {
                let unless_set = || OnNoAnswer::by_host(host_of(&config.server).unwrap_or_default());
                config.on_no_answer.unwrap_or_else(unless_set).answer(failure)
            }
        }
    }
}

gatehost_sdk::export!(Prometheus);

impl Config {
    /// A POST, because a query can be longer than a URL may be.
    fn request(&self, query: &str) -> Request {
        let url = format!("{}/api/v1/query", self.server.trim_end_matches('/'));
        let body = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        Request::post(url, body)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .headers(&self.http_headers)
            .most_bytes(1 << 20)
    }

    fn errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        let mut error = |at: &str, what: String| errors.push(ConfigError::new(at, what));
        if let Err(wrong) = host_of(&self.server) {
            error("/server", wrong);
        } else if self.server.contains('?') {
            error("/server", "has a query; give the URL of the server, such as http://prometheus:9090".to_owned());
        }
        if self.query.trim().is_empty() {
            error("/query", "is empty; write PromQL, such as up{pod=$(metadata.name)}".to_owned());
        } else if let Err(wrong) = query::judge(&self.query) {
            error("/query", wrong);
        }
        errors.extend(self.expect.errors("/expect"));
        errors
    }
}

/// Decides by the samples that a query gave. What is not a number answers nothing, such as a share of nothing: it never
/// opens a gate, and is no False of the server's.
pub(crate) fn decide(samples: &[Sample], config: &Config) -> Result<Verdict, Refusal> {
    if samples.is_empty() {
        let what = "the query gives no sample";
        let verdict = match config.on_no_data {
            None => return Err(unusable("NoData", what)),
            Some(OnNoData::Fault) => return Err(Refusal::Fault(Fault::unreachable("NoData").message(what))),
            Some(OnNoData::Unknown) => Verdict::unknown("NoData"),
            Some(OnNoData::Unmet) => Verdict::unmet("NoData"),
            Some(OnNoData::Met) => Verdict::met("NoData"),
        };
        return Ok(verdict.message(what));
    }
    let values: Vec<_> = samples.iter().map(|sample| sample.value).collect();
    match config.expect.judge(&values, config.r#match == Match::Any) {
        Several::Right => Ok(Verdict::met("InBounds").message(format!("the query gives {}", config.expect))),
        Several::Broken(at, what) => {
            let Sample { series, value } = &samples[at];
            let whose = if samples.len() == 1 { String::new() } else { format!(" for {series}") };
            Ok(Verdict::unmet("OutOfBounds").message(format!("the query gives {value}{whose}, {what}")))
        }
        Several::NotANumber => Err(unusable("NotANumber", "the query gives NaN")),
    }
}

fn unusable(reason: &str, what: &str) -> Refusal {
    Refusal::NoAnswer(Failure::new(FailureKind::Other(reason.to_owned()), what))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use gatehost_sdk::{Status, parse, testing::assert_schema};

    use super::*;

    /// The status of a verdict, and the reason and the message of it or of the failure.
    fn decided(values: &[f64], more: &str) -> (Option<Status>, String, String) {
        let config: Config = parse(&format!(r#"{{"expect": {{"lessThan": 10}} {more}}}"#)).unwrap();
        let sample = |(index, value): (usize, &f64)| Sample { series: format!("x{{i=\"{index}\"}}"), value: *value };
        match decide(&values.iter().enumerate().map(sample).collect::<Vec<_>>(), &config) {
            Ok(verdict) => (Some(verdict.status), verdict.reason, verdict.message),
            Err(Refusal::NoAnswer(failure)) => (None, failure.reason().to_owned(), failure.message),
            Err(Refusal::Fault(fault)) => (None, "a fault whatever it is".to_owned(), format!("{fault:?}")),
        }
    }

    #[test]
    fn the_schema_has_the_fields_of_the_config() {
        assert_schema::<Config>(include_str!("schema.json"));
    }

    #[test]
    fn all_samples_have_to_compare_or_any() {
        let any = r#", "match": "any""#;
        for (values, more, expected) in [
            (&[5.0][..], "", "InBounds"),
            (&[5.0, 12.0], "", "OutOfBounds"),
            (&[5.0, 12.0], any, "InBounds"),
            (&[11.0, 12.0], any, "OutOfBounds"),
        ] {
            assert_eq!(decided(values, more).1, expected, "{values:?} {more}");
        }
        assert_eq!(decided(&[5.0, 12.0], "").2, "the query gives 12 for x{i=\"1\"}, not less than 10");
    }

    #[test]
    fn what_is_not_a_number_neither_opens_nor_closes() {
        let any = r#", "match": "any""#;
        for (values, more, expected) in [
            (&[f64::NAN][..], "", "NotANumber"),
            (&[f64::NAN, 5.0], "", "NotANumber"),
            (&[f64::NAN, 12.0], "", "OutOfBounds"),
            (&[f64::NAN, 5.0], any, "InBounds"),
            (&[f64::NAN, 12.0], any, "NotANumber"),
        ] {
            assert_eq!(decided(values, more).1, expected, "{values:?} {more}");
        }
    }

    #[test]
    fn no_sample_means_what_is_configured() {
        assert_eq!(decided(&[], ""), (None, "NoData".to_owned(), "the query gives no sample".to_owned()));
        for (means, status) in [("unknown", Status::Unknown), ("unmet", Status::Unmet), ("met", Status::Met)] {
            let told = decided(&[], &format!(r#", "onNoData": "{means}""#));
            assert_eq!((told.0, told.1.as_str()), (Some(status), "NoData"));
        }
        let (status, whatever, fault) = decided(&[], r#", "onNoData": "fault""#);
        assert_eq!((status, whatever.as_str()), (None, "a fault whatever it is"));
        assert!(fault.contains("reason: \"NoData\""), "{fault}");
    }

    #[test]
    fn the_query_is_sent_as_a_form() {
        let config = Config { server: "http://p:9090/x/".into(), ..Config::default() };
        let body: Vec<u8> = "query=up%7Ba%3D%22b+c%22%7D".into();
        let sent = format!("{:?}", config.request(r#"up{a="b c"}"#));
        assert!(sent.contains("http://p:9090/x/api/v1/query") && sent.contains(&format!("{body:?}")), "{sent}");
    }

    #[test]
    fn every_mistake_of_a_config_is_named_with_its_place() {
        let right = r#""server": "http://p", "query": "up""#;
        for (wrong, at) in [
            (r#"{"server": "p:9090", "query": "up", "expect": {"equals": 1}}"#.to_owned(), "/server"),
            (r#"{"server": "http://p/graph?x=1", "query": "up", "expect": {"equals": 1}}"#.to_owned(), "/server"),
            (r#"{"server": "http://p", "query": " ", "expect": {"equals": 1}}"#.to_owned(), "/query"),
            (
                r#"{"server": "http://p", "query": "x{a=`$(metadata.name)`}", "expect": {"equals": 1}}"#.to_owned(),
                "/query",
            ),
            (format!("{{{right}}}"), "/expect"),
            (format!(r#"{{{right}, "expect": {{"lessThan": 1, "greaterThan": 2}}}}"#), "/expect"),
            (format!(r#"{{{right}, "expect": {{"equals": 1}}, "match": "sum"}}"#), "/match"),
            (format!(r#"{{{right}, "expect": {{"equals": 1}}, "onNoData": "false"}}"#), "/onNoData"),
            (
                format!(r#"{{{right}, "expect": {{"equals": 1}}, "httpHeaders": [{{"name": "a:", "value": ""}}]}}"#),
                "/httpHeaders/0",
            ),
            (format!(r#"{{{right}, "expect": {{"equals": "1"}}}}"#), "/expect/equals"),
        ] {
            let paths = match parse::<Config>(&wrong) {
                Ok(config) => config.errors().into_iter().map(|error| error.path).collect(),
                Err(error) => vec![error.path],
            };
            assert_eq!(paths, [at], "{wrong}");
        }
        assert!(parse::<Config>(&format!(r#"{{{right}, "expect": {{"equals": 1}}}}"#)).unwrap().errors().is_empty());
    }
}
