//! A parsed document in which every value knows its line.

use std::{fmt, thread};

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number};
use serde_saphyr::Spanned;

use super::MAX_TEXT;

/// The deepest nesting that is read; the parser recurses.
const MAX_DEPTH: usize = 64;
/// What the parser may need for that, in bytes: 45 KiB a level where nothing is optimised.
const STACK: usize = 8 << 20;
/// The most values in one text, aliases followed.
const MAX_NODES: usize = 100_000;

/// A value and the line it stands on, from 1; 0 where unknown.
pub(super) struct Node {
    pub(super) line: u64,
    pub(super) value: Value,
}

/// A field of an object.
pub(super) struct Field {
    pub(super) line: u64,
    pub(super) name: String,
    pub(super) node: Node,
}

pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<Field>),
}

/// Splits a text into its documents; the error is one line.
pub(super) fn read(text: &str) -> Result<Vec<Node>, String> {
    if text.len() > MAX_TEXT {
        return Err(format!("larger than {} KiB; split it into several files", MAX_TEXT >> 10));
    }
    // On a thread of its own, because the caller's may have a smaller stack: an overflow would end the process.
    thread::scope(|scope| {
        let parser = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || parse(text));
        let parser = parser.map_err(|e| format!("cannot be parsed now: no thread: {e}"))?;
        parser.join().unwrap_or_else(|_| Err("does not parse: the parser failed on it; write it in another way".into()))
    })
}

fn parse(text: &str) -> Result<Vec<Node>, String> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        strict_booleans: true,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::Reject,
        alias_limits: limits(),
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_aliases: 1000 },
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|e| describe(&e))
}

fn limits() -> serde_saphyr::options::AliasLimits {
    let mut limits = serde_saphyr::options::AliasLimits::default();
    limits.max_total_replayed_events = MAX_NODES;
    limits
}

fn describe(error: &serde_saphyr::Error) -> String {
    match error {
        serde_saphyr::Error::DuplicateMappingKey { key: Some(key), location } => {
            format!("line {}: {key}: given twice in one object; keep one", location.line())
        }
        other => format!("does not parse as YAML: {}", other.to_string().replace('\n', " ")),
    }
}

impl Node {
    /// The value as plain JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(b) => (*b).into(),
            Value::Number(n) => n.clone().into(),
            Value::Text(t) => t.as_str().into(),
            Value::List(list) => list.iter().map(Self::json).collect(),
            Value::Object(fields) => {
                fields.iter().map(|f| (f.name.clone(), f.node.json())).collect::<Map<_, _>>().into()
            }
        }
    }

    /// It as a whole number that is not negative, if it is one.
    pub(super) fn whole(&self) -> Option<u64> {
        if let Value::Number(number) = &self.value { number.as_u64() } else { None }
    }

    /// It as text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// What it is, for an error message.
    pub(super) fn found(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(b) => format!("{b}"),
            Value::Number(n) => format!("the number {n}"),
            Value::Text(t) if t.chars().count() <= 40 => format!("the text {t:?}"),
            Value::Text(t) => format!("the text {:?}...", t.chars().take(40).collect::<String>()),
            Value::List(_) => "a list".into(),
            Value::Object(_) => "an object".into(),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read)
    }
}

struct Read;

impl<'de> Visitor<'de> for Read {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }
    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }
    fn visit_f64<E: de::Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("a number that JSON cannot hold"))
    }
    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::Text(v.into()))
    }
    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::Text(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(node) = seq.next_element()? {
            list.push(node);
        }
        Ok(Value::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            fields.push(Field { line: key.referenced.line(), name: key.value, node: map.next_value()? });
        }
        Ok(Value::Object(fields))
    }
}
