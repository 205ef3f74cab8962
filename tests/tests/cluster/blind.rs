//! The API server goes away and comes back.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use gatehost_tests::{
    controlplane::{ControlPlane, scratch},
    objects::{APPROVED, approval, condition, gated_workload},
    trial::{Trial, run_on},
    wait::{Seen, throughout},
};
use kube::ResourceExt as _;

#[test]
fn nothing_flips_while_the_api_server_is_away_and_all_is_right_after_it_is_back() {
    let dir = scratch().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // One of its own: nobody else can work on it meanwhile.
    let plane = Arc::new(runtime.block_on(ControlPlane::start(&dir, 1, |_| ())).unwrap());
    run_on(&plane, async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.start_host(&[]).await?;
        t.create(&gated_workload("Deployment", "web", 5, &[APPROVED])).await?;
        let pods = t.wait_for_containers("app=web", 5).await?;
        for pod in &pods[..3] {
            t.annotate(&pod.name_any(), APPROVED, Some("yes")).await?;
        }
        let approved = |pod: &k8s_openapi::api::core::v1::Pod| pods[..3].iter().any(|p| p.name_any() == pod.name_any());
        let holds = |pod: &k8s_openapi::api::core::v1::Pod| {
            let wanted = if approved(pod) { "True" } else { "False" };
            ["Ready", APPROVED].iter().all(|kind| condition(pod, kind).is_some_and(|c| c.status == wanted))
        };
        let before = t.wait_for_pods("app=web", 5, "as approved", holds).await?;

        t.plane.stop_apiserver();
        let host = t.host.as_mut().context("no host")?;
        throughout(Duration::from_secs(30), "the host lives", async || {
            host.check()?;
            let (status, body) = host.get("/livez").await?;
            Ok(Seen::when(status == 200, || body))
        })
        .await?;
        t.plane.start_apiserver().await?;

        for pod in before {
            let now = t.pods().get(&pod.name_any()).await?;
            assert_eq!(condition(&now, APPROVED), condition(&pod, APPROVED));
        }
        for pod in &pods {
            t.annotate(&pod.name_any(), APPROVED, Some("yes")).await?;
        }
        t.wait_for_ready("app=web", 5, "True").await?;
        Ok(())
    });
    drop(plane);
    std::fs::remove_dir_all(dir).unwrap();
}
