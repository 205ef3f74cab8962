//! Checks that read other objects.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, bail};
use gatehost_tests::{
    gatehost_binary,
    objects::{condition, gated_pod},
    trial::{Trial, path},
    wait::{Seen, until},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

mod follow;
mod hidden;
mod late;
mod rights;
mod shared;
mod shelf;

const GATE: &str = "example.com/reads";

/// A check for a gate by the guest `objects`, which is asked once an hour and when something changes.
fn check(name: &str, gate: &str, config: &Value, objects: &Value) -> String {
    let spec = json!({
        "gate": gate, "plugin": "objects.wasm", "config": config, "allow": { "objects": objects },
        "periodSeconds": 3600, "failureThreshold": 1, "timeoutSeconds": 5, "startWhen": "always",
    });
    json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": name }, "spec": spec })
        .to_string()
}

/// The `ConfigMap` that most tests read.
const FLAG: &str = "flag";

fn flag_entry(t: &Trial) -> Value {
    json!([{ "apiVersion": "v1", "kind": "ConfigMap", "namespaces": [t.namespace], "names": [FLAG],
             "fields": ["/data/state"] }])
}

/// A check that is met while the state of the flag is `on`.
fn flag_check(t: &Trial) -> String {
    let config =
        json!({ "reads": [{ "one": ["v1", "ConfigMap", t.namespace, FLAG] }], "want": ["/0/data/state", "on"] });
    check("flag", GATE, &config, &flag_entry(t))
}

async fn create_flag(t: &Trial, state: &str) -> Result<()> {
    t.create(
        &json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": FLAG }, "data": { "state": state } }),
    )
    .await
}

async fn set_flag(t: &Trial, key: &str, state: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "data": { key: state } }));
    t.api::<ConfigMap>().patch(FLAG, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// What `gatehost rbac ARGS... DIR` prints.
fn rbac(t: &Trial, args: &[&str]) -> Result<String> {
    let mut command = Command::new(gatehost_binary()?);
    command.arg("rbac").args(args).arg(&t.files);
    if !args.contains(&"--offline") {
        command.arg("--kubeconfig").arg(t.plane.admin_kubeconfig());
    }
    let output = command.output()?;
    if !output.status.success() {
        bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Grants what the checks of the trial need.
fn grant(t: &Trial, args: &[&str]) -> Result<String> {
    let rights = rbac(t, args)?;
    let file = t.scratch("rights").join("rights.yaml");
    std::fs::write(&file, &rights)?;
    t.kubectl(&["apply", "-f", path(&file)?])?;
    Ok(rights)
}

/// The guest, and a pod with the gate.
async fn prepare(t: &Trial) -> Result<()> {
    t.guest("objects", "objects.wasm")?;
    t.create(&gated_pod("web", &[GATE])).await
}

/// Waits until the gate of the pod `web` has this status; the message of its condition.
async fn wait_for(t: &Trial, status: &str, bound: Duration) -> Result<String> {
    until(bound, &format!("the gate is {status}"), async || {
        let pod = t.pods().get("web").await?;
        let found = condition(&pod, GATE);
        Ok(match found.filter(|c| c.status == status) {
            Some(condition) => Seen::Yes(condition.message.clone().unwrap_or_default()),
            None => Seen::NotYet(format!("{found:?}")),
        })
    })
    .await
}

/// How many calls of a check there were.
async fn calls(t: &Trial, check: &str) -> Result<f64> {
    let metrics = t.host.as_ref().context("no host")?.metrics().await?;
    Ok(metrics.sum("gatehost_evaluations_total", &[("check", check)]))
}
