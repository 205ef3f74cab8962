//! Objects of the cluster, of those that the check's document lists under `allow.objects`. A gate whose check read one is
//! asked again when it changes.

use serde::Deserialize;
use serde_json::Value;

use crate::{ConfigError, Failure, FailureKind, Pod, bindings::gatehost::check::objects};

/// An object as a config names it: `{apiVersion, kind, namespace, name}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Reference {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// That of the pod that is asked about unless given; empty for objects that have none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl Reference {
    /// The object, or nothing where there is none.
    pub fn find(&self, pod: &Pod) -> Result<Option<Value>, Failure> {
        let namespace = self.namespace.clone().unwrap_or_else(|| pod.namespace_name());
        find_one(&self.api_version, &self.kind, &namespace, &self.name)
    }

    /// What is wrong with it in a config, at a JSON pointer.
    pub fn errors(&self, at: &str) -> Vec<ConfigError> {
        let mut errors = kind_errors(at, &self.api_version, &self.kind);
        if self.name.is_empty() {
            errors.push(ConfigError::new(format!("{at}/name"), "is empty"));
        }
        errors
    }
}

/// What is wrong with an `apiVersion` and a `kind` in a config, at the JSON pointer of what has them.
pub fn kind_errors(at: &str, api_version: &str, kind: &str) -> Vec<ConfigError> {
    let wrong = |field: &str, what: &str| ConfigError::new(format!("{at}/{field}"), what);
    let mut errors = Vec::new();
    if api_version.is_empty() {
        errors.push(wrong("apiVersion", "is empty; give one such as apps/v1"));
    }
    match kind {
        "" => errors.push(wrong("kind", "is empty; give one such as Deployment")),
        "Secret" => errors.push(wrong("kind", "a Secret is never shown to a plugin")),
        _ => {}
    }
    errors
}

/// One object with the fields that the document's entry names, or nothing where there is none of that name. The namespace
/// is empty for objects that have none.
pub fn find_one(api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>, Failure> {
    objects::find_one(api_version, kind, namespace, name)?.map(|text| json(&text)).transpose()
}

/// All objects of a kind in a namespace whose labels a selector matches (as `kubectl -l` takes it; empty: all), by name.
pub fn find_all(api_version: &str, kind: &str, namespace: &str, selector: &str) -> Result<Vec<Value>, Failure> {
    objects::find_all(api_version, kind, namespace, selector)?.iter().map(|text| json(text)).collect()
}

fn json(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::new(FailureKind::Garbled, error.to_string()))
}
