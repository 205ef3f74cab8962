//! The pods that the cluster legs work on.

use serde_json::{Value, json};

/// The gate that everybody decides.
pub(crate) const GATE: &str = "bench.example/approved";

/// The annotation that it stands for.
pub(crate) const ANNOTATION: &str = "bench.example/approved";

/// What the host is given. Nobody else asks again by itself, waits for a second answer or holds back a gate that turns
/// too often, so it does not either.
pub(crate) const CHECK: &str = "apiVersion: gatehost.dev/v1alpha1
kind: Check
metadata: {name: approved}
spec:
  gate: bench.example/approved
  plugin: annotation.wasm
  config: {annotation: bench.example/approved}
  periodSeconds: 3600
  startWhen: always
  failureThreshold: 1
  maxFlapsPerMinute: 6000
";

/// How the host is started: its peers write as fast as they can.
pub(crate) const PACE: [&str; 4] = ["--kube-api-qps", "100000", "--kube-api-burst", "100000"];

/// What was set, for whoever reads the figures.
pub(crate) fn set() -> String {
    let spec = CHECK.lines().skip_while(|line| !line.contains("periodSeconds")).map(str::trim).collect::<Vec<_>>();
    format!("the host with {} and {}", spec.join(", "), PACE.join(" "))
}

/// A pod like those of a cluster's tenants: about 6.4 KB of JSON as it is served. Nobody schedules it.
pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/name": "web", "app.kubernetes.io/part-of": "shop",
                "pod-template-hash": "7c9d8f6b5",
            },
            "annotations": {
                ANNOTATION: "yes",
                "prometheus.io/scrape": "true", "prometheus.io/port": "9090",
            },
        },
        "spec": {
            "schedulerName": "nobody",
            "terminationGracePeriodSeconds": 0,
            "readinessGates": [{ "conditionType": GATE }],
            "containers": [container("app"), container("proxy")],
            "volumes": [{ "name": "cache", "emptyDir": { "sizeLimit": "1Gi" } }],
        },
    })
}

fn container(name: &str) -> Value {
    json!({
        "name": name,
        "image": format!("registry.example.com/shop/{name}:v1.27.3"),
        "env": [{ "name": "WEB_BACKEND", "value": "https://backend.shop.svc/v1" }],
        "resources": { "requests": { "cpu": "250m", "memory": "256Mi" } },
        "volumeMounts": [{ "name": "cache", "mountPath": "/var/cache/web" }],
    })
}

/// A status like kubelet's for it; with the gate as the check decides it, where `decided`.
pub(crate) fn status(decided: bool) -> Value {
    let time = "2026-01-01T00:00:00Z";
    let mut conditions: Vec<_> = ["PodReadyToStartContainers", "Initialized", "ContainersReady", "PodScheduled"]
        .map(|kind| json!({ "type": kind, "status": "True", "lastTransitionTime": time, "observedGeneration": 1 }))
        .into();
    if decided {
        conditions.push(json!({
            "type": GATE, "status": "True", "lastTransitionTime": time, "observedGeneration": 1,
            "reason": "AnnotationPresent", "message": format!("{ANNOTATION} is \"yes\""),
        }));
    }
    let container = |name: &str| {
        json!({
            "name": name, "ready": true, "started": true, "restartCount": 0,
            "image": format!("registry.example.com/shop/{name}:v1.27.3"),
            "imageID": "registry.example.com/shop/web@sha256:\
                        3f0d0c5b8e7a4c1f9b2d6e8a7c5f4b3a2d1e0f9c8b7a6d5e4f3c2b1a09f8e7d6",
            "containerID": "containerd://9b2d6e8a7c5f4b3a2d1e0f9c8b7a6d5e4f3c2b1a09f8e7d63f0d0c5b8e7a4c1f",
            "state": { "running": { "startedAt": time } },
        })
    };
    json!({
        "phase": "Running", "podIP": "10.1.2.3", "podIPs": [{ "ip": "10.1.2.3" }], "hostIP": "10.0.0.7",
        "hostIPs": [{ "ip": "10.0.0.7" }], "startTime": time, "conditions": conditions,
        "containerStatuses": [container("app"), container("proxy")],
    })
}
