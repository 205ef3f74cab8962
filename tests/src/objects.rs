//! The Kubernetes objects that tests make and read.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

/// A pod's spec with one container and these readiness gates.
pub fn gated_spec(gates: &[&str]) -> Value {
    let gates: Vec<_> = gates.iter().map(|gate| json!({ "conditionType": gate })).collect();
    json!({
        "containers": [{ "name": "app", "image": "example.com/app:1" }],
        "readinessGates": gates,
        // A pod that nobody has to wait for when it is deleted.
        "terminationGracePeriodSeconds": 0,
    })
}

/// A pod `name` with these gates, labelled `app: NAME`.
pub fn gated_pod(name: &str, gates: &[&str]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": gated_spec(gates),
    })
}

/// A `Deployment` or `StatefulSet` (`kind`) of `replicas` pods with these gates, labelled `app: NAME`.
pub fn gated_workload(kind: &str, name: &str, replicas: usize, gates: &[&str]) -> Value {
    let mut spec = json!({
        "replicas": replicas,
        "selector": { "matchLabels": { "app": name } },
        "template": { "metadata": { "labels": { "app": name } }, "spec": gated_spec(gates) },
    });
    if kind == "StatefulSet" {
        spec["serviceName"] = json!(name);
        // A gate that is not met must not hold back the other pods.
        spec["podManagementPolicy"] = json!("Parallel");
    }
    json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name }, "spec": spec })
}

/// A Service in front of the pods labelled `app: NAME`.
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": 80 }] },
    })
}

/// The gate that [`approval`] answers, and the annotation that it looks at.
pub const APPROVED: &str = "example.com/approved";

/// A check, as a document: the gate [`APPROVED`] is met by the annotation of that name with this value, and the first
/// answer counts.
pub fn approval(plugin: &str, word: &str) -> String {
    approval_with(plugin, word, json!({}))
}

/// The same with more fields in its `spec`, such as `maxUnready`.
pub fn approval_with(plugin: &str, word: &str, fields: Value) -> String {
    let mut spec = json!({
        "gate": APPROVED, "plugin": plugin, "config": { "annotation": APPROVED, "equals": word }, "failureThreshold": 1,
    });
    if let (Value::Object(spec), Value::Object(fields)) = (&mut spec, fields) {
        spec.extend(fields);
    }
    json!({
        "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": "approved" }, "spec": spec,
    })
    .to_string()
}

/// A pod's condition of this type.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == kind)
}

/// Its status: `True`, `False`, `Unknown`, or `-` where there is none.
pub fn status_of<'a>(pod: &'a Pod, kind: &str) -> &'a str {
    condition(pod, kind).map_or("-", |c| c.status.as_str())
}

/// The pod's uid.
pub fn uid(pod: &Pod) -> Result<String> {
    pod.metadata.uid.clone().context("a pod without a uid")
}

/// Sets one condition of one pod as a readiness gate controller does: a strategic merge patch of the status that
/// holds the uid.
///
/// # Errors
/// 404 when the pod is gone, 422 when another pod has its name.
pub async fn set_condition(pods: &Api<Pod>, name: &str, uid: &str, kind: &str, status: &str) -> kube::Result<Pod> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let patch = json!({
        "metadata": { "uid": uid },
        "status": { "conditions": [{ "type": kind, "status": status, "lastTransitionTime": now }] },
    });
    pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(patch)).await
}
