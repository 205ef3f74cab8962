//! A Deployment is as ready as its check says.

use std::time::Duration;

use anyhow::Context as _;
use gatehost_tests::{
    endpoints::wait_for_endpoint,
    objects::{APPROVED, approval, gated_workload, service, status_of},
    trial::{ROLLOUT, Trial, run},
    wait::{Seen, throughout, until},
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt as _};

#[test]
fn a_deployment_rolls_out_when_its_check_turns_true_and_its_endpoints_follow() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.start_host(&[]).await?;
        t.create(&service("web")).await?;
        t.create(&gated_workload("Deployment", "web", 5, &[APPROVED])).await?;
        t.wait_for_containers("app=web", 5).await?;
        let pods = t.wait_for_status("app=web", 5, APPROVED, "False").await?;
        let deployments: Api<Deployment> = t.api();
        throughout(Duration::from_secs(3), "no pod is ready", async || {
            let status = deployments.get("web").await?.status.context("no status")?;
            Ok(Seen::when(status.ready_replicas.unwrap_or(0) == 0, || format!("{status:?}")))
        })
        .await?;

        for pod in &pods {
            t.annotate(&pod.name_any(), APPROVED, Some("yes")).await?;
        }
        t.wait_for_ready("app=web", 5, "True").await?;
        until(ROLLOUT, "the rollout is complete", async || {
            let status = deployments.get("web").await?.status.context("no status")?;
            Ok(Seen::when(status.available_replicas == Some(5), || format!("{status:?}")))
        })
        .await?;
        let table = t.kubectl(&["get", "pods", "-o", "wide", "--no-headers"])?;
        assert!(
            table.lines().all(|line| line.trim_end().ends_with("1/1")),
            "READINESS GATES is the last column:\n{table}"
        );

        let first = pods[0].name_any();
        wait_for_endpoint(t, "web", &first, (true, true)).await?;
        t.annotate(&first, APPROVED, None).await?;
        wait_for_endpoint(t, "web", &first, (false, false)).await?;
        let now = t.pods().get(&first).await?;
        assert_eq!((status_of(&now, APPROVED), status_of(&now, "Ready")), ("False", "False"));
        let metrics = t.host.as_ref().context("no host")?.metrics().await?;
        assert!(metrics.sum("gatehost_ready_agreement_seconds_count", &[]) >= 6.0, "{metrics:?}");
        Ok(())
    });
}
