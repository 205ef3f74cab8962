//! A gate follows the objects that its plugin reads.

use std::time::{Duration, Instant};

use anyhow::ensure;
use gatehost_tests::{
    objects::{gated_pod, gated_workload, set_condition, status_of, uid},
    trial::{ROLLOUT, Trial, run},
    wait::{SOON, Seen, throughout, until},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::json;

use super::{FLAG, GATE, calls, check, create_flag, flag_check, grant, prepare, set_flag, wait_for};

#[test]
fn a_gate_that_waits_for_a_deployment_turns_true_within_a_second_of_it_and_is_not_polled() {
    run(async |t: &mut Trial| {
        let ns = t.namespace.clone();
        prepare(t).await?;
        let entry = json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "namespaces": [ns] }]);
        let config = json!({ "reads": [{ "one": ["apps/v1", "Deployment", ns, "db"] }],
                             "want": ["/0/status/availableReplicas", 1] });
        t.file("db.yaml", check("db", GATE, &config, &entry));
        grant(t, &[])?;
        t.start_host(&[]).await?;
        wait_for(t, "False", SOON).await?;
        t.create(&gated_workload("Deployment", "db", 1, &["example.com/db"])).await?;
        let pod = t.wait_for_containers("app=db", 1).await?.remove(0);
        let (mut available, mut met) = (None, None);
        set_condition(&t.pods(), &pod.name_any(), &uid(&pod)?, "example.com/db", "True").await?;
        let deployments = t.api::<Deployment>();
        until(ROLLOUT, "both are there", async || {
            let web = t.pods().get("web").await?;
            if status_of(&web, GATE) == "True" {
                met.get_or_insert_with(Instant::now);
            }
            let status = deployments.get("db").await?.status.unwrap_or_default();
            if status.available_replicas == Some(1) {
                available.get_or_insert_with(Instant::now);
            }
            Ok(Seen::when(available.is_some() && met.is_some(), || format!("{available:?} {met:?}")))
        })
        .await?;
        let late = met.zip(available).map(|(met, available)| met.saturating_duration_since(available));
        ensure!(late.is_some_and(|late| late < Duration::from_secs(1)), "{late:?}");
        let calls = calls(t, "db").await?;
        ensure!(calls < 30.0, "{calls} calls");
        Ok(())
    });
}

#[test]
fn a_gate_follows_an_object_that_changes_goes_and_comes_back_and_rests_while_what_it_sees_does() {
    run(async |t: &mut Trial| {
        prepare(t).await?;
        create_flag(t, "off").await?;
        t.file("flag.yaml", flag_check(t));
        grant(t, &[])?;
        t.start_host(&[]).await?;
        let message = wait_for(t, "False", SOON).await?;
        ensure!(message == r#"[{"data":{"state":"off"}}]"#, "{message}");
        set_flag(t, "state", "on").await?;
        wait_for(t, "True", SOON).await?;
        t.wait_for_ready("app=web", 1, "True").await?;
        let before = calls(t, "flag").await?;
        set_flag(t, "other", "unseen").await?;
        throughout(Duration::from_secs(2), "a change that is not seen asks nobody", async || {
            let now = calls(t, "flag").await?;
            Ok(Seen::when((now - before).abs() < 0.5, || format!("{now} calls, and {before} before")))
        })
        .await?;
        t.api::<ConfigMap>().delete(FLAG, &DeleteParams::default()).await?;
        ensure!(wait_for(t, "False", SOON).await? == "[null]");
        create_flag(t, "on").await?;
        wait_for(t, "True", SOON).await?;
        Ok(())
    });
}

#[test]
fn a_list_is_followed_as_objects_come_change_and_go() {
    run(async |t: &mut Trial| {
        let ns = t.namespace.clone();
        prepare(t).await?;
        let entry = json!([{ "apiVersion": "v1", "kind": "Pod", "namespaces": [ns], "labels": "tier=peer",
                             "fields": ["/metadata/name", "/status/phase"] }]);
        let config = json!({ "reads": [{ "all": ["v1", "Pod", ns, ""] }],
                             "want": ["/0/1", { "metadata": { "name": "b" }, "status": { "phase": "Running" } }] });
        t.file("peers.yaml", check("peers", GATE, &config, &entry));
        t.start_host(&[]).await?;
        ensure!(wait_for(t, "False", SOON).await? == "[[]]", "its own pod has not the labels of the entry");
        for name in ["a", "b"] {
            let mut pod = gated_pod(name, &["example.com/none"]);
            pod["metadata"]["labels"]["tier"] = json!("peer");
            t.create(&pod).await?;
        }
        wait_for(t, "True", ROLLOUT).await?;
        t.kubectl(&["label", "pod", "a", "tier-"])?;
        let message = wait_for(t, "False", SOON).await?;
        ensure!(message == r#"[[{"metadata":{"name":"b"},"status":{"phase":"Running"}}]]"#, "{message}");
        Ok(())
    });
}
