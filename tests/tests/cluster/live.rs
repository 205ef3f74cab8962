//! The host as it is deployed: its own rights, and the checks from the volume that kubelet keeps.

use anyhow::Context as _;
use gatehost_tests::{
    host::Host,
    objects::{APPROVED, approval, gated_pod},
    trial::{ROLLOUT, Trial, path, run},
    wait::{Seen, until},
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

#[test]
fn a_check_edited_with_kubectl_is_live_without_a_new_pod() {
    run(async |t: &mut Trial| {
        let document = t.scratch("checks").join("approved.yaml");
        std::fs::write(&document, approval("annotation.wasm", "yes"))?;
        let from_file = format!("--from-file={}", path(&document)?);
        t.kubectl(&["create", "configmap", "checks", &from_file])?;
        // A pod like the host's: kubelet keeps its volume on disk, and the host's process looks at that.
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "host" }, "spec": {
            "containers": [{ "name": "host", "image": "example.com/gatehost:1",
                             "volumeMounts": [{ "name": "checks", "mountPath": "/checks" }] }],
            "volumes": [{ "name": "checks", "configMap": { "name": "checks" } }],
        }});
        t.create(&pod).await?;
        let uid = t.pods().get("host").await?.metadata.uid.context("no uid")?;
        let volume = until(ROLLOUT, "kubelet has written the volume", async || {
            let volume = t.plane.pod_volume(&uid, "configmap", "checks");
            Ok(match volume {
                Ok(volume) if volume.join("approved.yaml").exists() => Seen::Yes(volume),
                _ => Seen::NotYet("no volume".to_owned()),
            })
        })
        .await?;

        t.plugin("annotation.wasm", "annotation.wasm")?;
        let kubeconfig = t.deployed_kubeconfig().await?;
        let log = t.scratch("log").join("gatehost.log");
        let args = [path(&t.files)?, path(&volume)?, "--kubeconfig", path(&kubeconfig)?, "--namespace", &t.namespace];
        let host = t.host.insert(Host::start(&args, &[], &log)?);
        host.wait_until_ready().await?;
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.annotate("web", APPROVED, Some("certainly")).await?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;

        std::fs::write(&document, approval("annotation.wasm", "certainly"))?;
        let edited = t.kubectl(&["create", "configmap", "checks", &from_file, "--dry-run=client", "-o", "json"])?;
        let edited_file = t.scratch("edited").join("checks.json");
        std::fs::write(&edited_file, edited)?;
        t.kubectl(&["replace", "-f", path(&edited_file)?])?;
        t.wait_for_ready("app=web", 1, "True").await?;
        let pod: Pod = t.pods().get("host").await?;
        assert_eq!(pod.metadata.uid, Some(uid));
        Ok(())
    });
}
