//! How often the host asks and writes, whatever plugins and others do.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    objects::{APPROVED, approval, gated_pod, gated_workload},
    trial::{ROLLOUT, Trial, run},
    wait::{Seen, until},
};
use serde_json::json;

async fn sum(t: &Trial, metric: &str) -> Result<f64> {
    Ok(t.host.as_ref().context("no host")?.metrics().await?.sum(metric, &[]))
}

#[test]
fn a_message_that_differs_at_every_call_is_written_at_most_once_more() {
    run(async |t: &mut Trial| {
        t.guest("dump", "dump.wasm")?;
        let spec = json!({ "gate": APPROVED, "plugin": "dump.wasm", "periodSeconds": 1 });
        let metadata = json!({ "name": "chatty" });
        let check =
            json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": metadata, "spec": spec });
        t.file("chatty.yaml", check.to_string());
        t.start_host(&[]).await?;
        t.create(&gated_workload("Deployment", "web", 100, &[APPROVED])).await?;
        t.wait_for_ready("app=web", 100, "True").await?;
        let (asked, written) = (sum(t, "gatehost_evaluations_total").await?, sum(t, "gatehost_patches_total").await?);
        // Half of what a minute of one call a second is: a small machine may be late.
        until(Duration::from_mins(2), "the plugin was asked 3000 times more", async || {
            let more = sum(t, "gatehost_evaluations_total").await? - asked;
            Ok(Seen::when(more >= 3000.0, || more.to_string()))
        })
        .await?;
        let more = sum(t, "gatehost_patches_total").await? - written;
        assert!(more <= 100.0, "{more} patches for messages of 100 gates");
        Ok(())
    });
}

#[test]
fn a_pod_that_changes_twenty_times_a_second_is_asked_about_once_a_second_and_its_last_value_decides() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.start_host(&[]).await?;
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.wait_for_containers("app=web", 1).await?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;
        let asked = sum(t, "gatehost_evaluations_total").await?;
        let start = Instant::now();
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        while start.elapsed() < Duration::from_secs(30) {
            beat.tick().await;
            t.annotate("web", APPROVED, Some(&start.elapsed().as_millis().to_string())).await?;
        }
        let more = sum(t, "gatehost_evaluations_total").await? - asked;
        // A burst of five, one a second, and its own period.
        let bound = 5.0 + start.elapsed().as_secs_f64() * 1.1 + 2.0;
        assert!(more <= bound, "asked {more} times, {bound} are allowed");
        t.annotate("web", APPROVED, Some("yes")).await?;
        t.wait_for_ready("app=web", 1, "True").await?;
        Ok(())
    });
}

#[test]
fn a_secret_in_the_environment_of_a_pod_made_by_kubectl_apply_is_out_of_a_plugins_reach() {
    run(async |t: &mut Trial| {
        const SECRET: &str = "correct-horse-battery-staple";
        t.guest("pod", "pod.wasm")?;
        let spec = json!({ "gate": APPROVED, "plugin": "pod.wasm" });
        let metadata = json!({ "name": "curious" });
        let check =
            json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": metadata, "spec": spec });
        t.file("curious.yaml", check.to_string());
        t.start_host(&[]).await?;
        let mut pod = gated_pod("web", &[APPROVED]);
        pod["spec"]["containers"][0]["env"] = json!([{ "name": "PASSWORD", "value": SECRET }]);
        pod["metadata"]["annotations"] = json!({ "example.com/visible": "yes" });
        let document = t.scratch("pod").join("pod.json");
        std::fs::write(&document, pod.to_string())?;
        t.kubectl(&["apply", "-f", gatehost_tests::trial::path(&document)?])?;
        let pods = t.wait_for_ready("app=web", 1, "True").await?;
        // The annotation that kubectl keeps the whole document in is there, but not for a plugin.
        let whole = "kubectl.kubernetes.io/last-applied-configuration";
        assert!(pods[0].metadata.annotations.as_ref().is_some_and(|a| a[whole].contains(SECRET)));
        let told = until(ROLLOUT, "the plugin told what it sees", async || {
            let pod = t.pods().get("web").await?;
            let message = gatehost_tests::objects::condition(&pod, APPROVED).and_then(|c| c.message.clone());
            Ok(message.map_or_else(|| Seen::NotYet("no message".to_owned()), Seen::Yes))
        })
        .await?;
        assert!(told.contains("example.com/visible"), "{told}");
        let log = std::fs::read_to_string(t.host.as_ref().context("no host")?.log())?;
        for hidden in [SECRET, "PASSWORD", whole] {
            assert!(!told.contains(hidden) && !log.contains(hidden), "{hidden} in:\n{told}\n{log}");
        }
        Ok(())
    });
}
