//! A plugin's file is replaced while many pods wait for it.

use anyhow::{Context as _, Result};
use gatehost_tests::{
    objects::{APPROVED, approval_with, gated_workload},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use serde_json::json;

const PODS: usize = 100;

async fn sum(t: &Trial, metric: &str, labels: &[(&str, &str)]) -> Result<f64> {
    Ok(t.host.as_ref().context("no host")?.metrics().await?.sum(metric, labels))
}

async fn wait_for_more(t: &Trial, metric: &str, than: f64) -> Result<()> {
    until(SOON, &format!("{metric} is above {than}"), async || {
        let now = sum(t, metric, &[]).await?;
        Ok(Seen::when(now > than, || now.to_string()))
    })
    .await
}

/// A check that may turn all pods of the Deployment at once, as no budget would let it.
fn approval_of_all(word: &str) -> String {
    approval_with("p.wasm", word, json!({ "maxUnready": "100%" }))
}

/// Another build with the same answers: a component may end with a custom section that nobody reads.
fn another_build(plugin: &[u8]) -> Vec<u8> {
    [plugin, &[0, 6, 5], b"again"].concat()
}

#[test]
fn another_build_is_asked_at_once_and_nothing_is_written_where_nothing_changed() {
    run(async |t: &mut Trial| {
        let path = t.plugin("annotation.wasm", "p.wasm")?;
        let built = std::fs::read(&path)?;
        t.file("approved.yaml", approval_of_all("yes"));
        t.start_host(&[]).await?;
        t.create(&gated_workload("Deployment", "web", PODS, &[APPROVED])).await?;
        t.wait_for_containers("app=web", PODS).await?;
        t.wait_for_status("app=web", PODS, APPROVED, "False").await?;

        let (asked, written) =
            (sum(t, "gatehost_evaluations_total", &[]).await?, sum(t, "gatehost_patches_total", &[]).await?);
        t.file("p.wasm", another_build(&built));
        #[allow(clippy::cast_precision_loss, reason = "a hundred")]
        wait_for_more(t, "gatehost_evaluations_total", asked + PODS as f64 - 1.0).await?;
        assert_eq!(sum(t, "gatehost_patches_total", &[]).await?.to_bits(), written.to_bits());

        let failures = sum(t, "gatehost_catalog_load_failures_total", &[]).await?;
        t.file("p.wasm", &built[..built.len() / 2]);
        wait_for_more(t, "gatehost_catalog_load_failures_total", failures).await?;
        assert_eq!(sum(t, "gatehost_patches_total", &[]).await?.to_bits(), written.to_bits());

        // The last good one still answers, and an edited check makes it change its mind for every pod.
        t.kubectl(&["annotate", "pods", "--all", &format!("{APPROVED}=certainly")])?;
        t.file("approved.yaml", approval_of_all("certainly"));
        t.wait_for_ready("app=web", PODS, "True").await?;

        // A build that decides otherwise is followed by every condition, and so is the way back.
        t.guest("rude", "p.wasm")?;
        t.wait_for_status("app=web", PODS, APPROVED, "Unknown").await?;
        t.wait_for_ready("app=web", PODS, "False").await?;
        t.file("p.wasm", &built);
        t.wait_for_ready("app=web", PODS, "True").await?;
        Ok(())
    });
}
