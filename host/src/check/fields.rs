//! Reading fields out of a document, with a complaint for each that is not as it should be.

use std::{ops::RangeInclusive, time::Duration};

use super::node::{Field, Node, Value};

/// What was found wrong in one document, one line each.
#[derive(Default)]
pub(super) struct Complaints {
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Complaints {
    pub(super) fn error(&mut self, line: u64, path: &str, what: &str) {
        self.errors.push(located(line, path, what));
    }

    pub(super) fn warning(&mut self, line: u64, path: &str, what: &str) {
        self.warnings.push(located(line, path, what));
    }
}

fn located(line: u64, path: &str, what: &str) -> String {
    let colon = if path.is_empty() { "" } else { ": " };
    if line == 0 { format!("{path}{colon}{what}") } else { format!("line {line}: {path}{colon}{what}") }
}

/// An object within a document, and the path to it: empty at the top, `spec.` within spec.
pub(super) struct Object<'a> {
    line: u64,
    path: &'static str,
    fields: &'a [Field],
}

impl<'a> Object<'a> {
    /// The document itself.
    pub(super) fn top(node: &'a Node, to: &mut Complaints) -> Option<Self> {
        if let Value::Object(fields) = &node.value {
            return Some(Self { line: node.line, path: "", fields });
        }
        to.error(
            node.line,
            "",
            &format!("{} is no document; expected an object with apiVersion and kind", node.found()),
        );
        None
    }

    /// A required object in it. `path` is its own, with a dot at the end.
    pub(super) fn object(&self, name: &str, path: &'static str, to: &mut Complaints) -> Option<Self> {
        let node = self.required(name, "an object", to)?;
        self.within(name, node, path, to)
    }

    /// A field's value as an object. `path` is its own, with a dot at the end.
    pub(super) fn within(&self, name: &str, node: &'a Node, path: &'static str, to: &mut Complaints) -> Option<Self> {
        if let Value::Object(fields) = &node.value {
            return Some(Self { line: node.line, path, fields });
        }
        self.mismatch(name, node, "an object", to);
        None
    }

    /// Complains of every field but these, naming the nearest one.
    pub(super) fn only(&self, known: &[&str], to: &mut Complaints) {
        for field in self.fields.iter().filter(|f| !known.contains(&f.name.as_str())) {
            let path = self.path_of(&field.name);
            let near = known.iter().map(|k| (distance(k, &field.name), k)).min();
            match near {
                Some((distance, near)) if distance <= 3.max(near.len() / 3) && distance < near.len() => {
                    to.error(field.line, &path, &format!("unknown field; did you mean {near}?"));
                }
                _ => to.error(field.line, &path, &format!("unknown field; known here: {}", known.join(", "))),
            }
        }
    }

    /// A field that has a value.
    pub(super) fn get(&self, name: &str) -> Option<&'a Node> {
        let field = self.fields.iter().find(|f| f.name == name)?;
        (!matches!(field.node.value, Value::Null)).then_some(&field.node)
    }

    fn required(&self, name: &str, expected: &str, to: &mut Complaints) -> Option<&'a Node> {
        let node = self.get(name);
        if node.is_none() {
            to.error(self.line, &self.path_of(name), &format!("missing; expected {expected}"));
        }
        node
    }

    /// A required text that `valid` accepts; `expected` completes "expected ...".
    pub(super) fn text(
        &self,
        name: &str,
        expected: &str,
        valid: impl Fn(&str) -> bool,
        to: &mut Complaints,
    ) -> Option<&'a str> {
        let node = self.required(name, expected, to)?;
        match &node.value {
            Value::Text(text) if valid(text) => Some(text),
            _ => {
                self.mismatch(name, node, expected, to);
                None
            }
        }
    }

    /// A whole number of seconds in `range`; `default` where absent, nothing where wrong.
    pub(super) fn seconds(
        &self,
        name: &str,
        default: u64,
        range: RangeInclusive<u64>,
        to: &mut Complaints,
    ) -> Option<Duration> {
        self.number(name, "a whole number of seconds", default, range, to).map(Duration::from_secs)
    }

    /// A whole number in `range`; `default` where absent, nothing where wrong.
    pub(super) fn count(
        &self,
        name: &str,
        default: u32,
        range: RangeInclusive<u32>,
        to: &mut Complaints,
    ) -> Option<u32> {
        let (least, most) = (u64::from(*range.start()), u64::from(*range.end()));
        u32::try_from(self.number(name, "a whole number", default.into(), least..=most, to)?).ok()
    }

    fn number(
        &self,
        name: &str,
        what: &str,
        default: u64,
        range: RangeInclusive<u64>,
        to: &mut Complaints,
    ) -> Option<u64> {
        let Some(node) = self.get(name) else { return Some(default) };
        let valid = node.whole().filter(|n| range.contains(n));
        if valid.is_none() {
            self.mismatch(name, node, &format!("{what}, {} to {}", range.start(), range.end()), to);
        }
        valid
    }

    /// A boolean; `default` where absent, nothing where wrong.
    pub(super) fn flag(&self, name: &str, default: bool, to: &mut Complaints) -> Option<bool> {
        let Some(node) = self.get(name) else { return Some(default) };
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        self.mismatch(name, node, "true or false", to);
        None
    }

    /// One of these words; the first one where absent, nothing where wrong. `expected` completes "expected ...".
    pub(super) fn choice<T: Copy>(
        &self,
        name: &str,
        words: &[(&str, T)],
        expected: &str,
        to: &mut Complaints,
    ) -> Option<T> {
        let Some(node) = self.get(name) else { return words.first().map(|(_, value)| *value) };
        let chosen = words.iter().find(|(word, _)| matches!(&node.value, Value::Text(text) if text == word));
        if chosen.is_none() {
            self.mismatch(name, node, expected, to);
        }
        chosen.map(|(_, value)| *value)
    }

    /// An object as compact JSON text, `{}` where absent, nothing where wrong.
    pub(super) fn json_object(&self, name: &str, to: &mut Complaints) -> Option<String> {
        let Some(node) = self.get(name) else { return Some("{}".into()) };
        if matches!(node.value, Value::Object(_)) {
            return Some(node.json().to_string());
        }
        self.mismatch(name, node, "an object", to);
        None
    }

    /// The line of a field, or of the object where it has none of that name.
    pub(super) fn line_of(&self, name: &str) -> u64 {
        self.fields.iter().find(|f| f.name == name).map_or(self.line, |f| f.line)
    }

    /// The full path of a field.
    pub(super) fn path_of(&self, name: &str) -> String {
        format!("{}{name}", self.path)
    }

    pub(super) fn mismatch(&self, name: &str, node: &Node, expected: &str, to: &mut Complaints) {
        to.error(node.line, &self.path_of(name), &format!("{}; expected {expected}", node.found()));
    }
}

/// How far apart two field names are, upper and lower case alike.
fn distance(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(&a.to_lowercase(), &b.to_lowercase())
}
