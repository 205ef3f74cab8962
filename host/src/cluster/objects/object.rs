//! An object for the client's watcher, trimmed as it is parsed.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ApiResource, DynamicResourceScope};
use serde::{Deserialize, Deserializer, de::DeserializeSeed as _};
use serde_json::Value;

use super::{store, trim::Trim};

/// An object of any kind.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Only the resource version, which is all that the watcher reads.
    meta: ObjectMeta,
    /// What may be shown of it. The items of a list have no `apiVersion` and no `kind`.
    pub(super) value: Value,
}

impl Object {
    /// Its key in the store.
    pub(super) fn key(&self) -> String {
        store::key(self.text("/metadata/namespace"), self.text("/metadata/name"))
    }

    fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Self { meta: ObjectMeta::default(), value: Trim::default().deserialize(deserializer)? };
        object.meta.resource_version = Some(object.text("/metadata/resourceVersion").to_owned());
        Ok(object)
    }
}

impl kube::Resource for Object {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(of: &ApiResource) -> Cow<'_, str> {
        of.kind.as_str().into()
    }

    fn group(of: &ApiResource) -> Cow<'_, str> {
        of.group.as_str().into()
    }

    fn version(of: &ApiResource) -> Cow<'_, str> {
        of.version.as_str().into()
    }

    fn api_version(of: &ApiResource) -> Cow<'_, str> {
        of.api_version.as_str().into()
    }

    fn plural(of: &ApiResource) -> Cow<'_, str> {
        of.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use kube::{ResourceExt as _, api::WatchEvent};

    use super::*;

    #[test]
    fn an_object_is_trimmed_inside_an_event_of_a_watch() {
        let text = r#"{"type":"ADDED","object":{"metadata":{"name":"a","namespace":"b","resourceVersion":"7",
            "managedFields":["CANARY"]},"spec":{"template":{"spec":{"containers":[{"env":["CANARY"]}]}}}}}"#;
        let WatchEvent::Added(object) = serde_json::from_str::<WatchEvent<Object>>(text).unwrap() else {
            panic!("not an addition");
        };
        assert_eq!((object.resource_version().as_deref(), object.key()), (Some("7"), "b/a".to_owned()));
        assert!(!object.value.to_string().contains("CANARY"));
    }
}
