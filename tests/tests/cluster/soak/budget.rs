//! The disruption budget, over the host's own death.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    history::History,
    objects::{APPROVED, condition, gated_workload},
    soak::record,
    trial::{Trial, run},
    wait::{SOON, Seen, throughout, until},
};
use kube::ResourceExt as _;
use serde_json::json;

use super::{another_host, check, wait_until_asked};

const PODS: usize = 10;
/// Half of them, which is the default.
const BUDGET: usize = 5;

async fn ready(t: &Trial) -> Result<usize> {
    let pods = t.pods().list(&kube::api::ListParams::default()).await?.items;
    Ok(pods.iter().filter(|pod| condition(pod, "Ready").is_some_and(|c| c.status == "True")).count())
}

#[test]
fn half_the_pods_turned_false_then_kill_9_then_false_for_all_is_never_more_than_the_budget() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        let policy = json!({ "maxUnready": "50%", "startWhen": "containersReady" });
        t.file("approved.yaml", check("yes", 1, &policy));
        let kubeconfig = t.deployed_kubeconfig().await?;
        let mut first = another_host(t, &kubeconfig, &[], "first").await?;
        t.create(&gated_workload("Deployment", "web", PODS, &[APPROVED])).await?;
        let pods = t.wait_for_containers("app=web", PODS).await?;
        t.kubectl(&["annotate", "pods", "--all", &format!("{APPROVED}=yes")])?;
        t.wait_for_ready("app=web", PODS, "True").await?;

        let history = History::open(t.pods(), APPROVED).await?;
        for pod in &pods[..BUDGET] {
            t.annotate(&pod.name_any(), APPROVED, Some("no")).await?;
        }
        until(SOON, "half of them are not Ready", async || {
            let ready = ready(t).await?;
            Ok(Seen::when(ready == PODS - BUDGET, || format!("{ready} are Ready")))
        })
        .await?;
        first.kill()?;
        t.kubectl(&["annotate", "--overwrite", "pods", "--all", &format!("{APPROVED}=no")])?;
        let second = another_host(t, &kubeconfig, &[], "second").await?;
        wait_until_asked(&second, 5 * PODS, SOON).await?;
        throughout(Duration::from_secs(3), "the budget is kept", async || {
            let ready = ready(t).await?;
            Ok(Seen::when(ready == PODS - BUDGET, || format!("{ready} are Ready")))
        })
        .await?;
        let not_ready = history.most(|sight| sight.ready != "True");
        let not_true = history.most(|sight| sight.status != "True");
        assert!(not_ready <= BUDGET && not_true <= BUDGET, "{not_ready} not Ready and {not_true} not True at once");

        // Those that are held say so, and follow as soon as the others are back.
        let held = t.pods().list(&kube::api::ListParams::default()).await?.items;
        let held: Vec<_> =
            held.iter().filter_map(|pod| condition(pod, APPROVED)).filter(|c| c.status == "True").collect();
        assert_eq!(held.len(), PODS - BUDGET);
        until(SOON, "those that are held say so", async || {
            let pods = t.pods().list(&kube::api::ListParams::default()).await?.items;
            let told: Vec<_> = pods.iter().filter_map(|pod| condition(pod, APPROVED)?.reason.clone()).collect();
            let count = told.iter().filter(|reason| *reason == "HeldByBudget").count();
            Ok(Seen::when(count == PODS - BUDGET, || format!("{told:?}")))
        })
        .await?;
        t.kubectl(&["annotate", "--overwrite", "pods", "--all", &format!("{APPROVED}=yes")])?;
        t.wait_for_ready("app=web", PODS, "True").await?;
        let backwards = history.backwards();
        assert!(backwards.is_empty(), "{backwards:?}");
        second.metrics().await.context("the host has ended")?;
        record(
            "budget",
            &[
                ("pods", PODS.to_string()),
                ("budget", BUDGET.to_string()),
                ("most not Ready at once", not_ready.to_string()),
                ("most not True at once", not_true.to_string()),
            ],
        )
    });
}
