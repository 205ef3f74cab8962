//! A pod for the client's watcher: parsed straight into what is kept.

use std::borrow::Cow;

use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde::{Deserialize, Deserializer};

use crate::pod::Seen;

/// A pod as the watcher needs it. Nothing of a pod without readiness gates is kept but its version.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// Only the resource version, which is all that the watcher reads.
    meta: ObjectMeta,
    /// The gated pod.
    pub(super) gated: Option<Box<Seen>>,
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seen = Seen::deserialize(deserializer)?;
        let meta = ObjectMeta { resource_version: Some(seen.resource_version.clone()), ..ObjectMeta::default() };
        Ok(Self { meta, gated: (!seen.pod.gates.is_empty()).then(|| Box::new(seen)) })
    }
}

impl kube::Resource for Object {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
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
    fn an_ungated_pod_keeps_only_its_version() {
        let text = r#"{"type":"ADDED","object":{"kind":"Pod","metadata":{"name":"p","uid":"u","resourceVersion":"7"},
            "spec":{"containers":[{"name":"c","env":[{"name":"A","value":"secret"}]}]}}}"#;
        let WatchEvent::Added(object) = serde_json::from_str::<WatchEvent<Object>>(text).unwrap() else {
            panic!("not an addition");
        };
        assert_eq!(object.resource_version().as_deref(), Some("7"));
        assert!(object.gated.is_none());
    }

    #[test]
    fn a_gated_pod_is_kept() {
        let text = r#"{"type":"MODIFIED","object":{"metadata":{"name":"p","uid":"u","resourceVersion":"8"},
            "spec":{"readinessGates":[{"conditionType":"example.com/a"}]},"status":{"phase":"Running"}}}"#;
        let WatchEvent::Modified(object) = serde_json::from_str::<WatchEvent<Object>>(text).unwrap() else {
            panic!("not a change");
        };
        assert_eq!(object.gated.unwrap().pod.gates, ["example.com/a"]);
    }

    #[test]
    fn a_bookmark_is_not_a_pod() {
        let text = r#"{"type":"BOOKMARK","object":{"kind":"Pod","apiVersion":"v1",
            "metadata":{"resourceVersion":"12746","creationTimestamp":null},"spec":{"containers":null},"status":{}}}"#;
        let event = serde_json::from_str::<WatchEvent<Object>>(text).unwrap();
        assert!(matches!(event, WatchEvent::Bookmark(b) if b.metadata.resource_version == "12746"));
    }
}
