//! A plugin that breaks off on every gate, beside one that does not.

use std::process::Command;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    gatehost_binary,
    objects::{APPROVED, approval_with, condition, gated_pod, gated_workload, status_of},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
use kube::api::ListParams;
use serde_json::{Value, json};

const PODS: usize = 6;
const GOOD: &str = "example.com/good";

async fn wait_for_quarantine(t: &Trial, held: bool) -> Result<()> {
    let host = t.host.as_ref().context("no host")?;
    until(SOON, &format!("the check's quarantine is {held}"), async || {
        let metrics = host.metrics().await?;
        let [approved, good] =
            ["approved", "good"].map(|check| metrics.sum("gatehost_check_quarantined", &[("check", check)]));
        Ok(Seen::when((approved > 0.5) == held && good < 0.5, || format!("{approved} {good}")))
    })
    .await
}

/// How many Events of this reason there are, and of how many lines of the log it is.
async fn told(t: &Trial, reason: &str) -> Result<(usize, usize)> {
    let events = t.api::<Event>().list(&ListParams::default()).await?.items;
    let lines = t.host.as_ref().context("no host")?.log_lines()?;
    let is_it = |line: &&Value| line.to_string().contains(&format!("\"{reason}\""));
    let events = events.iter().filter(|event| event.reason.as_deref() == Some(reason)).count();
    Ok((events, lines.iter().filter(is_it).count()))
}

async fn wait_until_told(t: &Trial, reason: &str) -> Result<()> {
    until(SOON, &format!("{reason} is told once"), async || {
        let told = told(t, reason).await?;
        Ok(Seen::when(told == (1, 1), || format!("Events and lines: {told:?}")))
    })
    .await
}

fn says_why(pod: &Pod) -> bool {
    let held = condition(pod, APPROVED).filter(|c| c.reason.as_deref() == Some("FaultHeld"));
    let message = held.and_then(|c| c.message.as_deref()).unwrap_or_default();
    status_of(pod, APPROVED) == "True" && message.contains(": Quarantined: ")
}

fn explained(t: &Trial, pod: &str) -> Result<Value> {
    let mut command = Command::new(gatehost_binary()?);
    command.env_clear().env("KUBECONFIG", t.plane.admin_kubeconfig());
    let output = command.args(["explain", "pod", pod, "-n", &t.namespace, "-o", "json"]).output()?;
    serde_json::from_slice(&output.stdout).with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_plugin_that_breaks_off_everywhere_is_quarantined_its_conditions_hold_and_a_new_file_is_asked_at_once() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "good.wasm")?;
        t.plugin("annotation.wasm", "p.wasm")?;
        let mut good: Value = serde_json::from_str(&approval_with("good.wasm", "yes", json!({ "gate": GOOD })))?;
        good["metadata"]["name"] = json!("good");
        t.file("good.yaml", good.to_string());
        let policy = json!({ "periodSeconds": 1, "failureThreshold": 4 });
        t.file("approved.yaml", approval_with("p.wasm", "yes", policy));
        t.start_host(&[]).await?;
        t.create(&gated_pod("other", &[GOOD])).await?;
        t.create(&gated_workload("Deployment", "web", PODS, &[APPROVED])).await?;
        t.wait_for_containers("app=web", PODS).await?;
        t.kubectl(&["annotate", "pods", "-l", "app=web", &format!("{APPROVED}=yes")])?;
        t.wait_for_ready("app=web", PODS, "True").await?;
        t.wait_for_status("app=other", 1, GOOD, "False").await?;

        t.guest("panic", "p.wasm")?;
        wait_for_quarantine(t, true).await?;
        let pods = t.wait_for_pods("app=web", PODS, "held, and say why", says_why).await?;
        assert!(pods.iter().all(|pod| status_of(pod, "Ready") == "True"), "{pods:?}");
        wait_until_told(t, "Quarantined").await?;
        let name = pods[0].metadata.name.clone().context("no name")?;
        let report = explained(t, &name)?;
        let found = report["findings"].as_array().context("no findings")?;
        let found = found.iter().find(|f| f["kind"] == "Quarantined").with_context(|| report.to_string())?;
        assert!(found["next"].as_str().is_some_and(|next| next.contains("a new file is asked at once")), "{found}");

        // Beside it everything goes on.
        t.annotate("other", APPROVED, Some("yes")).await?;
        t.wait_for_ready("app=other", 1, "True").await?;
        let (code, _) = t.host.as_ref().context("no host")?.get("/livez").await?;
        assert_eq!(code, 200);

        t.plugin("annotation.wasm", "p.wasm")?;
        wait_for_quarantine(t, false).await?;
        wait_until_told(t, "QuarantineEnded").await?;
        t.kubectl(&["annotate", "pods", "-l", "app=web", "--overwrite", &format!("{APPROVED}=no")])?;
        until(SOON, "the new file decides", async || {
            let pods = t.pods().list(&ListParams::default().labels("app=web")).await?.items;
            let left = pods.iter().filter(|pod| status_of(pod, APPROVED) == "False").count();
            Ok(Seen::when(left > 0, || format!("{left} of {}", pods.len())))
        })
        .await
    });
}
