//! What is kept of a pod, and which of its changes make gates due.

use serde_json::{Value, json};

use super::*;

const SECRET: &str = "correct-horse-battery-staple";

/// A pod as the API server sends it, with something in every field that is kept and a secret in many that are not.
fn document() -> Value {
    let run = |at: &str| json!({ "startedAt": at });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": "shop", "name": "web-0", "uid": "u-1", "resourceVersion": "41", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": { "tier": "front", "app": "web" },
            "annotations": { "z.example.com/b": "2", LAST_APPLIED: SECRET, "a.example.com/a": "1" },
            "managedFields": [{ "manager": SECRET, "fieldsV1": { "f:spec": {} } }],
            "ownerReferences": [
                { "apiVersion": "v1", "kind": "Node", "name": "other", "uid": "o-0" },
                { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "o-1", "controller": true },
            ],
        },
        "spec": {
            "nodeName": "node-1", "serviceAccountName": "shopper",
            "readinessGates": [{ "conditionType": "x.io/b" }, { "conditionType": "x.io/a" }, { "conditionType": "x.io/b" }],
            "initContainers": [
                { "name": "setup", "image": SECRET },
                { "name": "proxy", "restartPolicy": "Always", "args": [SECRET] },
            ],
            "containers": [{
                "name": "app", "image": SECRET, "command": [SECRET], "args": [SECRET],
                "env": [{ "name": "PASSWORD", "value": SECRET }],
                "volumeMounts": [{ "name": SECRET, "mountPath": SECRET }],
            }],
            "volumes": [{ "name": SECRET, "secret": { "secretName": SECRET } }],
        },
        "status": {
            "phase": "Running", "podIP": "10.1.2.3", "hostIP": SECRET, "message": SECRET,
            "conditions": [
                { "type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady", "message": "waits" },
                { "type": "ContainersReady", "status": "True", "lastTransitionTime": "2026-01-01T00:00:09Z" },
                { "type": "x.io/a", "status": "False", "reason": "No", "message": "no", "observedGeneration": 3,
                  "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:10Z" },
                { "type": "other.io/c", "status": "True", "reason": "Yes", "message": "yes" },
            ],
            "initContainerStatuses": [
                { "name": "setup", "ready": true, "restartCount": 0, "imageID": SECRET,
                  "state": { "terminated": run("2026-01-01T00:00:01Z") } },
                { "name": "proxy", "ready": true, "restartCount": 1, "state": { "running": run("2026-01-01T00:00:02Z") } },
            ],
            "containerStatuses": [
                { "name": "app", "ready": false, "restartCount": 2, "containerID": SECRET,
                  "state": { "waiting": { "reason": "CrashLoopBackOff", "message": SECRET } },
                  "lastState": { "terminated": run("2026-01-01T00:00:03Z") } },
            ],
        },
    })
}

fn seen(document: &Value) -> Seen {
    serde_json::from_value(document.clone()).unwrap()
}

/// The digest in a host that answers `x.io/a`.
fn digest(document: &Value) -> u64 {
    seen(document).pod.due_digest(|kind| kind == "x.io/a")
}

/// Whether a gate of the pod is due after this change.
fn due(change: impl FnOnce(&mut Value)) -> bool {
    let mut changed = document();
    change(&mut changed);
    digest(&document()) != digest(&changed)
}

/// The index of a condition of [`document`].
fn at(kind: &str) -> usize {
    ["Ready", "ContainersReady", "x.io/a", "other.io/c"].iter().position(|known| *known == kind).unwrap()
}

#[test]
fn a_pod_is_trimmed_to_what_plugins_see() {
    let Seen { pod, resource_version, over } = seen(&document());
    assert_eq!((resource_version.as_str(), over), ("41", false));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!((&*pod.namespace, &*pod.name, &*pod.uid, pod.generation), ("shop", "web-0", "u-1", 3));
    assert_eq!(pod.created_at, 1_767_225_600_000);
    assert_eq!(pod.labels, [pair("app", "web"), pair("tier", "front")]);
    assert_eq!(pod.annotations, [pair("a.example.com/a", "1"), pair("z.example.com/b", "2")]);
    assert_eq!((pod.ip.as_deref(), pod.node.as_deref()), (Some("10.1.2.3"), Some("node-1")));
    assert_eq!((pod.service_account.as_deref(), &*pod.phase), (Some("shopper"), "Running"));
    assert_eq!(pod.gates, ["x.io/b", "x.io/a"], "each once, in order");
    assert_eq!(pod.owner.as_ref().map(|o| (&*o.kind, &*o.uid)), Some(("ReplicaSet", "o-1")));
    let containers: Vec<_> = pod.containers.iter().map(|c| (&*c.name, c.role, c.state, c.ready, c.restarts)).collect();
    assert_eq!(
        containers,
        [
            ("setup", Role::Init, ContainerState::Terminated, true, 0),
            ("proxy", Role::Sidecar, ContainerState::Running, true, 1),
            ("app", Role::App, ContainerState::Waiting, false, 2),
        ]
    );
    let starts: Vec<_> = pod.containers.iter().map(|c| c.started_at.map(|at| at - pod.created_at)).collect();
    assert_eq!(starts, [Some(1_000), Some(2_000), Some(3_000)]);
    let ours = pod.condition("x.io/a").unwrap();
    assert_eq!((&*ours.status, &*ours.reason, &*ours.message), ("False", "No", "no"));
    assert_eq!((ours.last_transition, ours.observed_generation), (Some(1_767_225_610_000), Some(3)));
}

#[test]
fn nothing_of_the_spec_that_may_hold_a_secret_is_kept() {
    let seen = seen(&document());
    assert!(!format!("{seen:?}").contains(SECRET), "{seen:?}");
    let packed = Packed::new(&seen.pod);
    let held = packed.0.windows(SECRET.len()).any(|bytes| bytes == SECRET.as_bytes());
    assert!(!held && !format!("{:?}", packed.open()).contains("last-applied"));
}

#[test]
fn a_packed_pod_is_the_pod() {
    let pod = seen(&document()).pod;
    assert_eq!(Packed::new(&pod).open(), pod);
    assert!(Packed::new(&pod).size() < 1024);
}

#[test]
fn a_pod_of_which_the_server_has_said_little_is_read() {
    let seen = seen(&json!({ "metadata": { "name": "web-0", "annotations": null, "labels": null }, "spec": {} }));
    assert_eq!(seen.pod, Pod { name: "web-0".into(), ..Pod::default() });
    assert!(!seen.over);
}

#[test]
fn a_pod_that_is_finished_or_being_deleted_is_over() {
    for (path, value) in [
        ("/status/phase", "Succeeded"),
        ("/status/phase", "Failed"),
        ("/metadata/deletionTimestamp", "2026-01-01T00:00:00Z"),
    ] {
        let mut document = document();
        document["metadata"]["deletionTimestamp"] = Value::Null;
        *document.pointer_mut(path).unwrap() = value.into();
        assert!(seen(&document).over, "{path} {value}");
    }
}

#[test]
fn what_plugins_can_see_makes_a_gate_due() {
    let changes: [(&str, Value); 14] = [
        ("/metadata/generation", json!(4)),
        ("/metadata/labels/app", json!("api")),
        ("/metadata/annotations/a.example.com~1a", json!("2")),
        ("/metadata/ownerReferences/1/uid", json!("o-2")),
        ("/spec/nodeName", json!("node-2")),
        ("/status/podIP", json!("10.1.2.4")),
        ("/status/phase", json!("Pending")),
        ("/status/conditions/1/status", json!("False")),
        ("/status/conditions/3/status", json!("Unknown")),
        ("/status/conditions/3/reason", json!("No")),
        ("/status/containerStatuses/0/restartCount", json!(3)),
        ("/status/containerStatuses/0/ready", json!(true)),
        ("/status/containerStatuses/0/lastState/terminated/startedAt", json!("2026-01-01T00:00:04Z")),
        ("/status/initContainerStatuses/1/state", json!({})),
    ];
    for (path, value) in changes {
        assert!(due(|d| *d.pointer_mut(path).unwrap() = value), "{path}");
    }
}

#[test]
fn the_host_does_not_feed_itself() {
    for kind in ["x.io/a", "Ready"] {
        for (field, value) in [("status", json!("True")), ("reason", json!("Other")), ("observedGeneration", json!(9))]
        {
            assert!(!due(|d| d["status"]["conditions"][at(kind)][field] = value), "{field} of {kind}");
        }
        assert!(!due(|d| drop(d["status"]["conditions"].as_array_mut().unwrap().remove(at(kind)))), "{kind} is new");
    }
    for kind in ["ContainersReady", "other.io/c", "x.io/a", "Ready"] {
        assert!(!due(|d| d["status"]["conditions"][at(kind)]["message"] = json!("5 of 7")), "message of {kind}");
        let time = json!("2026-01-01T01:00:00Z");
        for field in ["lastTransitionTime", "lastProbeTime", "lastHeartbeatTime"] {
            assert!(!due(|d| d["status"]["conditions"][at(kind)][field] = time.clone()), "{field} of {kind}");
        }
    }
}

#[test]
fn what_plugins_cannot_see_makes_no_gate_due() {
    for (path, value) in [
        ("/metadata/resourceVersion", json!("42")),
        ("/metadata/managedFields/0/manager", json!("kubectl")),
        ("/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration", json!("{}")),
        ("/spec/containers/0/image", json!("example.com/app:2")),
        ("/status/containerStatuses/0/state/waiting/message", json!("back-off 5m0s")),
    ] {
        assert!(!due(|d| *d.pointer_mut(path).unwrap() = value), "{path}");
    }
}
