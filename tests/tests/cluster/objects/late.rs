//! Kinds that are installed while the host runs.

use anyhow::{Result, ensure};
use gatehost_tests::{
    objects::{condition, gated_pod},
    trial::{ROLLOUT, Trial, path, run},
    wait::{SOON, Seen, until},
};
use serde_json::json;

use super::{GATE, check, grant, prepare, wait_for};

#[test]
fn a_kind_that_is_installed_later_is_found() {
    run(async |t: &mut Trial| {
        let ns = t.namespace.clone();
        let group = format!("{ns}.example.com");
        let api_version = format!("{group}/v1");
        prepare(t).await?;
        let entry = json!([{ "apiVersion": api_version, "kind": "Widget", "namespaces": [ns], "fields": ["/spec"] }]);
        let config =
            json!({ "reads": [{ "one": [api_version, "Widget", ns, "one"] }], "want": ["/0/spec/ready", true] });
        t.file("widget.yaml", check("widget", GATE, &config, &entry));
        grant(t, &["--offline"])?;
        t.start_host(&[]).await?;
        let message = wait_for(t, "Unknown", SOON).await?;
        ensure!(message.contains(&format!("serves no kind Widget in {api_version}")), "{message}");
        let schema = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("widgets.{group}") },
            "spec": { "group": group, "scope": "Namespaced",
                      "names": { "plural": "widgets", "singular": "widget", "kind": "Widget" },
                      "versions": [{ "name": "v1", "served": true, "storage": true,
                                     "schema": { "openAPIV3Schema": schema } }] },
        });
        let result = install(t, &definition, &api_version).await;
        t.plane.kubectl(&["delete", "crd", &format!("widgets.{group}"), "--wait=false"])?;
        result
    });
}

#[test]
fn a_kind_that_the_cluster_does_not_serve_is_told_and_never_taken_for_an_object_that_is_not_there() {
    run(async |t: &mut Trial| {
        let ns = t.namespace.clone();
        t.plugin("object.wasm", "object.wasm")?;
        let wrong = [
            (
                "kind",
                "apps/v1",
                "Deployments",
                "serves no kind Deployments in apps/v1 that",
                "did you mean Deployment?",
            ),
            ("version", "apps/v1beta1", "Deployment", "serves no kind Deployment in apps/v1beta1 that", "installed?"),
            ("group", "example.invalid/v1", "Widget", "serves no kind Widget in example.invalid/v1 that", "installed?"),
        ];
        let gate = |name: &str| format!("example.com/{name}");
        for (name, version, kind, ..) in wrong {
            let entry = json!([{ "apiVersion": version, "kind": kind, "namespaces": [ns] }]);
            let config =
                json!({ "apiVersion": version, "kind": kind, "name": "db", "condition": { "type": "Available" } });
            let file = check(name, &gate(name), &config, &entry).replace("objects.wasm", "object.wasm");
            t.file(&format!("{name}.yaml"), file);
        }
        let gates = wrong.map(|(name, ..)| gate(name));
        t.create(&gated_pod("web", &gates.each_ref().map(String::as_str))).await?;
        grant(t, &["--offline"])?;
        t.start_host(&[]).await?;
        for (name, _, _, what, mend) in wrong {
            let message = until(SOON, &format!("{name} is told"), async || {
                let pod = t.pods().get("web").await?;
                let found = condition(&pod, &gate(name));
                Ok(match found.filter(|c| c.status == "Unknown").and_then(|c| c.message.clone()) {
                    Some(message) if message.contains("serves no kind") => Seen::Yes(message),
                    _ => Seen::NotYet(format!("{found:?}")),
                })
            })
            .await?;
            ensure!(message.contains(what) && message.contains("`kubectl api-resources`"), "{message}");
            ensure!(message.contains(mend) && !message.contains("there is no"), "{message}");
        }
        Ok(())
    });
}

async fn install(t: &Trial, definition: &serde_json::Value, api_version: &str) -> Result<()> {
    let dir = t.scratch("crd");
    let apply = |name: &str, document: &serde_json::Value| -> Result<String> {
        let file = dir.join(name);
        std::fs::write(&file, document.to_string())?;
        t.kubectl(&["apply", "-f", path(&file)?])
    };
    apply("crd.json", definition)?;
    let deep = format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120));
    let widget = json!({
        "apiVersion": api_version, "kind": "Widget", "metadata": { "name": "one" },
        "spec": { "ready": true, "template": { "spec": { "containers": [{ "name": "c", "env": [{ "value": "CANARY" }] }] } },
                  "deep": serde_json::from_str::<serde_json::Value>(&deep)? },
    });
    until(SOON, "the kind is served", async || {
        Ok(match apply("one.json", &widget) {
            Ok(_) => Seen::Yes(()),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })
    .await?;
    let message = wait_for(t, "True", ROLLOUT).await?;
    ensure!(message.contains("containers") && !message.contains("CANARY"), "{message}");
    Ok(())
}
