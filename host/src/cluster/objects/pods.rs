//! A pod as an object: what plugins see of their own one, without annotations, where Kubernetes has it.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::pod::{Container, ContainerState, Pod, Role, Seen};

/// Of a pod as the API server has it.
pub(super) fn shown(pod: Value) -> Value {
    // The server's pods have names; one without one is not shown.
    serde_json::from_value::<Seen>(pod).map_or(Value::Null, |seen| show(&seen.pod))
}

fn show(pod: &Pod) -> Value {
    let labels: Value = pod.labels.iter().map(|(key, value)| (key.clone(), Value::from(value.clone()))).collect();
    let gates: Vec<_> = pod.gates.iter().map(|gate| json!({ "conditionType": gate })).collect();
    let conditions: Vec<_> = pod
        .conditions
        .iter()
        .map(|(kind, c)| {
            full(json!({ "type": kind, "status": c.status, "reason": c.reason, "message": c.message,
                         "lastTransitionTime": c.last_transition.and_then(time),
                         "observedGeneration": c.observed_generation }))
        })
        .collect();
    let containers = |app: bool| -> Vec<_> {
        pod.containers.iter().filter(|c| (c.role == Role::App) == app).map(container).collect()
    };
    let owners: Vec<_> = pod
        .owner
        .iter()
        .map(|owner| {
            json!({ "apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": owner.uid,
                    "controller": true })
        })
        .collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": full(json!({
            "namespace": pod.namespace, "name": pod.name, "uid": pod.uid, "generation": pod.generation,
            "creationTimestamp": time(pod.created_at), "labels": labels, "ownerReferences": owners,
        })),
        "spec": full(json!({
            "nodeName": pod.node, "serviceAccountName": pod.service_account, "readinessGates": gates,
        })),
        "status": full(json!({
            "phase": pod.phase, "podIP": pod.ip, "conditions": conditions,
            "initContainerStatuses": containers(false), "containerStatuses": containers(true),
        })),
    })
}

fn container(container: &Container) -> Value {
    let started = full(json!({ "startedAt": container.started_at.and_then(time) }));
    let (now, before) = match container.state {
        ContainerState::Running => (json!({ "running": started }), Value::Null),
        ContainerState::Terminated => (json!({ "terminated": started }), Value::Null),
        ContainerState::Waiting if container.started_at.is_some() => {
            (json!({ "waiting": {} }), json!({ "terminated": started }))
        }
        ContainerState::Waiting => (json!({ "waiting": {} }), Value::Null),
    };
    full(json!({ "name": container.name, "ready": container.ready, "restartCount": container.restarts, "state": now,
                 "lastState": before }))
}

/// Without what is not there.
fn full(mut object: Value) -> Value {
    if let Some(map) = object.as_object_mut() {
        map.retain(|_, value| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty));
    }
    object
}

fn time(ms: i64) -> Option<String> {
    Timestamp::from_millisecond(ms).ok().map(|time| time.to_string())
}

/// Takes out of a pod what changes without meaning anything to others: the times and the messages of conditions, and the
/// conditions of its gates, so that the host does not feed itself.
pub(super) fn quiet(pod: &mut Value) {
    let gates = pod.pointer("/spec/readinessGates").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_gate = |kind: &Value| gates.iter().any(|gate| &gate["conditionType"] == kind);
    let Some(conditions) = pod.pointer_mut("/status/conditions").and_then(Value::as_array_mut) else { return };
    conditions.retain(|condition| !is_gate(&condition["type"]));
    for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
        condition.remove("lastTransitionTime");
        condition.remove("message");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(gate: &str, message: &str) -> Value {
        json!({
            "metadata": { "name": "web-0", "namespace": "shop", "uid": "u", "generation": 2, "labels": { "app": "web" },
                          "creationTimestamp": "2026-01-02T03:04:05Z", "annotations": { "a": "CANARY" },
                          "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "r",
                                                "controller": true }] },
            "spec": { "nodeName": "n", "containers": [{ "name": "c", "env": [{ "value": "CANARY" }], "image": "CANARY" }],
                      "initContainers": [{ "name": "s", "restartPolicy": "Always" }],
                      "readinessGates": [{ "conditionType": "example.com/a" }] },
            "status": { "phase": "Running", "podIP": "10.0.0.1", "conditions": [
                { "type": "Ready", "status": "True", "message": message, "lastTransitionTime": "2026-01-02T03:04:05Z" },
                { "type": "example.com/a", "status": gate } ],
                "containerStatuses": [{ "name": "c", "ready": true, "restartCount": 1, "imageID": "CANARY",
                                        "state": { "running": { "startedAt": "2026-01-02T03:04:05Z" } } }] },
        })
    }

    #[test]
    fn a_pod_is_shown_where_kubernetes_has_it_and_nothing_that_plugins_do_not_see_of_their_own() {
        let shown = shown(pod("True", "m"));
        assert!(!shown.to_string().contains("CANARY"), "{shown}");
        assert_eq!(
            shown,
            json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": { "name": "web-0", "namespace": "shop", "uid": "u", "generation": 2,
                              "labels": { "app": "web" }, "creationTimestamp": "2026-01-02T03:04:05Z",
                              "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web",
                                                    "uid": "r", "controller": true }] },
                "spec": { "nodeName": "n", "readinessGates": [{ "conditionType": "example.com/a" }] },
                "status": { "phase": "Running", "podIP": "10.0.0.1", "conditions": [
                    { "type": "Ready", "status": "True", "reason": "", "message": "m",
                      "lastTransitionTime": "2026-01-02T03:04:05Z" },
                    { "type": "example.com/a", "status": "True", "reason": "", "message": "" } ],
                    "containerStatuses": [{ "name": "c", "ready": true, "restartCount": 1,
                                            "state": { "running": { "startedAt": "2026-01-02T03:04:05Z" } } }] },
            })
        );
    }

    #[test]
    fn the_hosts_own_words_on_a_pod_are_no_change_of_it() {
        let quieted = |gate, message| {
            let mut shown = shown(pod(gate, message));
            quiet(&mut shown);
            shown
        };
        assert_eq!(quieted("True", "a"), quieted("False", "b"));
        assert_eq!(quieted("True", "a")["status"]["conditions"][0]["status"], "True");
    }
}
