//! clamp-host.yaml: the host does its whole job under it, and its token is good for nothing else.

use std::fs;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    controlplane::DEPLOYED_AS,
    objects::{APPROVED, gated_pod, gated_workload, set_condition, status_of, uid},
    trial::{Trial, path, run},
    wait::{SOON, Seen, until},
    workspace,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, EvictParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};

use super::{install, pods_as, refused_by, shipped};

const FOREIGN: &str = "other.example.org/state";
const CONDITIONS: &str = "clamp-conditions";
const PODS: &str = "clamp-pods";

const REPLICAS: usize = 5;

/// A check that turns its gates at once, and all of them.
fn check(word: &str) -> String {
    json!({
        "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": "approved" },
        "spec": {
            "gate": APPROVED, "plugin": "p.wasm", "config": { "annotation": APPROVED, "equals": word },
            "periodSeconds": 1, "failureThreshold": 1, "maxUnready": "100%",
        },
    })
    .to_string()
}

fn dry_run() -> PatchParams {
    PatchParams { dry_run: true, ..PatchParams::default() }
}

/// Waits until `pod` cannot be given a condition of somebody else's domain.
async fn in_force(t: &Trial, host: &Api<Pod>, pod: &str) -> Result<()> {
    let patch = json!({ "status": { "conditions": [{ "type": "unheard.example.org/of", "status": "True" }] } });
    until(SOON, "the host is held to its domains", async || {
        let answer = host.patch_status(pod, &dry_run(), &Patch::Strategic(&patch)).await;
        Ok(match refused_by(t, answer, CONDITIONS, "unheard.example.org/of: its domains are ") {
            Ok(()) => Seen::Yes(()),
            Err(instead) => Seen::NotYet(instead),
        })
    })
    .await
}

#[test]
fn the_host_does_its_whole_job_under_the_clamp() {
    run(async |t: &mut Trial| {
        install(t, &shipped("clamp-host.yaml"), &[&t.namespace]).await?;
        t.create(&gated_pod("probe", &[])).await?;
        in_force(t, &pods_as(t, &t.deployed_kubeconfig().await?).await?, "probe").await?;

        let built = fs::read(t.plugin("annotation.wasm", "p.wasm")?)?;
        t.file("approved.yaml", check("yes"));
        t.start_host(&[]).await?;
        t.create(&gated_workload("Deployment", "web", REPLICAS, &[APPROVED])).await?;
        let pods = t.wait_for_containers("app=web", REPLICAS).await?;
        t.wait_for_status("app=web", REPLICAS, APPROVED, "False").await?;
        for pod in &pods {
            set_condition(&t.pods(), &pod.name_any(), &uid(pod)?, FOREIGN, "True").await?;
        }
        t.kubectl(&["annotate", "pods", "--all", &format!("{APPROVED}=yes")])?;
        t.wait_for_ready("app=web", REPLICAS, "True").await?;
        t.file("approved.yaml", check("certainly"));
        t.wait_for_ready("app=web", REPLICAS, "False").await?;
        t.guest("rude", "p.wasm")?;
        t.wait_for_status("app=web", REPLICAS, APPROVED, "Unknown").await?;
        t.file("p.wasm", built);
        t.wait_for_status("app=web", REPLICAS, APPROVED, "False").await?;
        t.kubectl(&["annotate", "pods", "--all", "--overwrite", &format!("{APPROVED}=certainly")])?;
        t.wait_for_ready("app=web", REPLICAS, "True").await?;

        let metrics = t.host.as_ref().context("no host")?.metrics().await?;
        assert!(metrics.sum("gatehost_patches_total", &[("result", "written")]) >= 30.0);
        assert!(metrics.sum("gatehost_patches_total", &[("result", "refused")]) < 0.5);
        Ok(())
    });
}

#[test]
fn what_else_pods_status_would_allow_is_refused_to_the_host() {
    run(async |t: &mut Trial| {
        // On no node, so that kubelet writes nothing in between.
        let mut unbound = gated_pod("web", &[APPROVED]);
        unbound["spec"]["schedulerName"] = json!("nobody");
        t.create(&unbound).await?;
        let pod = t.pods().get("web").await?;
        set_condition(&t.pods(), "web", &uid(&pod)?, FOREIGN, "True").await?;
        let host = pods_as(t, &t.deployed_kubeconfig().await?).await?;
        set_condition(&host, "web", &uid(&pod)?, APPROVED, "False").await?;

        let ours = json!([{ "type": APPROVED, "status": "True" }]);
        let one = |kind: &str| json!({ "status": { "conditions": [{ "type": kind, "status": "False" }] } });
        let container =
            json!({ "name": "app", "image": "example.com/app:1", "imageID": "", "ready": true, "restartCount": 0 });
        let merge = |patch: Value| Patch::Merge(patch);
        let writes = [
            (Patch::Strategic(one("Ready")), "the condition Ready: its domains are example.com;"),
            (Patch::Strategic(one(FOREIGN)), "the condition other.example.org/state: its domains are example.com;"),
            (Patch::Strategic(one("example.com/more")), "the condition example.com/more: the pod has no such"),
            (merge(json!({ "status": { "conditions": ours } })), "may not remove the condition "),
            (merge(json!({ "status": { "phase": "Failed" } })), "not status.phase"),
            (merge(json!({ "status": { "podIP": "192.0.2.1", "podIPs": [{ "ip": "192.0.2.1" }] } })), "status.podIPs"),
            (merge(json!({ "status": { "containerStatuses": [container] } })), "not status.containerStatuses"),
            (merge(json!({ "metadata": { "labels": { "app": "shop" } } })), "not metadata.labels"),
            (merge(json!({ "metadata": { "annotations": { "gatehost.dev/override": "{}" } } })), "not metadata.annot"),
            (merge(json!({ "metadata": { "finalizers": ["example.com/stays"] } })), "not metadata.finalizers"),
            // What it may write is no cover for what it may not.
            (
                Patch::Strategic(json!({ "metadata": { "labels": { "x": "y" } }, "status": { "conditions": ours } })),
                "not metadata.labels",
            ),
        ];
        let before = state(&t.pods().get("web").await?)?;
        for (patch, _) in &writes {
            let written = host.patch_status("web", &dry_run(), patch).await?;
            assert_ne!(state(&written)?, before, "without the policy it would be done: {patch:?}");
        }
        install(t, &shipped("clamp-host.yaml"), &[&t.namespace]).await?;
        in_force(t, &host, "web").await?;
        for (patch, words) in &writes {
            let answer = host.patch_status("web", &PatchParams::default(), patch).await;
            assert_eq!(refused_by(t, answer, CONDITIONS, words), Ok(()), "{patch:?}");
        }
        assert_eq!(state(&t.pods().get("web").await?)?, before);
        // The API server itself passes over these two.
        for patch in [json!({ "metadata": { "ownerReferences": [] } }), json!({ "spec": { "nodeName": "x" } })] {
            host.patch_status("web", &PatchParams::default(), &Patch::Merge(&patch)).await?;
        }
        assert_eq!(state(&t.pods().get("web").await?)?, before);
        let own = set_condition(&host, "web", &uid(&pod)?, APPROVED, "True").await?;
        assert_eq!(status_of(&own, APPROVED), "True");
        Ok(())
    });
}

/// A pod without what every write changes.
fn state(pod: &Pod) -> Result<Value> {
    let mut pod = pod.clone();
    (pod.metadata.managed_fields, pod.metadata.resource_version) = (None, None);
    Ok(serde_json::to_value(pod)?)
}

#[test]
fn no_other_write_to_a_pod_is_the_hosts_whatever_rights_it_is_given() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.kubectl(&["create", "role", "all", "--verb=*", "--resource=pods,pods/eviction,pods/resize"])?;
        let account = format!("--serviceaccount={}:{}", DEPLOYED_AS.0, DEPLOYED_AS.1);
        t.kubectl(&["create", "rolebinding", "all", "--role=all", &account])?;
        install(t, &shipped("clamp-host.yaml"), &[&t.namespace]).await?;
        let host = pods_as(t, &t.deployed_kubeconfig().await?).await?;
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { "a": "b" } } }));
        until(SOON, "the host may patch pods but for the policy", async || {
            let answer = host.patch("web", &dry_run(), &patch).await;
            Ok(match refused_by(t, answer, PODS, "no part of a pod but its status") {
                Ok(()) => Seen::Yes(()),
                Err(instead) => Seen::NotYet(instead),
            })
        })
        .await?;
        let refused = |answer| assert_eq!(refused_by(t, answer, PODS, "no part of a pod but its status"), Ok(()));
        refused(host.create(&PostParams::default(), &from_value(gated_pod("more", &[]))?).await.map(drop));
        refused(host.delete("web", &DeleteParams::default()).await.map(drop));
        refused(host.evict("web", &EvictParams::default()).await.map(drop));
        refused(host.patch_subresource("resize", "web", &PatchParams::default(), &patch).await.map(drop));
        assert!(host.get("web").await.is_ok());
        Ok(())
    });
}

#[test]
fn the_domains_are_named_in_a_kustomization_as_the_comment_shows() {
    run(async |t: &mut Trial| {
        let folder = t.scratch("kustomize");
        let own = folder.join("own");
        fs::create_dir_all(&own)?;
        std::os::unix::fs::symlink(workspace(), folder.join("gatehost"))?;
        let text = fs::read_to_string(shipped("kustomization.yaml"))?;
        let shown: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
        fs::write(own.join("kustomization.yaml"), shown.join("\n"))?;
        let made = folder.join("made.yaml");
        fs::write(&made, t.plane.kubectl(&["kustomize", path(&own)?])?)?;
        install(t, &made, &[&t.namespace]).await?;

        let host = pods_as(t, &t.deployed_kubeconfig().await?).await?;
        t.create(&gated_pod("web", &["shop.example/warm", APPROVED, FOREIGN])).await?;
        in_force(t, &host, "web").await?;
        let uid = uid(&t.pods().get("web").await?)?;
        for gate in ["shop.example/warm", APPROVED] {
            set_condition(&host, "web", &uid, gate, "True").await?;
        }
        let foreign = set_condition(&host, "web", &uid, FOREIGN, "True").await;
        assert_eq!(refused_by(t, foreign, CONDITIONS, "its domains are shop.example, example.com;"), Ok(()));
        Ok(())
    });
}
