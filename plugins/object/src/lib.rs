//! True while other objects exist, and a condition, a field or a count of theirs is right.

use gatehost_sdk::{
    Check, Comparison, ConfigError, Description, Failure, Fault, Pod, Verdict, check_selector, objects, pointer_error,
    serde_json::Value,
};
use serde::Deserialize;

mod judge;

use judge::decide;

/// Which objects, and what has to be so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// The pod's own unless given; empty for objects that have none.
    pub namespace: Option<String>,
    /// Which one; either this or `labels`.
    pub name: Option<String>,
    /// Which ones, as `kubectl -l` takes it.
    pub labels: Option<String>,
    /// Of how many of them what follows has to be so; 1 unless given. Beside `labels` only.
    pub at_least: Option<u32>,
    /// A condition in its status.
    pub condition: Option<Condition>,
    /// A field.
    pub field: Option<Comparison>,
    /// Entries of a list in it.
    pub count: Option<Count>,
}

/// A condition of an object.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Such as `Available`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` unless given.
    #[serde(default = "yes")]
    pub status: String,
}

/// How many entries the lists of all objects have together.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Count {
    /// A JSON pointer to the list.
    pub pointer: String,
    /// Which of its entries count; all unless given.
    #[serde(rename = "where")]
    pub only: Option<Comparison>,
    /// A JSON pointer into an entry: entries with the same value there count once.
    pub distinct: Option<String>,
    /// How many there have to be.
    pub at_least: u32,
}

const WHOLE: &str = "is empty; write a JSON pointer such as /status/readyReplicas";

fn yes() -> String {
    "True".to_owned()
}

/// The check.
pub struct Object;

impl Check for Object {
    type Config = Config;

    fn describe() -> Description {
        let help = "True while other objects exist, and a condition, a field or a count of theirs is right.";
        Description::new("object", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        let errors = config.errors();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn evaluate(pod: &Pod, config: Config) -> Result<Verdict, Fault> {
        let namespace = config.namespace.clone().unwrap_or_else(|| pod.namespace_name());
        decide(&config, &namespace, &config.find(&namespace)?)
    }
}

gatehost_sdk::export!(Object);

impl Config {
    fn find(&self, namespace: &str) -> Result<Vec<Value>, Failure> {
        let (version, kind) = (&self.api_version, &self.kind);
        match &self.name {
            Some(name) => Ok(objects::find_one(version, kind, namespace, name)?.into_iter().collect()),
            None => objects::find_all(version, kind, namespace, self.labels.as_deref().unwrap_or_default()),
        }
    }

    fn errors(&self) -> Vec<ConfigError> {
        let mut errors = objects::kind_errors("", &self.api_version, &self.kind);
        let mut wrong = |at: &str, what: &str| errors.push(ConfigError::new(at, what));
        match (&self.name, &self.labels) {
            (None, None) => wrong("", "needs name or labels, to say which objects are meant"),
            (Some(_), Some(_)) => wrong("/labels", "give either name or labels, not both"),
            (Some(name), None) if name.is_empty() => wrong("/name", "is empty"),
            (None, Some(labels)) => _ = check_selector(labels).map_err(|what| wrong("/labels", &what)),
            _ => {}
        }
        match self.at_least {
            Some(0) => wrong("/atLeast", "is 0, which is always so; give 1 or more"),
            Some(_) if self.name.is_some() => wrong("/atLeast", "name means one object; use labels, or remove this"),
            Some(_) if self.count.is_some() => wrong("/atLeast", "count says how many; remove one of them"),
            _ => {}
        }
        if let Some(condition) = &self.condition {
            if condition.kind.is_empty() {
                wrong("/condition/type", "is empty; give one such as Available");
            }
            if !matches!(condition.status.as_str(), "True" | "False" | "Unknown") {
                wrong("/condition/status", "is none of \"True\", \"False\" and \"Unknown\"");
            }
        }
        errors.extend(self.field.iter().flat_map(|field| field_errors("/field", field)));
        if let Some(count) = &self.count {
            errors.extend(place_error("/count/pointer", &count.pointer));
            errors.extend(count.distinct.iter().filter_map(|pointer| place_error("/count/distinct", pointer)));
            errors.extend(count.only.iter().flat_map(|only| field_errors("/count/where", only)));
            if count.at_least == 0 {
                errors.push(ConfigError::new("/count/atLeast", "is 0, which is always so; give 1 or more"));
            }
        }
        errors
    }
}

fn field_errors(at: &str, field: &Comparison) -> Vec<ConfigError> {
    let mut errors = field.errors(at);
    if field.pointer.is_empty() {
        errors.insert(0, ConfigError::new(format!("{at}/pointer"), WHOLE));
    }
    errors
}

fn place_error(at: &str, pointer: &str) -> Option<ConfigError> {
    if pointer.is_empty() { Some(ConfigError::new(at, WHOLE)) } else { pointer_error(at, pointer) }
}

#[cfg(test)]
mod tests;
