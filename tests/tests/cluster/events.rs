//! What people see of the host in `kubectl describe pod`, and with which rights it works.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    host::Host,
    objects::{APPROVED, approval, gated_pod, uid},
    trial::{Trial, path, run},
    wait::{SOON, Seen, until},
    workspace,
};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use serde_json::json;

/// The host's Events on the pod with this uid, by reason.
async fn events(t: &Trial, uid: &str) -> Result<Vec<Event>> {
    let all = t.api::<Event>().list(&ListParams::default()).await?.items;
    let ours = |event: &Event| {
        event.reporting_controller.as_deref() == Some("gatehost.dev/gatehost")
            && event.regarding.as_ref().and_then(|pod| pod.uid.as_deref()) == Some(uid)
    };
    Ok(all.into_iter().filter(ours).collect())
}

async fn wait_for_event(t: &Trial, uid: &str, reason: &str) -> Result<Event> {
    until(SOON, &format!("an Event {reason}"), async || {
        let events = events(t, uid).await?;
        let reasons: Vec<_> = events.iter().filter_map(|event| event.reason.clone()).collect();
        let found = events.into_iter().find(|event| event.reason.as_deref() == Some(reason));
        Ok(found.map_or_else(|| Seen::NotYet(format!("{reasons:?}")), Seen::Yes))
    })
    .await
}

/// A host of a service account of its own, with these arguments.
async fn start_as(t: &Trial, account: &str, args: &[&str]) -> Result<(Host, PathBuf)> {
    let dir = t.scratch(account);
    let kubeconfig = dir.join("kubeconfig");
    t.plane.write_kubeconfig_for(&t.namespace, account, &kubeconfig).await?;
    let log = dir.join("gatehost.log");
    let fixed = [path(&t.files)?, "--kubeconfig", path(&kubeconfig)?];
    let mut host = Host::start(&[&fixed[..], args].concat(), &[], &log)?;
    host.wait_until_ready().await?;
    Ok((host, log))
}

/// An account of this namespace.
async fn account(t: &Trial, name: &str) -> Result<()> {
    t.create(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name } })).await
}

fn forbidden(log: &Path) -> Result<usize> {
    Ok(std::fs::read_to_string(log)?
        .lines()
        .filter(|line| line.contains("events.k8s.io/events: create is forbidden"))
        .count())
}

#[test]
fn transitions_are_events_on_the_pod_that_name_the_gate_and_the_check() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.start_host(&[]).await?;
        let uid = uid(&t.pods().get("web").await?)?;
        wait_for_event(t, &uid, "GateFalse").await?;
        t.annotate("web", APPROVED, Some("yes")).await?;
        let event = wait_for_event(t, &uid, "GateTrue").await?;
        let note = event.note.clone().context("no note")?;
        assert!(note.starts_with(&format!("{APPROVED} (check approved): ")), "{note}");
        assert_eq!(event.type_.as_deref(), Some("Normal"));
        let shown = t.kubectl(&["describe", "pod", "web"])?;
        assert!(shown.contains("GateTrue") && shown.contains(&note), "{shown}");
        let metrics = t.host.as_ref().context("no host")?.metrics().await?;
        assert!(metrics.sum("gatehost_gate_events_total", &[("reason", "GateTrue")]) >= 1.0, "{metrics:?}");
        assert!(metrics.sum("gatehost_events_dropped_total", &[]) < 1.0, "{metrics:?}");
        Ok(())
    });
}

#[test]
fn with_namespace_the_roles_of_role_yaml_are_all_it_needs() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        account(t, "alone").await?;
        // The same document, for this account.
        let role = std::fs::read_to_string(workspace().join("host/deploy/role.yaml"))?;
        let subject = "    name: gatehost\n    namespace: gatehost";
        assert!(role.contains(subject));
        let file = t.scratch("role").join("role.yaml");
        std::fs::write(&file, role.replace(subject, &format!("    name: alone\n    namespace: {}", t.namespace)))?;
        t.kubectl(&["apply", "-f", path(&file)?])?;
        t.create(&gated_pod("web", &[APPROVED])).await?;
        let namespace = t.namespace.clone();
        let (_host, log) = start_as(t, "alone", &["--namespace", &namespace]).await?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;
        let uid = uid(&t.pods().get("web").await?)?;
        wait_for_event(t, &uid, "GateFalse").await?;
        let log = std::fs::read_to_string(log)?;
        assert!(!log.contains("forbidden"), "{log}");
        Ok(())
    });
}

#[test]
fn without_the_right_to_write_events_it_says_so_once_and_decides_all_the_same() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        account(t, "mute").await?;
        t.kubectl(&["create", "role", "mute", "--verb=get,list,watch", "--resource=pods"])?;
        t.kubectl(&["create", "role", "mute-writes", "--verb=patch", "--resource=pods/status"])?;
        let subject = format!("--serviceaccount={}:mute", t.namespace);
        for role in ["mute", "mute-writes"] {
            t.kubectl(&["create", "rolebinding", role, &format!("--role={role}"), &subject])?;
        }
        t.create(&gated_pod("web", &[APPROVED])).await?;
        let namespace = t.namespace.clone();
        let (host, log) = start_as(t, "mute", &["--namespace", &namespace]).await?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;
        t.annotate("web", APPROVED, Some("yes")).await?;
        t.wait_for_status("app=web", 1, APPROVED, "True").await?;
        until(SOON, "both Events are counted as refused", async || {
            let refused = host.metrics().await?.sum("gatehost_events_dropped_total", &[("reason", "refused")]);
            Ok(Seen::when(refused >= 2.0, || refused.to_string()))
        })
        .await?;
        assert_eq!(forbidden(&log)?, 1, "{}", std::fs::read_to_string(&log)?);
        Ok(())
    });
}
