//! A value in an object, and what it has to be.

use gatehost_sdk::{ConfigError, serde_json::Value};
use serde::Deserialize;

/// A value, and what it has to be: all that is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Comparison {
    /// A JSON pointer to it.
    pub pointer: String,
    /// It is this text, number or boolean.
    pub equals: Option<Value>,
    /// It is any other one.
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

/// Why a value is not right.
#[derive(Debug, PartialEq)]
pub(crate) enum Off {
    /// There is none.
    Missing,
    /// It is another one; what about it.
    Differs(String),
    /// It is to be compared as a number and is none.
    NoNumber,
}

impl Comparison {
    pub(crate) fn errors(&self, at: &str) -> Vec<ConfigError> {
        let mut errors: Vec<_> = pointer_error(&format!("{at}/pointer"), &self.pointer).into_iter().collect();
        for (field, value) in [("equals", &self.equals), ("notEquals", &self.not_equals)] {
            if value.as_ref().is_some_and(|value| value.is_object() || value.is_array()) {
                let what = "compares a text, a number or a boolean only; point deeper";
                errors.push(ConfigError::new(format!("{at}/{field}"), what));
            }
        }
        let numbers = self.numbers().iter().any(|(_, bound, _)| bound.is_some());
        if !numbers && self.equals.is_none() && self.not_equals.is_none() {
            let what = "compares with nothing; give one of equals, notEquals, lessThan, lessOrEqual, greaterThan, greaterOrEqual";
            errors.push(ConfigError::new(at, what));
        }
        errors
    }

    /// Whether the value is right.
    pub(crate) fn judge(&self, object: &Value) -> Result<(), Off> {
        let value = object.pointer(&self.pointer).filter(|value| !value.is_null()).ok_or(Off::Missing)?;
        if let Some(wanted) = self.equals.as_ref().filter(|wanted| !same(value, wanted)) {
            return Err(Off::Differs(format!("is {}, not {}", shown(value), shown(wanted))));
        }
        if let Some(unwanted) = self.not_equals.as_ref().filter(|unwanted| same(value, unwanted)) {
            return Err(Off::Differs(format!("is {}", shown(unwanted))));
        }
        for (broken, bound, holds) in self.numbers() {
            let Some(bound) = bound else { continue };
            if !holds(value.as_f64().ok_or(Off::NoNumber)?, bound) {
                return Err(Off::Differs(format!("is {broken} {bound}")));
            }
        }
        Ok(())
    }

    /// The words for what is broken, the bound, and what holds. The number itself would change from call to call.
    #[allow(clippy::type_complexity, reason = "read a few lines above only")]
    fn numbers(&self) -> [(&'static str, Option<f64>, fn(f64, f64) -> bool); 4] {
        [
            ("not less than", self.less_than, |a, b| a < b),
            ("greater than", self.less_or_equal, |a, b| a <= b),
            ("not greater than", self.greater_than, |a, b| a > b),
            ("less than", self.greater_or_equal, |a, b| a >= b),
        ]
    }
}

/// Numbers are the same whichever way they are written.
fn same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && b.is_number() && a.as_f64() == b.as_f64())
}

/// What is wrong with a JSON pointer to something below the whole.
pub(crate) fn pointer_error(at: &str, pointer: &str) -> Option<ConfigError> {
    let escaped = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if pointer.len() > 1 && pointer.starts_with('/') && escaped {
        return None;
    }
    let what = "is no JSON pointer; write one such as /status/readyReplicas, in names ~1 for / and ~0 for ~";
    Some(ConfigError::new(at, what))
}

/// A value as JSON, cut where it would drown the rest of the message.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    text.char_indices().nth(60).map_or_else(|| text.clone(), |(end, _)| format!("{}…", &text[..end]))
}
