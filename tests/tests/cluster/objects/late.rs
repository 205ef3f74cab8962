//! Kinds that are installed while the host runs.

use anyhow::{Result, ensure};
use gatehost_tests::{
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
        ensure!(message.contains(&format!("knows no kind Widget in {api_version}")), "{message}");
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
