//! Who may use what: a check that selects by its pods' namespace, and gates of a claimed domain that nobody answers.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    host::Host,
    objects::{APPROVED, approval_with, condition, gated_pod, status_of},
    trial::{Trial, path, run},
    wait::{SOON, Seen, throughout, until},
};
use serde_json::json;

/// A host that works the whole cluster, but only pods with this label.
async fn start(t: &mut Trial, app: &str, domain: &str) -> Result<()> {
    let kubeconfig = t.deployed_kubeconfig().await?;
    let log = t.scratch("log").join("gatehost.log");
    let selector = format!("app={app}");
    let args = [path(&t.files)?, "--kubeconfig", path(&kubeconfig)?, "--pod-selector", &selector, "--claim", domain];
    t.host.insert(Host::start(&args, &[], &log)?).wait_until_ready().await
}

#[test]
fn a_check_selects_by_the_labels_of_namespaces_and_follows_them_and_a_claimed_gate_says_that_nobody_answers() {
    run(async |t: &mut Trial| {
        let (app, namespace) = (t.namespace.clone(), t.namespace.clone());
        let domain = format!("{namespace}.example.net");
        let claimed = format!("{domain}/warm");
        t.plugin("annotation.wasm", "annotation.wasm")?;
        let select = json!({ "select": { "namespaceLabels": "tier in (gold, silver)" } });
        t.file("approved.yaml", approval_with("annotation.wasm", "yes", select));
        start(t, &app, &domain).await?;
        let pods = format!("app={app}");
        t.create(&gated_pod(&app, &[APPROVED, &claimed])).await?;
        let pod = t.wait_for_status(&pods, 1, &claimed, "Unknown").await?.remove(0);
        assert_eq!(condition(&pod, &claimed).context("none")?.reason.as_deref(), Some("NoCheck"));
        t.wait_for_containers(&pods, 1).await?;
        throughout(Duration::from_secs(2), "a pod outside the selection is not answered", async || {
            let pod = t.pods().get(&app).await?;
            Ok(Seen::when(condition(&pod, APPROVED).is_none(), || format!("{:?}", pod.status)))
        })
        .await?;

        t.kubectl(&["label", "namespace", &namespace, "tier=gold"])?;
        t.wait_for_status(&pods, 1, APPROVED, "False").await?;
        t.kubectl(&["label", "namespace", &namespace, "tier-"])?;
        let log = t.host.as_ref().context("no host")?.log().clone();
        until(SOON, "people hear that it is not selected", async || {
            let log = std::fs::read_to_string(&log)?;
            Ok(Seen::when(log.contains("but not on this pod: see its spec.select"), || log.clone()))
        })
        .await?;
        t.annotate(&app, APPROVED, Some("yes")).await?;
        throughout(Duration::from_secs(2), "what was written stays", async || {
            let pod = t.pods().get(&app).await?;
            Ok(Seen::when(status_of(&pod, APPROVED) == "False", || format!("{:?}", pod.status)))
        })
        .await?;
        t.kubectl(&["label", "namespace", &namespace, "tier=silver"])?;
        t.wait_for_status(&pods, 1, APPROVED, "True").await?;

        // A check for the claimed gate takes over from the word that there is none.
        let own = json!({
            "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": "own" },
            "spec": { "gate": claimed, "plugin": "annotation.wasm", "config": { "annotation": APPROVED } },
        });
        t.file("own.yaml", own.to_string());
        t.wait_for_status(&pods, 1, &claimed, "True").await?;
        t.wait_for_ready(&pods, 1, "True").await?;
        Ok(())
    });
}
