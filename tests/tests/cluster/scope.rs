//! Whose gates the host decides: the namespaces and the labels that it was given, and in a dry run nobody's.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    objects::{APPROVED, approval, gated_pod, status_of},
    trial::{Trial, run},
    wait::{SOON, Seen, throughout, until},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};

fn labelled(name: &str, team: &str) -> Value {
    let mut pod = gated_pod(name, &[APPROVED]);
    pod["metadata"]["labels"]["team"] = json!(team);
    pod
}

async fn move_to(t: &Trial, pod: &str, team: &str) -> Result<()> {
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "team": team } } }));
    t.pods().patch(pod, &PatchParams::default(), &patch).await?;
    Ok(())
}

async fn wait_for_gates(t: &Trial, count: f64) -> Result<()> {
    until(SOON, &format!("the host knows {count} gates"), async || {
        let known = t.host.as_ref().context("no host")?.metrics().await?.sum("gatehost_gates", &[]);
        Ok(Seen::when((known - count).abs() < 0.5, || known.to_string()))
    })
    .await
}

async fn stays(pods: &Api<Pod>, name: &str, status: &str) -> Result<()> {
    throughout(Duration::from_secs(2), &format!("{name} is {status}"), async || {
        let pod = pods.get(name).await?;
        Ok(Seen::when(status_of(&pod, APPROVED) == status, || status_of(&pod, APPROVED).to_owned()))
    })
    .await
}

#[test]
fn only_pods_with_the_labels_are_decided_and_one_that_loses_them_is_let_go() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.start_host(&["--pod-selector", "team in (a, b),team!=x"]).await?;
        t.create(&labelled("in", "a")).await?;
        t.create(&labelled("out", "x")).await?;
        t.wait_for_status("app=in", 1, APPROVED, "False").await?;
        stays(&t.pods(), "out", "-").await?;
        wait_for_gates(t, 1.0).await?;

        move_to(t, "in", "x").await?;
        wait_for_gates(t, 0.0).await?;
        t.annotate("in", APPROVED, Some("yes")).await?;
        stays(&t.pods(), "in", "False").await?;

        move_to(t, "in", "b").await?;
        t.wait_for_status("app=in", 1, APPROVED, "True").await?;
        t.pods().delete("in", &DeleteParams::default()).await?;
        wait_for_gates(t, 0.0).await
    });
}

#[test]
fn only_the_given_namespaces_are_decided() {
    run(async |t: &mut Trial| {
        let elsewhere: Api<Pod> = Api::namespaced(t.client.clone(), "default");
        let name = format!("elsewhere-{}", t.namespace);
        elsewhere.create(&PostParams::default(), &from_value(gated_pod(&name, &[APPROVED]))?).await?;
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.create(&gated_pod("here", &[APPROVED])).await?;
        t.start_host(&[]).await?;
        t.wait_for_status("app=here", 1, APPROVED, "False").await?;
        stays(&elsewhere, &name, "-").await?;
        // A second namespace has a watch of its own, and the lists of one sweep no pods of the other.
        t.start_host(&["--namespace", "default"]).await?;
        until(SOON, "the other namespace is decided as well", async || {
            let pod = elsewhere.get(&name).await?;
            Ok(Seen::when(status_of(&pod, APPROVED) == "False", || format!("{:?}", pod.status)))
        })
        .await?;
        wait_for_gates(t, 2.0).await?;
        elsewhere.delete(&name, &DeleteParams::default().grace_period(0)).await?;
        wait_for_gates(t, 1.0).await
    });
}

#[test]
fn a_dry_run_decides_and_logs_and_writes_nothing() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.wait_for_containers("app=web", 1).await?;
        t.start_host(&["--dry-run"]).await?;
        for (word, status) in [("no", "False"), ("yes", "True")] {
            t.annotate("web", APPROVED, Some(word)).await?;
            until(SOON, &format!("the log says that it would be {status}"), async || {
                let lines = t.host.as_ref().context("no host")?.log_lines()?;
                let would = |line: &Value| line["message"] == "would write" && line["gate"] == APPROVED;
                let told = lines.iter().any(|line| would(line) && line["status"] == status);
                Ok(Seen::when(told, || format!("{} lines", lines.len())))
            })
            .await?;
        }
        stays(&t.pods(), "web", "-").await?;
        let host = t.host.as_ref().context("no host")?;
        assert!(host.log_lines()?.iter().all(|line| line["message"] != "transition"), "nothing has changed");
        let metrics = host.metrics().await?;
        let (asked, sent) = ("gatehost_evaluations_total", "gatehost_patches_total");
        assert!(metrics.sum(asked, &[]) >= 2.0 && metrics.sum(sent, &[]) < 1.0, "{metrics:?}");
        Ok(())
    });
}
