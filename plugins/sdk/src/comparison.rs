//! A value in JSON, held to what a config asks of it.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{Bounds, ConfigError, quoted};

/// A value in JSON and what it has to be: all that is given. In a config, an object with fields of these names in
/// camelCase. A value that is null counts as one that is not there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Comparison {
    /// A JSON pointer to it; empty for the whole.
    pub pointer: String,
    /// It is this value; 1 and 1.0 are the same.
    #[serde(deserialize_with = "given")]
    pub equals: Option<Value>,
    /// It is any other value.
    #[serde(deserialize_with = "given")]
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

/// Why a value is not what it has to be. Only [`Off::Differs`] is an answer; what the others mean is for the check to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Off {
    /// There is none.
    Missing,
    /// It is another one: words that follow its name, such as `is 12, not less than 10`.
    Differs(String),
    /// It is to be compared with a number and is none: words that follow its name, such as `is "a", which is no number`.
    NoNumber(String),
}

/// Null is what is given there, and not nothing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Comparison {
    /// What is wrong with it in a config, where it stands at a JSON pointer.
    pub fn errors(&self, at: &str) -> Vec<ConfigError> {
        let mut errors: Vec<_> = pointer_error(&format!("{at}/pointer"), &self.pointer).into_iter().collect();
        let values = [("equals", &self.equals), ("notEquals", &self.not_equals)];
        for (field, _) in values.iter().filter(|(_, value)| value.as_ref().is_some_and(Value::is_null)) {
            let what = "is null, which counts as nothing there; compare with a value";
            errors.push(ConfigError::new(format!("{at}/{field}"), what));
        }
        // What a value equals, and in which bounds a number is, are two things: the first alone will do.
        let bounds = self.bounds();
        if !bounds.is_empty() || values.iter().all(|(_, value)| value.is_none()) {
            let number = |value: &Option<Value>| value.as_ref().and_then(Value::as_f64);
            let all = Bounds { equals: number(&self.equals), not_equals: number(&self.not_equals), ..bounds };
            errors.extend(all.errors(at));
        }
        errors
    }

    /// Whether the value in `whole` is right.
    ///
    /// # Errors
    /// It is not, or cannot be told.
    pub fn judge(&self, whole: &Value) -> Result<(), Off> {
        let value = whole.pointer(&self.pointer).filter(|value| !value.is_null()).ok_or(Off::Missing)?;
        if let Some(wanted) = self.equals.as_ref().filter(|wanted| !is_same(value, wanted)) {
            return Err(Off::Differs(format!("is {}, not {}", shown(value), shown(wanted))));
        }
        if self.not_equals.as_ref().is_some_and(|unwanted| is_same(value, unwanted)) {
            return Err(Off::Differs(format!("is {}, which it must not be", shown(value))));
        }
        let bounds = self.bounds();
        if bounds.is_empty() {
            return Ok(());
        }
        let number = value.as_f64().ok_or_else(|| Off::NoNumber(format!("is {}, which is no number", shown(value))))?;
        let broken = bounds.broken(number).map(|what| Off::Differs(format!("is {number}, {what}")));
        broken.map_or(Ok(()), Err)
    }

    fn bounds(&self) -> Bounds {
        Bounds {
            less_than: self.less_than,
            less_or_equal: self.less_or_equal,
            greater_than: self.greater_than,
            greater_or_equal: self.greater_or_equal,
            ..Bounds::default()
        }
    }
}

/// What is wrong with a JSON pointer in a config, which stands there at another one. Empty, it is right: the whole.
pub fn pointer_error(at: &str, pointer: &str) -> Option<ConfigError> {
    let is_escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (pointer.is_empty() || pointer.starts_with('/')) && is_escaped {
        return None;
    }
    let what = "is no JSON pointer; write one such as /status/readyReplicas, in names ~1 for / and ~0 for ~";
    Some(ConfigError::new(at, what))
}

/// Whole numbers are compared as such, and where one has a fraction it may be written either way.
fn is_same(one: &Value, other: &Value) -> bool {
    let numbers = || one.as_f64().zip(other.as_f64());
    let has_fraction = one.is_f64() || other.is_f64();
    #[allow(clippy::float_cmp, reason = "what is written is what is meant")]
    let is_equal = || has_fraction && numbers().is_some_and(|(one, other)| one == other);
    one == other || is_equal()
}

/// A value as JSON, cut where it would drown the rest of the message.
fn shown(value: &Value) -> String {
    if let Value::String(text) = value {
        return quoted(text);
    }
    let text = value.to_string();
    text.char_indices().nth(60).map_or_else(|| text.clone(), |(end, _)| format!("{}…", &text[..end]))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use serde_json::json;

    use super::*;

    fn comparison(value: &Value) -> Comparison {
        crate::parse(&value.to_string()).unwrap()
    }

    #[test]
    fn a_value_compares_as_what_it_is() {
        let whole = json!({ "state": "ready", "entries": 100, "half": 0.5, "list": [{ "a": true }], "none": null,
                            "large": 9_007_199_254_740_993_u64 });
        let differs = |what: &str| Err(Off::Differs(what.to_owned()));
        for (asked, right) in [
            (json!({ "pointer": "/state", "equals": "ready" }), Ok(())),
            (json!({ "pointer": "/state", "equals": "cold" }), differs(r#"is "ready", not "cold""#)),
            (json!({ "pointer": "/state", "notEquals": "ready" }), differs(r#"is "ready", which it must not be"#)),
            (
                json!({ "pointer": "/state", "lessThan": 1 }),
                Err(Off::NoNumber(r#"is "ready", which is no number"#.to_owned())),
            ),
            (json!({ "pointer": "/entries", "equals": 100.0 }), Ok(())),
            (json!({ "pointer": "/entries", "equals": "100" }), differs(r#"is 100, not "100""#)),
            (json!({ "pointer": "/entries", "greaterOrEqual": 100, "lessThan": 200 }), Ok(())),
            (json!({ "pointer": "/entries", "greaterThan": 100 }), differs("is 100, not greater than 100")),
            (json!({ "pointer": "/large", "equals": 9_007_199_254_740_992_u64 }), {
                differs("is 9007199254740993, not 9007199254740992")
            }),
            (json!({ "pointer": "/half", "lessThan": 1 }), Ok(())),
            (json!({ "pointer": "/list/0/a", "equals": true }), Ok(())),
            (json!({ "pointer": "/list", "equals": [{ "a": true }] }), Ok(())),
            (json!({ "pointer": "/list/1/a", "equals": true }), Err(Off::Missing)),
            (json!({ "pointer": "/none", "notEquals": 1 }), Err(Off::Missing)),
        ] {
            assert_eq!(comparison(&asked).judge(&whole), right, "{asked}");
        }
        assert_eq!(comparison(&json!({ "equals": 1.0 })).judge(&json!(1)), Ok(()));
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        for (wrong, at) in [
            (json!({ "pointer": "/a" }), "/x"),
            (json!({ "pointer": "a", "equals": 1 }), "/x/pointer"),
            (json!({ "pointer": "/a~2", "equals": 1 }), "/x/pointer"),
            (json!({ "pointer": "/a~", "equals": 1 }), "/x/pointer"),
            (json!({ "pointer": "/a", "equals": null }), "/x/equals"),
            (json!({ "pointer": "/a", "lessThan": 1, "greaterThan": 2 }), "/x"),
            (json!({ "pointer": "/a", "equals": 1, "greaterThan": 2 }), "/x"),
        ] {
            let paths: Vec<_> = comparison(&wrong).errors("/x").into_iter().map(|error| error.path).collect();
            assert_eq!(paths, [at], "{wrong}");
        }
        for right in [json!({ "equals": "a", "lessThan": 1 }), json!({ "pointer": "/a~1b", "notEquals": 1 })] {
            assert_eq!(comparison(&right).errors("/x"), []);
        }
    }
}
