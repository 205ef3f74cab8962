//! override-rights.yaml: whose word on `gatehost.dev/override` counts.

use anyhow::Result;
use gatehost_tests::{
    objects::{gated_pod, set_condition, uid},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, from_value, json};

use super::{install, pods_as, refused_by, shipped};

const OVERRIDE: &str = "gatehost.dev/override";
const POLICY: &str = "override-rights";
const WORDS: &str = "ask for patch on pods/status in namespace ";

/// The pods as a new user with these rights, each a verb list and a resource list.
async fn user(t: &Trial, name: &str, rights: &[(&str, &str)]) -> Result<Api<Pod>> {
    t.kubectl(&["create", "serviceaccount", name])?;
    let account = format!("--serviceaccount={}:{name}", t.namespace);
    for (n, (verbs, resources)) in rights.iter().enumerate() {
        let role = format!("{name}-{n}");
        t.kubectl(&["create", "role", &role, &format!("--verb={verbs}"), &format!("--resource={resources}")])?;
        t.kubectl(&["create", "rolebinding", &role, &format!("--role={role}"), &account])?;
    }
    let kubeconfig = t.scratch(name).join("kubeconfig");
    t.plane.write_kubeconfig_for(&t.namespace, name, &kubeconfig).await?;
    pods_as(t, &kubeconfig).await
}

async fn annotate(pods: &Api<Pod>, key: &str, value: Option<&str>) -> kube::Result<Pod> {
    let patch = json!({ "metadata": { "annotations": { key: value } } });
    pods.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await
}

/// Waits until `pods` may be annotated, but not with an override.
async fn in_force(t: &Trial, pods: &Api<Pod>) -> Result<()> {
    until(SOON, "an override is not for everybody", async || {
        annotate(pods, "example.com/note", Some("x")).await?;
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { OVERRIDE: "probe" } } }));
        Ok(match refused_by(t, pods.patch("web", &params, &patch).await, POLICY, WORDS) {
            Ok(()) => Seen::Yes(()),
            Err(instead) => Seen::NotYet(instead),
        })
    })
    .await
}

#[test]
fn only_who_may_patch_the_status_sets_changes_or_removes_an_override() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[])).await?;
        let editor = user(t, "editor", &[("get,create,update,patch", "pods")]).await?;
        let operator = user(t, "operator", &[("get,update,patch", "pods"), ("patch", "pods/status")]).await?;
        install(t, &shipped("override-rights.yaml"), &[&t.namespace]).await?;
        in_force(t, &editor).await?;
        let refused = |answer| assert_eq!(refused_by(t, answer, POLICY, WORDS), Ok(()));

        refused(annotate(&editor, OVERRIDE, Some("a")).await);
        refused(annotate(&editor, OVERRIDE, Some("")).await);
        annotate(&operator, OVERRIDE, Some("a")).await?;
        refused(annotate(&editor, OVERRIDE, Some("b")).await);
        refused(annotate(&editor, OVERRIDE, None).await);
        let mut pod = editor.get("web").await?;
        pod.metadata.annotations = None;
        refused(editor.replace("web", &PostParams::default(), &pod).await);
        // Who leaves it as it is, is not asked.
        annotate(&editor, "example.com/note", Some("y")).await?;

        assert_eq!(t.pods().get("web").await?.metadata.annotations.unwrap_or_default()[OVERRIDE], "a");
        annotate(&operator, OVERRIDE, Some("b")).await?;
        annotate(&operator, OVERRIDE, None).await?;
        Ok(())
    });
}

#[test]
fn no_other_way_to_a_pods_annotations_leads_around_the_policy() {
    run(async |t: &mut Trial| {
        let mut unbound = gated_pod("web", &[]);
        unbound["spec"]["schedulerName"] = json!("nobody");
        t.create(&unbound).await?;
        let editor = user(t, "editor", &[("get,create,update,patch", "pods")]).await?;
        // May write the status, but not by a patch, which is what is asked for.
        let writer = user(t, "writer", &[("get", "pods"), ("update", "pods/status")]).await?;
        let binder = user(t, "binder", &[("create", "pods/binding")]).await?;
        install(t, &shipped("override-rights.yaml"), &[&t.namespace]).await?;
        in_force(t, &editor).await?;

        let mut pod = writer.get("web").await?;
        pod.metadata.annotations.get_or_insert_default().insert(OVERRIDE.to_owned(), "a".to_owned());
        let answer = writer.replace_status("web", &PostParams::default(), &pod).await;
        assert_eq!(refused_by(t, answer, POLICY, WORDS), Ok(()));

        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": { "name": "web", "annotations": { OVERRIDE: "a" } },
            "target": { "kind": "Node", "name": "node-0" },
        });
        let bind = async |binding: &Value| -> kube::Result<Value> {
            binder.create_subresource("binding", "web", &PostParams::default(), binding).await
        };
        assert_eq!(refused_by(t, bind(&binding).await, POLICY, WORDS), Ok(()));
        // Without the policy the annotation of a binding becomes the pod's.
        let mut other = binding.clone();
        other["metadata"]["annotations"] = json!({ "example.com/bound": "a" });
        bind(&other).await?;
        let annotations = t.pods().get("web").await?.metadata.annotations.unwrap_or_default();
        assert!(annotations.contains_key("example.com/bound") && !annotations.contains_key(OVERRIDE));
        Ok(())
    });
}

#[test]
fn a_pod_made_with_an_override_is_left_to_the_host_and_lives_like_any_other() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[])).await?;
        let editor = user(t, "editor", &[("get,create,update,patch", "pods")]).await?;
        let writer = user(t, "writer", &[("get", "pods"), ("update", "pods/status")]).await?;
        install(t, &shipped("override-rights.yaml"), &[&t.namespace]).await?;
        in_force(t, &editor).await?;
        let mut copied = gated_pod("copied", &["example.com/warm"]);
        copied["metadata"]["annotations"] = json!({ OVERRIDE: "a" });
        editor.create(&PostParams::default(), &from_value(copied)?).await?;
        // kubelet and others write to it, and one who may not override writes its status.
        let pod = &t.wait_for_containers("app=copied", 1).await?[0];
        set_condition(&t.pods(), "copied", &uid(pod)?, "example.com/warm", "True").await?;
        t.wait_for_ready("app=copied", 1, "True").await?;
        until(SOON, "the status is written", async || {
            let pod = writer.get("copied").await?;
            Ok(match writer.replace_status("copied", &PostParams::default(), &pod).await {
                Ok(_) => Seen::Yes(()),
                Err(kube::Error::Api(status)) if status.is_conflict() => Seen::NotYet(status.message),
                Err(other) => return Err(other.into()),
            })
        })
        .await
    });
}
