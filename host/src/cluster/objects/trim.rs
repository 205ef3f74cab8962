//! What is kept of an object as it is parsed: what must not be shown never becomes a value of ours.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Removed at any depth: whole objects stand in them.
const NEVER: [&str; 2] = ["managedFields", "kubectl.kubernetes.io/last-applied-configuration"];
/// Where secrets of pod templates are. A template may stand anywhere, as in a custom resource, so that lists and objects
/// of these names are removed wherever they are; a text of such a name, as a label or an entry of a `ConfigMap`, only within
/// a container.
const HIDDEN: [&str; 5] = ["env", "envFrom", "args", "command", "volumes"];
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];
/// What lies deeper is left out: the parser itself gives up at 128.
const DEEP: u8 = 64;

/// Keeps what may be shown of a JSON value.
#[derive(Clone, Copy, Default)]
pub(super) struct Trim {
    depth: u8,
    in_container: bool,
}

impl<'de> DeserializeSeed<'de> for Trim {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let kept = if self.depth >= DEEP {
            deserializer.deserialize_ignored_any(IgnoredAny).map(|_| None)
        } else {
            deserializer.deserialize_any(Keep { trim: self, scalars: false })
        };
        Ok(kept?.unwrap_or_default())
    }
}

/// The same, of which only what is no list and no object is kept.
struct Scalar;

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(Keep { trim: Trim::default(), scalars: true })
    }
}

struct Keep {
    trim: Trim,
    scalars: bool,
}

impl<'de> Visitor<'de> for Keep {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(Some(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if self.scalars {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(None);
        }
        let inner = Trim { depth: self.trim.depth + 1, ..self.trim };
        let mut kept = Vec::new();
        while let Some(value) = list.next_element_seed(inner)? {
            kept.push(value);
        }
        Ok(Some(Value::Array(kept)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if self.scalars {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(None);
        }
        let Trim { depth, in_container } = self.trim;
        let mut kept = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let is_one_of = |names: &[&str]| names.iter().any(|name| key.eq_ignore_ascii_case(name));
            let is_hidden = is_one_of(&HIDDEN);
            let value = if is_one_of(&NEVER) || is_hidden && in_container {
                map.next_value::<IgnoredAny>()?;
                None
            } else if is_hidden {
                map.next_value_seed(Scalar)?
            } else {
                let in_container = in_container || is_one_of(&CONTAINERS);
                Some(map.next_value_seed(Trim { depth: depth + 1, in_container })?)
            };
            if let Some(value) = value {
                kept.insert(key, value);
            }
        }
        Ok(Some(Value::Object(kept)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::json;

    use super::*;

    fn trim(text: &str) -> Value {
        Trim::default().deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap()
    }

    #[test]
    fn nothing_of_a_pod_template_that_may_hold_a_secret_is_kept_wherever_the_template_stands() {
        let container = json!({
            "name": "c", "image": "i", "env": [{ "name": "A", "value": "CANARY" }], "envFrom": [{ "x": "CANARY" }],
            "args": ["CANARY"], "command": ["CANARY"], "lifecycle": { "postStart": { "exec": { "command": ["CANARY"] } } },
            "livenessProbe": { "exec": { "command": ["CANARY"] } }, "odd": [[{ "command": "CANARY", "env": "CANARY" }]],
        });
        let spec = json!({
            "containers": [container], "initContainers": [container], "ephemeralContainers": [container],
            "volumes": [{ "secret": "CANARY" }], "nodeName": "n",
        });
        let template = json!({ "template": { "spec": spec } });
        for object in [
            json!({ "spec": spec }),
            json!({ "spec": template }),
            json!({ "spec": { "jobTemplate": { "spec": template } } }),
            json!({ "spec": { "a": [[{ "b": [template] }]] }, "data": { "raw": template }, "status": template }),
            json!({ "spec": { "steps": [{ "env": { "A": "CANARY" }, "args": ["CANARY"], "script": { "env": ["CANARY"] } }] } }),
        ] {
            let text = object.to_string();
            assert!(text.contains("CANARY"));
            let kept = trim(&text).to_string();
            assert!(!kept.contains("CANARY"), "{kept}");
            assert!(!kept.contains("containers") || kept.contains(r#""image":"i""#), "{kept}");
            let escaped = text.replace("\"env\"", "\"\\u0065nv\"").replace("\"command\"", "\"comman\\u0064\"");
            assert!(!trim(&escaped).to_string().contains("CANARY"));
        }
    }

    #[test]
    fn who_wrote_what_and_the_applied_document_are_not_kept() {
        let kept = trim(
            r#"{"metadata":{"name":"a","managedFields":[{"f:CANARY":{}}],"annotations":{"b":"c",
                "kubectl.kubernetes.io/last-applied-configuration":"CANARY"}},"items":[{"managedFields":"CANARY"}]}"#,
        );
        assert_eq!(kept, json!({ "metadata": { "name": "a", "annotations": { "b": "c" } }, "items": [{}] }));
    }

    #[test]
    fn labels_and_the_texts_of_a_config_map_keep_their_names() {
        let object = json!({
            "metadata": { "labels": { "env": "prod", "command": "x" } }, "data": { "args": "-v", "volumes": "2" },
            "spec": { "args": true, "numbers": [1, -1, 1.5, u64::MAX, null], "selector": { "env": "prod" } },
        });
        assert_eq!(trim(&object.to_string()), object);
    }

    #[test]
    fn what_is_nested_without_end_is_cut_and_harms_nothing() {
        let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
        let kept = trim(&format!(r#"{{"metadata":{{"name":"a"}},"x":{deep},"y":2}}"#));
        assert_eq!((&kept["metadata"]["name"], &kept["y"]), (&json!("a"), &json!(2)));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
        assert_eq!(trim(&format!(r#"{{"x":{objects},"env":{objects},"y":2}}"#))["y"], 2);
    }
}
