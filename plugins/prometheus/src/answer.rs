//! What a Prometheus server answers to an instant query.

use std::collections::BTreeMap;

use gatehost_sdk::{Failure, FailureKind, Fault, http::Response, serde_json};
use serde::{Deserialize, de::IgnoredAny};

/// Why there are no samples.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The server did not answer as a Prometheus server does, or could not.
    NoAnswer(Failure),
    /// It did, and that is a fault whatever the config says of no answer: the query is wrong, say.
    Fault(Fault),
}

/// A series and its value now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    /// As PromQL writes it; empty for a scalar.
    pub(crate) series: String,
    pub(crate) value: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "status")]
enum Answer {
    Success {
        data: Data,
    },
    #[serde(rename_all = "camelCase")]
    Error {
        error_type: String,
        error: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "resultType", content = "result")]
enum Data {
    Scalar(At),
    Vector(Vec<Series>),
    Matrix(IgnoredAny),
    String(IgnoredAny),
}

/// An instant and a value, as text.
type At = (IgnoredAny, String);

#[derive(Default, Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// Missing where it is a native histogram.
    value: Option<At>,
}

/// The samples of an answer, by series.
pub(crate) fn samples(answer: &Response, server: &str) -> Result<Vec<Sample>, Refusal> {
    let garbled = |what: &str| Refusal::NoAnswer(Failure::new(FailureKind::Garbled, format!("{server} {what}")));
    let not_numeric = |what: &str| Refusal::Fault(Fault::bad_config("NotNumeric").message(what));
    if answer.cut {
        return Err(garbled("answers with more than 1 MiB; make the query give fewer series"));
    }
    // Errors are answered in JSON as well, with a status of their own.
    let series = match serde_json::from_slice(&answer.body) {
        Ok(Answer::Success { data: Data::Vector(series) }) => series,
        Ok(Answer::Success { data: Data::Scalar(value) }) => vec![Series { value: Some(value), ..Series::default() }],
        Ok(Answer::Success { .. }) => return Err(not_numeric("the query gives no number and no instant vector")),
        Ok(Answer::Error { error_type, error }) => return Err(refused(&error_type, &error, server)),
        Err(_) if answer.status / 100 == 2 => {
            return Err(garbled("does not answer as a Prometheus server; is it one, and is its path right?"));
        }
        Err(_) => {
            let failure =
                Failure::new(FailureKind::Other("BadStatus".to_owned()), format!("{server} answers {}", answer.status));
            return Err(Refusal::NoAnswer(failure));
        }
    };
    let sample = |Series { metric, value }| {
        let Some((_, text)) = value else {
            return Err(not_numeric("the query gives native histograms; compare a number of them, such as a quantile"));
        };
        let value = text.parse().map_err(|_| garbled("answers with a value that is no number"))?;
        Ok(Sample { series: written(&metric), value })
    };
    let mut samples = series.into_iter().map(sample).collect::<Result<Vec<_>, _>>()?;
    // A message names one of them: always the same.
    samples.sort_by(|one, other| one.series.cmp(&other.series));
    Ok(samples)
}

/// What an error of the API means: that the query is wrong, or that the server could not answer it now.
fn refused(kind: &str, error: &str, server: &str) -> Refusal {
    match kind {
        "bad_data" | "execution" => Refusal::Fault(Fault::bad_config("QueryRejected").message(error)),
        _ => {
            let kind = FailureKind::Other("QueryFailed".to_owned());
            Refusal::NoAnswer(Failure::new(kind, format!("{server} answers: {error}")))
        }
    }
}

fn written(metric: &BTreeMap<String, String>) -> String {
    let name = metric.get("__name__").map_or("", String::as_str);
    let labels = metric.iter().filter(|(key, _)| *key != "__name__");
    let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={value:?}")).collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(", ")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Result<Vec<Sample>, Refusal> {
        samples(&Response { status, headers: vec![], body: body.into(), cut: false }, "http://prometheus:9090")
    }

    fn success(kind: &str, result: &str) -> String {
        format!(r#"{{"status": "success", "data": {{"resultType": "{kind}", "result": {result}}}}}"#)
    }

    #[test]
    fn vectors_and_scalars_are_numbers() {
        let vector = r#"[{"metric": {"__name__": "up", "b": "x\"", "a": "1"}, "value": [1.5, "0"]},
                         {"metric": {}, "value": [1.5, "+Inf"]}]"#;
        let read_all = read(200, &success("vector", vector)).unwrap();
        let sample = |series: &str, value| Sample { series: series.into(), value };
        assert_eq!(read_all, [sample("", f64::INFINITY), sample(r#"up{a="1", b="x\""}"#, 0.0)]);
        assert_eq!(read(200, &success("scalar", r#"[1.5, "-2e3"]"#)).unwrap(), [sample("", -2000.0)]);
        assert!(read(200, &success("scalar", r#"[1.5, "NaN"]"#)).unwrap()[0].value.is_nan());
        assert_eq!(read(200, &success("vector", "[]")).unwrap(), []);
    }

    #[test]
    fn a_wrong_query_is_a_fault_with_the_text_of_the_server() {
        let body = r#"{"status": "error", "errorType": "bad_data", "error": "1:4: parse error: unexpected end"}"#;
        let Err(Refusal::Fault(fault)) = read(400, body) else { panic!("no refusal") };
        assert!(format!("{fault:?}").contains("parse error"), "{fault:?}");
        let histogram = r#"[{"metric": {}, "histogram": [1.5, {"count": "1"}]}]"#;
        for body in [success("matrix", "[]"), success("string", r#"[1, "a"]"#), success("vector", histogram)] {
            assert!(matches!(read(200, &body), Err(Refusal::Fault(_))), "{body}");
        }
    }

    #[test]
    fn a_server_that_cannot_answer_or_is_none_gives_no_answer() {
        let late = r#"{"status": "error", "errorType": "timeout", "error": "query timed out"}"#;
        let failed = [
            (503, late, "QueryFailed"),
            (503, "Service Unavailable", "BadStatus"),
            (404, "{}", "BadStatus"),
            (200, "<html>", "Garbled"),
            (200, r#"{"status": "success"}"#, "Garbled"),
            (200, &success("vector", "1"), "Garbled"),
            (200, &success("scalar", r#"[1, "x"]"#), "Garbled"),
        ];
        for (status, body, reason) in failed {
            let Err(Refusal::NoAnswer(failure)) = read(status, body) else { panic!("{body}: no refusal") };
            assert_eq!(failure.reason(), reason, "{body}");
        }
    }
}
