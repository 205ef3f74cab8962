//! The shipped checks that read other objects, with the rights that `gatehost rbac` prints and no polling to help them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gatehost_tests::{
    objects::{condition, gated_pod, gated_workload, service, set_condition, status_of, uid},
    trial::{ROLLOUT, Trial, run},
    wait::{Seen, until},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
    discovery::v1::EndpointSlice,
};
use kube::{
    ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{calls, grant};

const DB: &str = "example.com/db";

/// A shipped check for the gate `example.com/NAME`, that is asked once an hour and when something changes.
fn shipped(t: &Trial, name: &str, plugin: &str, config: &Value, entry: &Value) -> String {
    let mut entry = entry.clone();
    entry["namespaces"] = json!([t.namespace]);
    let spec = json!({
        "gate": gate(name), "plugin": plugin, "config": config, "allow": { "objects": [entry] },
        "periodSeconds": 3600, "failureThreshold": 1, "timeoutSeconds": 5, "startWhen": "always",
    });
    json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": name }, "spec": spec })
        .to_string()
}

fn gate(name: &str) -> String {
    format!("example.com/{name}")
}

/// Waits until `holds` and the gate has that status; the gate must not be more than a second later.
async fn follows(t: &Trial, name: &str, status: &str, holds: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let (mut changed, mut followed) = (None, None);
    until(ROLLOUT, &format!("{name} is {status}"), async || {
        if changed.is_none() && holds().await? {
            changed = Some(Instant::now());
        }
        let web = t.pods().get("web").await?;
        if status_of(&web, &gate(name)) == status {
            followed.get_or_insert_with(Instant::now);
        }
        let done = changed.is_some() && followed.is_some();
        Ok(Seen::when(done, || format!("{changed:?} {followed:?} {:?}", condition(&web, &gate(name)))))
    })
    .await?;
    let (changed, followed) = (changed.context("not changed")?, followed.context("not followed")?);
    let late = followed.saturating_duration_since(changed);
    ensure!(late < Duration::from_secs(1), "{name} is {status} {late:?} after the change");
    Ok(())
}

/// The reason and the message of a gate of the pod `web`.
async fn said(t: &Trial, name: &str) -> Result<(String, String)> {
    let web = t.pods().get("web").await?;
    let found = condition(&web, &gate(name)).context("no condition")?;
    Ok((found.reason.clone().unwrap_or_default(), found.message.clone().unwrap_or_default()))
}

async fn said_is(t: &Trial, name: &str, reason: &str, message: &str) -> Result<()> {
    let said = said(t, name).await?;
    ensure!(said.0 == reason && said.1.contains(message), "{name}: {said:?}");
    Ok(())
}

/// The pods of the Deployment `db`, which are ready as far as their gate is.
async fn turn(t: &Trial, pods: &[Pod], status: &str) -> Result<()> {
    for pod in pods {
        set_condition(&t.pods(), &pod.name_any(), &uid(pod)?, DB, status).await?;
    }
    Ok(())
}

async fn is_available(t: &Trial, wanted: bool) -> Result<bool> {
    let Some(db) = t.api::<Deployment>().get_opt("db").await? else { return Ok(!wanted) };
    let conditions = db.status.and_then(|status| status.conditions).unwrap_or_default();
    Ok(conditions.iter().any(|c| c.type_ == "Available" && (c.status == "True") == wanted))
}

/// How many endpoints of the Service `db` are ready.
async fn ready_endpoints(t: &Trial) -> Result<usize> {
    let of = ListParams::default().labels("kubernetes.io/service-name=db");
    let slices = t.api::<EndpointSlice>().list(&of).await?;
    let endpoints = slices.items.iter().flat_map(|slice| slice.endpoints.iter());
    Ok(endpoints.filter(|one| one.conditions.as_ref().is_some_and(|c| c.ready == Some(true))).count())
}

#[test]
fn the_object_check_follows_a_deployment_the_endpoints_of_a_service_and_a_job() {
    run(async |t: &mut Trial| {
        t.plugin("object.wasm", "object.wasm")?;
        let (deployment, job) = (
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "db", "condition": { "type": "Available" } }),
            json!({ "apiVersion": "batch/v1", "kind": "Job", "name": "migrate", "condition": { "type": "Complete" } }),
        );
        let labels = "kubernetes.io/service-name=db";
        let endpoints = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "labels": labels,
            "count": { "pointer": "/endpoints", "where": { "pointer": "/conditions/ready", "equals": true },
                       "distinct": "/targetRef/uid", "atLeast": 2 },
        });
        let slices = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "labels": labels,
                             "fields": ["/endpoints"] });
        let named =
            |version: &str, kind: &str, name: &str| json!({ "apiVersion": version, "kind": kind, "names": [name] });
        for (name, config, entry) in [
            ("available", &deployment, named("apps/v1", "Deployment", "db")),
            ("endpoints", &endpoints, slices),
            ("migrated", &job, named("batch/v1", "Job", "migrate")),
        ] {
            t.file(&format!("{name}.yaml"), shipped(t, name, "object.wasm", config, &entry));
        }
        let gates = [gate("available"), gate("endpoints"), gate("migrated")];
        t.create(&gated_pod("web", &gates.each_ref().map(String::as_str))).await?;
        let rights = grant(t, &[])?;
        ensure!(!rights.contains("kind: ClusterRole\n") && !rights.contains('*'), "{rights}");
        t.start_host(&[]).await?;
        for gate in &gates {
            t.wait_for_status("app=web", 1, gate, "False").await?;
        }
        said_is(t, "available", "ObjectMissing", "there is no Deployment db in").await?;
        said_is(t, "migrated", "ObjectMissing", "there is no Job migrate in").await?;

        t.create(&service("db")).await?;
        t.create(&gated_workload("Deployment", "db", 2, &[DB])).await?;
        let pods = t.wait_for_containers("app=db", 2).await?;
        turn(t, &pods[..1], "True").await?;
        until(ROLLOUT, "one endpoint is ready", async || {
            let ready = ready_endpoints(t).await?;
            Ok(Seen::when(ready == 1, || ready.to_string()))
        })
        .await?;
        said_is(t, "endpoints", "TooFew", "fewer than 2").await?;
        turn(t, &pods[1..], "True").await?;
        let both = async || Ok(ready_endpoints(t).await? == 2);
        let (one, two) = tokio::join!(
            follows(t, "available", "True", async || is_available(t, true).await),
            follows(t, "endpoints", "True", both),
        );
        one.and(two)?;
        turn(t, &pods, "False").await?;
        let none = async || Ok(ready_endpoints(t).await? < 2);
        let (one, two) = tokio::join!(
            follows(t, "available", "False", async || is_available(t, false).await),
            follows(t, "endpoints", "False", none),
        );
        one.and(two)?;

        // Nothing is left to do for it: the controller finds it complete.
        let template = json!({ "spec": { "restartPolicy": "Never",
                               "containers": [{ "name": "app", "image": "example.com/app:1" }] } });
        t.create(&json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "migrate" },
                          "spec": { "completions": 0, "template": template } }))
            .await?;
        let complete = async || {
            let conditions = t.api::<Job>().get("migrate").await?.status.and_then(|status| status.conditions);
            Ok(conditions.unwrap_or_default().iter().any(|c| c.type_ == "Complete" && c.status == "True"))
        };
        follows(t, "migrated", "True", complete).await?;
        for name in ["available", "endpoints", "migrated"] {
            let calls = calls(t, name).await?;
            ensure!(calls < 60.0, "{name}: {calls} calls");
        }
        Ok(())
    });
}

#[test]
fn the_expression_check_follows_the_object_that_it_names() {
    run(async |t: &mut Trial| {
        t.plugin("expression.wasm", "expression.wasm")?;
        let config = json!({
            "expression": "object != null && int(object.data.version) >= 7", "message": "the schema is too old",
            "object": { "apiVersion": "v1", "kind": "ConfigMap", "name": "schema" },
        });
        let entry =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "names": ["schema"], "fields": ["/data/version"] });
        t.file("schema.yaml", shipped(t, "schema", "expression.wasm", &config, &entry));
        t.create(&gated_pod("web", &[&gate("schema")])).await?;
        let rights = grant(t, &[])?;
        ensure!(rights.contains("resourceNames: [schema]") && !rights.contains("kind: ClusterRole\n"), "{rights}");
        t.start_host(&[]).await?;
        t.wait_for_status("app=web", 1, &gate("schema"), "False").await?;
        said_is(t, "schema", "ExpressionFalse", "the schema is too old").await?;
        let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "schema" },
                          "data": { "version": "7" } });
        t.create(&map).await?;
        let there = async || Ok(true);
        follows(t, "schema", "True", there).await?;
        set_version(t, "6").await?;
        follows(t, "schema", "False", there).await?;
        set_version(t, "8").await?;
        follows(t, "schema", "True", there).await?;
        // What cannot be evaluated is a fault, and changes nothing: no False that is a lie.
        set_version(t, "eight").await?;
        until(ROLLOUT, "the call ends in a fault", async || {
            let metrics = t.host.as_ref().context("no host")?.metrics().await?;
            let faults = metrics.sum("gatehost_evaluations_total", &[("check", "schema"), ("result", "fault")]);
            Ok(Seen::when(faults >= 1.0, || faults.to_string()))
        })
        .await?;
        let web = t.pods().get("web").await?;
        ensure!(status_of(&web, &gate("schema")) == "True", "{:?}", condition(&web, &gate("schema")));
        set_version(t, "1").await?;
        follows(t, "schema", "False", there).await?;
        let calls = calls(t, "schema").await?;
        ensure!(calls < 20.0, "{calls} calls");
        Ok(())
    });
}

async fn set_version(t: &Trial, version: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "data": { "version": version } }));
    t.api::<ConfigMap>().patch("schema", &PatchParams::default(), &patch).await?;
    Ok(())
}
