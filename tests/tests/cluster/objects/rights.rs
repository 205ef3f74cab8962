//! What the host may read, and what it says where it may not.

use std::{process::Command, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gatehost_tests::{
    gatehost_binary,
    objects::{condition, gated_pod},
    trial::{ROLLOUT, Trial, run},
    wait::{SOON, Seen, throughout},
};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::{Api, api::PostParams};
use serde_json::{from_value, json};

use super::{FLAG, GATE, check, create_flag, flag_check, grant, prepare, rbac, wait_for};

#[test]
fn without_the_right_one_clear_line_says_what_to_do_and_once_it_is_granted_the_gate_goes_on() {
    run(async |t: &mut Trial| {
        let ns = t.namespace.clone();
        prepare(t).await?;
        t.create(&gated_pod("second", &[GATE])).await?;
        create_flag(t, "on").await?;
        t.file("flag.yaml", flag_check(t));
        t.start_host(&[]).await?;
        let line = format!(
            "the host may not list configmaps named {FLAG} in namespace {ns}: apply what `gatehost rbac DIR...` prints for \
             the directories of its checks"
        );
        for pod in t.wait_for_pods("app in (web,second)", 2, "answered", |pod| condition(pod, GATE).is_some()).await? {
            let said = condition(&pod, GATE).context("none")?;
            ensure!(said.status == "Unknown" && said.message.as_deref().is_some_and(|m| m.contains(&line)), "{said:?}");
        }
        let host = t.host.as_ref().context("no host")?;
        throughout(Duration::from_secs(3), "the log says it once", async || {
            let log = std::fs::read_to_string(host.log())?;
            let warned = log.lines().filter(|l| l.contains(&format!("objects: {line}"))).count();
            Ok(Seen::when(warned == 1, || log.clone()))
        })
        .await?;
        ensure!(host.get("/livez").await?.0 == 200 && host.get("/readyz").await?.0 == 200);
        grant(t, &[])?;
        wait_for(t, "True", ROLLOUT).await?;
        t.wait_for_status("app=second", 1, GATE, "True").await?;
        Ok(())
    });
}

async fn may(t: &Trial, account: &str, verb: &str, resource: &str, name: &str, namespace: &str) -> Result<bool> {
    let (group, resource) = resource.split_once('/').unwrap_or(("", resource));
    let review: SubjectAccessReview = from_value(json!({ "spec": {
        "user": format!("system:serviceaccount:{namespace}:{account}", namespace = t.namespace),
        "resourceAttributes": { "verb": verb, "group": group, "resource": resource, "name": name, "namespace": namespace },
    }, "metadata": {} }))?;
    let answer = Api::all(t.client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.context("no answer")?.allowed)
}

#[test]
fn the_printed_rights_are_those_that_are_needed_and_no_others() {
    run(async |t: &mut Trial| {
        let ns = t.namespace.clone();
        let entries = json!([
            { "apiVersion": "v1", "kind": "ConfigMap", "namespaces": [ns], "names": [FLAG] },
            { "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "namespaces": [ns] },
            { "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass" },
            { "apiVersion": "v1", "kind": "Pod" },
        ]);
        t.file("flag.yaml", check("flag", GATE, &json!({}), &entries));
        let args = ["--service-account", &format!("{ns}/reader"), "--name", &ns];
        let printed = grant(t, &args)?;
        ensure!(!printed.contains('#') && !printed.contains("pods"), "{printed}");
        let ask = async |verb: &str, resource: &str, name: &str, namespace: &str| {
            may(t, "reader", verb, resource, name, namespace).await
        };
        for verb in ["get", "list", "watch"] {
            ensure!(ask(verb, "configmaps", FLAG, &ns).await?, "{verb}");
            ensure!(ask(verb, "discovery.k8s.io/endpointslices", "", &ns).await?, "{verb}");
            ensure!(ask(verb, "storage.k8s.io/storageclasses", "", "").await?, "{verb}");
            ensure!(!ask(verb, "configmaps", "other", &ns).await?, "{verb}");
            ensure!(!ask(verb, "configmaps", "", &ns).await?, "{verb}");
            ensure!(!ask(verb, "configmaps", FLAG, "default").await?, "{verb}");
            ensure!(!ask(verb, "discovery.k8s.io/endpointslices", "", "default").await?, "{verb}");
            for resource in ["secrets", "pods", "services", "endpointslices", "apps/deployments"] {
                ensure!(!ask(verb, resource, "", &ns).await?, "{verb} {resource}");
            }
        }
        for verb in ["create", "update", "patch", "delete", "deletecollection"] {
            ensure!(!ask(verb, "configmaps", FLAG, &ns).await?, "{verb}");
        }
        // In another form it is the same.
        let json = rbac(t, &[&args[..], &["-o", "json"]].concat())?;
        let list: serde_json::Value = serde_json::from_str(&json)?;
        ensure!(list["items"].as_array().is_some_and(|items| items.len() == 4), "{json}");
        t.plane.kubectl(&["delete", "clusterrole,clusterrolebinding", &ns])?;
        Ok(())
    });
}

#[test]
fn they_are_enough_for_kinds_that_are_in_no_namespace_and_for_lists() {
    run(async |t: &mut Trial| {
        let ns = t.namespace.clone();
        prepare(t).await?;
        let entries = json!([
            { "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "names": ["system-node-critical"],
              "fields": ["/value"] },
            { "apiVersion": "v1", "kind": "ServiceAccount", "namespaces": [ns], "fields": ["/metadata/name"] },
        ]);
        let config = json!({ "reads": [{ "one": ["scheduling.k8s.io/v1", "PriorityClass", "", "system-node-critical"] },
                                       { "all": ["v1", "ServiceAccount", ns, ""] }] });
        t.file("both.yaml", check("both", GATE, &config, &entries));
        grant(t, &["--name", &ns])?;
        t.start_host(&[]).await?;
        let message = wait_for(t, "True", SOON).await;
        t.plane.kubectl(&["delete", "clusterrole,clusterrolebinding", &ns])?;
        let message = message?;
        ensure!(message == r#"[{"value":2000001000},[{"metadata":{"name":"default"}}]]"#, "{message}");
        Ok(())
    });
}

#[test]
fn without_a_cluster_names_are_guessed_and_a_broken_document_ends_it_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = Command::new(gatehost_binary().unwrap()).arg("rbac").args(args).arg(dir.path()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    assert_eq!(run(&["--offline"]).0, Some(0));
    let entries = json!([{ "apiVersion": "example.com/v1", "kind": "Policy", "names": ["a"] }]);
    std::fs::write(dir.path().join("a.yaml"), check("a", GATE, &json!({}), &entries)).unwrap();
    let (code, out, _) = run(&["--offline"]);
    assert_eq!(code, Some(0));
    assert!(out.starts_with("# policies, for Policy of example.com/v1, is a guess: no cluster was asked\n"), "{out}");
    assert!(out.contains("    resources: [policies]\n") && out.contains("resourceNames: [a]"), "{out}");
    let secret = json!([{ "apiVersion": "v1", "kind": "Secret" }]);
    std::fs::write(dir.path().join("b.yaml"), check("b", GATE, &json!({}), &secret)).unwrap();
    let (code, out, error) = run(&["--offline"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(error.contains("b.yaml: line 1: ") && error.contains("a Secret is never shown"), "{error}");
}
