//! What the API server makes of a patch that names the version of the pod that was judged.

use gatehost_tests::{
    objects::{APPROVED, gated_pod, status_of, uid},
    trial::{Trial, run},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

async fn set(pods: &Api<Pod>, uid: &str, version: &str) -> kube::Result<Pod> {
    let patch = json!({
        "metadata": { "uid": uid, "resourceVersion": version },
        "status": { "conditions": [{ "type": APPROVED, "status": "True" }] },
    });
    pods.patch_status("web", &PatchParams::default(), &Patch::Strategic(patch)).await
}

fn code(outcome: &kube::Result<Pod>) -> u16 {
    match outcome {
        Err(kube::Error::Api(status)) => status.code,
        _ => 0,
    }
}

#[test]
fn a_patch_with_a_version_that_has_passed_conflicts_and_writes_nothing() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        // Kubelet has written what it will.
        t.wait_for_containers("app=web", 1).await?;
        let judged = t.pods().get("web").await?;
        let (uid, version) = (uid(&judged)?, judged.metadata.resource_version.unwrap_or_default());
        t.annotate("web", "example.com/other", Some("changed")).await?;

        let stale = set(&t.pods(), &uid, &version).await;
        assert_eq!(code(&stale), 409, "{stale:?}");
        // The version is looked at first: what another pod of that name answers is a conflict as well.
        let other = set(&t.pods(), "00000000-0000-0000-0000-000000000000", &version).await;
        assert_eq!(code(&other), 409, "{other:?}");
        let now = t.pods().get("web").await?;
        assert_eq!(status_of(&now, APPROVED), "-");

        let version = now.metadata.resource_version.unwrap_or_default();
        assert_eq!(status_of(&set(&t.pods(), &uid, &version).await?, APPROVED), "True");
        Ok(())
    });
}
