//! What an answer has to be.

use std::fmt;

use gatehost_sdk::{
    Bounds, ConfigError, Failure, Pattern,
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
    pub json: Option<Json>,
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

/// A value in a body of JSON.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Json {
    /// Where: a JSON pointer; empty for the whole body.
    pub pointer: String,
    /// It is this value.
    pub equals: Option<Value>,
    /// It is any other value.
    pub not_equals: Option<Value>,
    /// It is a number less than this.
    pub less_than: Option<f64>,
    /// It is this number or less.
    pub less_or_equal: Option<f64>,
    /// It is a number greater than this.
    pub greater_than: Option<f64>,
    /// It is this number or greater.
    pub greater_or_equal: Option<f64>,
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
            errors.extend(json.errors());
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
        match header.or_else(body) {
            Some(broken) => Ok(Some(broken)),
            None => self.json.as_ref().map_or(Ok(None), |json| Ok(json.broken(&answer.json()?))),
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

impl Json {
    fn bounds(&self) -> Bounds {
        Bounds {
            less_than: self.less_than,
            less_or_equal: self.less_or_equal,
            greater_than: self.greater_than,
            greater_or_equal: self.greater_or_equal,
            ..Bounds::default()
        }
    }

    fn errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if !(self.pointer.is_empty() || self.pointer.starts_with('/')) {
            let what = "is no JSON pointer; write /field/0, or nothing for the whole body";
            errors.push(ConfigError::new("/expect/json/pointer", what));
        }
        // What a value equals, and in which bounds a number is, are two things: the first alone will do.
        if !(self.bounds().is_empty() && (self.equals.is_some() || self.not_equals.is_some())) {
            errors.extend(self.bounds().errors("/expect/json"));
        }
        errors
    }

    fn broken(&self, body: &Value) -> Broken {
        let at = if self.pointer.is_empty() { "the whole" } else { &self.pointer };
        let Some(value) = body.pointer(&self.pointer) else {
            return Some(("ValueMissing", format!("answers with JSON without {at}")));
        };
        let what = if self.equals.as_ref().is_some_and(|other| !is_same(value, other)) {
            format!("not {}", self.equals.as_ref().map(shown).unwrap_or_default())
        } else if self.not_equals.as_ref().is_some_and(|other| is_same(value, other)) {
            "what it must not be".to_owned()
        } else if self.bounds().is_empty() {
            return None;
        } else {
            match value.as_f64() {
                Some(number) => self.bounds().broken(number)?,
                None => "no number".to_owned(),
            }
        };
        Some(("ValueDiffers", format!("answers with JSON in which {at} is {}, {what}", shown(value))))
    }
}

/// 1 and 1.0 are the same.
fn is_same(one: &Value, other: &Value) -> bool {
    let both_whole = !one.is_f64() && !other.is_f64();
    let numbers = || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| one.total_cmp(&other).is_eq());
    one == other || (!both_whole && numbers())
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
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
    use gatehost_sdk::{FailureKind, serde_json::json};

    use super::*;

    fn broken(json: Value, body: &Value) -> Option<&'static str> {
        gatehost_sdk::parse::<Json>(&json.to_string()).unwrap().broken(body).map(|(reason, _)| reason)
    }

    #[test]
    fn a_value_in_json_is_compared_as_what_it_is() {
        let body = json!({ "state": "ready", "entries": 100, "half": 0.5, "list": [{ "a": true }] });
        for (asked, reason) in [
            (json!({ "pointer": "/state", "equals": "ready" }), None),
            (json!({ "pointer": "/state", "equals": "cold" }), Some("ValueDiffers")),
            (json!({ "pointer": "/state", "notEquals": "ready" }), Some("ValueDiffers")),
            (json!({ "pointer": "/state", "lessThan": 1 }), Some("ValueDiffers")),
            (json!({ "pointer": "/entries", "equals": 100.0 }), None),
            (json!({ "pointer": "/entries", "equals": "100" }), Some("ValueDiffers")),
            (json!({ "pointer": "/entries", "greaterOrEqual": 100, "lessThan": 200 }), None),
            (json!({ "pointer": "/entries", "greaterThan": 100 }), Some("ValueDiffers")),
            (json!({ "pointer": "/half", "lessThan": 1 }), None),
            (json!({ "pointer": "/list/0/a", "equals": true }), None),
            (json!({ "pointer": "/list/1/a", "equals": true }), Some("ValueMissing")),
            (json!({ "pointer": "", "equals": { "a": 1 } }), Some("ValueDiffers")),
        ] {
            assert_eq!(broken(asked.clone(), &body), reason, "{asked}");
        }
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

    #[test]
    fn what_differs_is_told() {
        let json = Json { pointer: "/n".into(), less_than: Some(10.0), ..Json::default() };
        let (_, what) = json.broken(&json!({ "n": 12 })).unwrap();
        assert_eq!(what, "answers with JSON in which /n is 12, not less than 10");
    }
}
