//! The pod as JSON, with what plugins see of it where the Kubernetes object has it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::{Container, ContainerRole, ContainerState, Pod, PodCondition, PodOwner, clock::rfc3339};

/// All fields that there are.
pub const FIELDS: [&str; 16] = [
    "metadata.annotations",
    "metadata.creationTimestamp",
    "metadata.generation",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.ownerReferences",
    "metadata.uid",
    "spec.nodeName",
    "spec.readinessGates",
    "spec.serviceAccountName",
    "status.conditions",
    "status.containerStatuses",
    "status.initContainerStatuses",
    "status.phase",
    "status.podIP",
];

/// Some of these fields: a plugin pays for what it reads. One that the pod does not have is left out.
pub fn read(pod: &Pod, fields: &BTreeSet<&'static str>) -> Value {
    let mut parts = json!({ "metadata": {}, "spec": {}, "status": {} });
    for field in fields {
        let value = field_of(pod, field);
        if let Some((part, name)) = field.split_once('.').filter(|_| !value.is_null()) {
            parts[part][name] = value;
        }
    }
    parts
}

fn field_of(pod: &Pod, field: &str) -> Value {
    match field {
        "metadata.annotations" => {
            let value = |key: String| pod.annotation(&key).map(|value| (key, value.into()));
            pod.annotation_keys().into_iter().filter_map(value).collect::<Map<_, _>>().into()
        }
        "metadata.creationTimestamp" => rfc3339(pod.created_at_ms()).into(),
        "metadata.generation" => pod.generation().into(),
        "metadata.labels" => {
            pod.labels().into_iter().map(|(key, value)| (key, value.into())).collect::<Map<_, _>>().into()
        }
        "metadata.name" => pod.name().into(),
        "metadata.namespace" => pod.namespace_name().into(),
        "metadata.ownerReferences" => {
            let owner = |o: PodOwner| {
                let (version, kind) = (o.api_version, o.resource_kind);
                json!({ "apiVersion": version, "kind": kind, "name": o.name, "uid": o.uid, "controller": true })
            };
            pod.owner().into_iter().map(owner).collect()
        }
        "metadata.uid" => pod.uid().into(),
        "spec.nodeName" => pod.node().into(),
        "spec.readinessGates" => pod.gates().into_iter().map(|gate| json!({ "conditionType": gate })).collect(),
        "spec.serviceAccountName" => pod.service_account().into(),
        "status.conditions" => {
            let named = |name: String| pod.condition(&name).map(|c| condition(&name, &c));
            pod.condition_names().into_iter().filter_map(named).collect()
        }
        "status.containerStatuses" => containers(&pod.containers(), true),
        "status.initContainerStatuses" => containers(&pod.containers(), false),
        "status.phase" => pod.phase().into(),
        "status.podIP" => pod.ip().into(),
        _ => Value::Null,
    }
}

/// `status.containerStatuses`, or else `status.initContainerStatuses`, which has the sidecars as well.
pub fn containers(all: &[Container], app: bool) -> Value {
    let status = |c: &Container| {
        let started = c.started_at_ms.map(rfc3339);
        let state = match c.state {
            ContainerState::Waiting => json!({ "waiting": {} }),
            ContainerState::Running => json!({ "running": present("startedAt", started) }),
            ContainerState::Terminated => json!({ "terminated": present("startedAt", started) }),
        };
        json!({ "name": c.name, "ready": c.ready, "restartCount": c.restarts, "state": state })
    };
    all.iter().filter(|c| (c.role == ContainerRole::App) == app).map(status).collect()
}

/// One entry of `status.conditions`.
pub fn condition(name: &str, c: &PodCondition) -> Value {
    let mut value = json!({ "type": name, "status": c.status, "reason": c.reason, "message": c.message });
    if let Some(at) = c.last_transition_ms {
        value["lastTransitionTime"] = rfc3339(at).into();
    }
    if let Some(generation) = c.observed_generation {
        value["observedGeneration"] = generation.into();
    }
    value
}

fn present(name: &str, value: Option<String>) -> Value {
    value.map_or_else(|| json!({}), |value| json!({ name: value }))
}
