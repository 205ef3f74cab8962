//! Who wrote a condition: `managedFields` of a pod, which are read here only and kept nowhere.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Object {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    managed_fields: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    manager: String,
    /// RFC 3339 in UTC and whole seconds, so that its order as text is its order in time.
    #[serde(default)]
    time: Option<String>,
    #[serde(default)]
    fields_v1: Value,
}

/// The key of one condition among the fields of `status.conditions`.
#[derive(Deserialize)]
struct Key {
    r#type: String,
}

/// The manager that owns the status of each condition, by the condition's type; of several the one that wrote last.
pub(super) fn of(pod: &str) -> serde_json::Result<BTreeMap<String, String>> {
    let object: Object = serde_json::from_str(pod)?;
    let mut entries = object.metadata.managed_fields.unwrap_or_default();
    entries.sort_by(|a, b| a.time.cmp(&b.time));
    let mut writers = BTreeMap::new();
    for entry in entries {
        let conditions = entry.fields_v1.pointer("/f:status/f:conditions").and_then(Value::as_object);
        for (key, fields) in conditions.into_iter().flatten() {
            let key = key.strip_prefix("k:").and_then(|key| serde_json::from_str::<Key>(key).ok());
            if let Some(Key { r#type }) = key.filter(|_| fields.get("f:status").is_some()) {
                writers.insert(r#type, entry.manager.clone());
            }
        }
    }
    Ok(writers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, time: &str, kind: &str, fields: Value) -> Value {
        let key = format!(r#"k:{{"type":"{kind}"}}"#);
        json!({ "manager": manager, "operation": "Update", "subresource": "status", "time": time,
                "fieldsV1": { "f:status": { "f:conditions": { ".": {}, key: fields } } } })
    }

    fn writers(entries: Value) -> BTreeMap<String, String> {
        of(&json!({ "metadata": { "managedFields": entries } }).to_string()).unwrap()
    }

    #[test]
    fn the_owner_of_the_status_is_the_writer() {
        let ours = entry("gatehost", "2026-11-23T10:00:00Z", "a.io/b", json!({ ".": {}, "f:status": {} }));
        let reason = entry("kubectl", "2026-11-23T11:00:00Z", "a.io/b", json!({ "f:reason": {} }));
        assert_eq!(writers(json!([ours, reason])), [("a.io/b".to_owned(), "gatehost".to_owned())].into());
    }

    #[test]
    fn of_two_owners_the_later_one_is_named() {
        let fields = json!({ "f:status": {} });
        let late = entry("kubectl", "2026-11-23T11:00:00Z", "a.io/b", fields.clone());
        let early = entry("gatehost", "2026-11-23T10:00:00Z", "a.io/b", fields);
        assert_eq!(writers(json!([late, early]))["a.io/b"], "kubectl");
    }

    #[test]
    fn a_pod_without_managed_fields_names_nobody() {
        assert!(writers(Value::Null).is_empty());
        assert!(of(r#"{"metadata":{}}"#).unwrap().is_empty());
    }
}
