//! What an answer has to be.

use std::fmt;

use gatehost_sdk::{
    Comparison, ConfigError, Failure, FailureKind, Off, Pattern,
    http::{Response, is_header_name},
    quoted,
    serde_json::Value,
};
use serde::{Deserialize, Deserializer, de};

use crate::differs;

/// What an answer has to be: all that is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// One of these; 200 to 399 unless given.
    pub status: Option<Vec<Statuses>>,
    /// A header.
    pub header: Option<Header>,
    /// What matches somewhere in the body.
    pub body: Option<Pattern>,
    /// A value in a body of JSON.
    pub json: Option<Comparison>,
}

/// A status or a range of them, its ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statuses(u16, u16);

/// A header that has to be there; with any value where neither `equals` nor `matches` is given.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Its name, in any case.
    pub name: String,
    /// Its whole value.
    pub equals: Option<String>,
    /// What matches somewhere in its value.
    pub matches: Option<Pattern>,
}

/// Why an answer is not what it has to be: a reason, and what is so.
type Broken = Option<(&'static str, String)>;

impl Expect {
    /// Whether the whole body is needed.
    pub(crate) fn reads_all(&self) -> bool {
        self.body.is_some() || self.json.is_some()
    }

    pub(crate) fn errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        let mut error = |at: &str, what: String| errors.push(ConfigError::new(at, what));
        if self.status.as_ref().is_some_and(Vec::is_empty) {
            error("/expect/status", "no status is ever right; give some, or leave it out for 200-399".to_owned());
        }
        if let Some(header) = &self.header {
            if !is_header_name(&header.name) {
                let what = format!("{:?} is no name of a header; use letters, digits and '-'", header.name);
                error("/expect/header/name", what);
            }
            if header.equals.is_some() && header.matches.is_some() {
                error("/expect/header/matches", "give either equals or matches, not both".to_owned());
            }
        }
        if let Some(json) = &self.json {
            errors.extend(json.errors("/expect/json"));
        }
        errors
    }

    pub(crate) fn broken(&self, answer: &Response) -> Result<Broken, Failure> {
        let status = self.status.as_deref().unwrap_or(&[Statuses(200, 399)]);
        if !status.iter().any(|Statuses(from, to)| (*from..=*to).contains(&answer.status)) {
            let right: Vec<_> = status.iter().map(Statuses::to_string).collect();
            let redirect = if answer.status / 100 == 3 { "; redirects are not followed" } else { "" };
            let what = format!("answers {}, not {}{redirect}", answer.status, right.join(" or "));
            return Ok(Some(("StatusDiffers", what)));
        }
        let header = self.header.as_ref().and_then(|header| header.broken(answer));
        let body = || {
            let what = differs(&answer.text(), None, self.body.as_ref())?;
            Some(("BodyDiffers", format!("answers with a body that {what}")))
        };
        if let Some(broken) = header {
            return Ok(Some(broken));
        }
        match body() {
            // What does not match in a body that cannot be read says nothing of what is in it.
            Some(broken) => answer.packed().map_or(Ok(Some(broken)), Err),
            None => self.json.as_ref().map_or(Ok(None), |json| json_broken(json, &answer.json()?)),
        }
    }
}

impl Header {
    fn broken(&self, answer: &Response) -> Broken {
        let name = self.name.to_ascii_lowercase();
        let mut broken = None;
        for (_, value) in answer.headers.iter().filter(|(known, _)| *known == name) {
            let what = differs(value, self.equals.as_deref(), self.matches.as_ref())?;
            broken = broken.or(Some(format!("answers with {} {}, which {what}", self.name, quoted(value))));
        }
        Some(match broken {
            Some(what) => ("HeaderDiffers", what),
            None => ("HeaderMissing", format!("answers without the header {}", self.name)),
        })
    }
}

/// What of a body of JSON is not right. A value that is not there, or is no number where one is asked for, answers the
/// question as little as no answer at all.
fn json_broken(json: &Comparison, body: &Value) -> Result<Broken, Failure> {
    let at = if json.pointer.is_empty() { "the whole" } else { &json.pointer };
    let unusable = |reason: &str, what: String| Err(Failure::new(FailureKind::Other(reason.to_owned()), what));
    match json.judge(body) {
        Ok(()) => Ok(None),
        Err(Off::Differs(what)) => Ok(Some(("ValueDiffers", format!("answers with JSON in which {at} {what}")))),
        Err(Off::Missing) => unusable("ValueMissing", format!("the answer is JSON without {at}")),
        Err(Off::NoNumber(what)) => unusable("NotANumber", format!("the answer is JSON in which {at} {what}")),
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == self.1 { write!(f, "{}", self.0) } else { write!(f, "{}-{}", self.0, self.1) }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let read = |text: &str| {
            let (from, to) = text.split_once('-').unwrap_or((text, text));
            Some(Self(from.trim().parse().ok()?, to.trim().parse().ok()?))
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let right = read(&text).filter(|Self(from, to)| 100 <= *from && from <= to && *to <= 599);
        let wrong = || format!("{text} is no status; write one such as 204, or a range such as \"200-299\"");
        right.ok_or_else(|| de::Error::custom(wrong()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::*;

    fn judged(json: &str, body: &str) -> Result<Option<String>, String> {
        let expect: Expect = gatehost_sdk::parse(&format!(r#"{{"json": {json}}}"#)).unwrap();
        let answer = Response { status: 200, headers: vec![], body: body.into(), cut: false };
        let broken = expect.broken(&answer).map_err(|failure| failure.to_string())?;
        Ok(broken.map(|(reason, what)| format!("{reason}: {what}")))
    }

    #[test]
    fn a_value_in_json_is_compared_and_what_differs_is_told() {
        let body = r#"{"state": "ready", "n": 12, "list": []}"#;
        let whole =
            r#"ValueDiffers: answers with JSON in which the whole is {"list":[],"n":12,"state":"ready"}, not {}"#;
        for (json, wanted) in [
            (r#"{"pointer": "/state", "equals": "ready"}"#, None),
            (r#"{"pointer": "/n", "lessThan": 10}"#, {
                Some("ValueDiffers: answers with JSON in which /n is 12, not less than 10")
            }),
            (r#"{"equals": {}}"#, Some(whole)),
        ] {
            assert_eq!(judged(json, body), Ok(wanted.map(str::to_owned)), "{json}");
        }
    }

    #[test]
    fn json_that_says_nothing_of_what_is_asked_for_is_as_good_as_no_answer() {
        let body = r#"{"state": "ready", "none": null, "nan": "NaN"}"#;
        for (json, wanted) in [
            (r#"{"pointer": "/gone", "equals": 1}"#, "ValueMissing: the answer is JSON without /gone"),
            (r#"{"pointer": "/none", "notEquals": 1}"#, "ValueMissing: the answer is JSON without /none"),
            (r#"{"pointer": "/nan", "lessThan": 1}"#, {
                r#"NotANumber: the answer is JSON in which /nan is "NaN", which is no number"#
            }),
        ] {
            assert_eq!(judged(json, body), Err(wanted.to_owned()), "{json}");
        }
    }

    #[test]
    fn an_answer_that_is_compressed_is_no_answer_and_says_so_where_its_body_is_read() {
        let packed = |coding: &str, body: &[u8]| Response {
            status: 200,
            headers: vec![("content-encoding".into(), coding.into())],
            body: body.into(),
            cut: false,
        };
        let expect = |expect: &str| gatehost_sdk::parse::<Expect>(expect).unwrap();
        for reads in [r#"{"json": {"equals": 1}}"#, r#"{"body": "ready"}"#] {
            for coding in ["gzip", "identity, BR"] {
                let failure = expect(reads).broken(&packed(coding, b"\x1f\x8b\x08")).unwrap_err();
                assert_eq!(failure.kind, FailureKind::Garbled);
                let message =
                    format!("the answer is compressed (content-encoding \"{coding}\"), and no check unpacks it; ");
                assert!(failure.message.starts_with(&message), "{failure}");
            }
            let plain = expect(reads).broken(&packed("Identity", b"warm"));
            assert!(!format!("{plain:?}").contains("compressed"), "{plain:?}");
        }
        // What is not looked at may be compressed, and what is right is right.
        assert_eq!(expect(r#"{"header": {"name": "content-encoding"}}"#).broken(&packed("gzip", b"\x1f")), Ok(None));
        assert_eq!(expect(r#"{"body": "ready"}"#).broken(&packed("gzip", b"ready")), Ok(None));
    }

    #[test]
    fn an_answer_that_is_no_json_or_was_cut_is_no_answer() {
        let expect: Expect = gatehost_sdk::parse(r#"{"json": {"equals": 1}}"#).unwrap();
        let answer = |body: &str, cut| Response { status: 200, headers: vec![], body: body.into(), cut };
        for wrong in [answer("<html>", false), answer("1", true)] {
            assert!(expect.broken(&wrong).is_err_and(|failure| failure.kind == FailureKind::Garbled));
        }
        assert_eq!(expect.broken(&answer("1", false)), Ok(None));
    }
}
