//! How a host begins and ends: without a check, without rights, and in the middle of its work.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    host::Host,
    objects::{APPROVED, approval, condition, gated_pod, gated_workload, status_of},
    trial::{ROLLOUT, Trial, path, run},
    wait::{SOON, Seen, until},
};
use kube::ResourceExt as _;
use serde_json::{Value, json};

/// Waits for a line of the host's log with all of `parts` in its message or fields.
async fn wait_for_log(t: &mut Trial, parts: &[&str]) -> Result<()> {
    let host = t.host.as_mut().context("no host")?;
    until(SOON, &format!("the log tells of {parts:?}"), async || {
        host.check()?;
        let lines = host.log_lines()?;
        let told = lines.iter().map(Value::to_string).any(|line| parts.iter().all(|part| line.contains(part)));
        Ok(Seen::when(told, || lines.last().map(Value::to_string).unwrap_or_default()))
    })
    .await
}

/// Starts the host with these credentials, and waits only until it lives.
async fn start_as(t: &mut Trial, user: &Value) -> Result<()> {
    let kubeconfig = t.scratch("as").join("kubeconfig");
    t.plane.write_kubeconfig(user, &kubeconfig)?;
    start_with(t, &kubeconfig).await
}

async fn start_with(t: &mut Trial, kubeconfig: &std::path::Path) -> Result<()> {
    let log = t.scratch("log").join("gatehost.log");
    let args = [path(&t.files)?, "--kubeconfig", path(kubeconfig)?, "--namespace", &t.namespace];
    let host = t.host.insert(Host::start(&args, &[], &log)?);
    until(SOON, "it lives", async || {
        host.check()?;
        Ok(Seen::when(matches!(host.get("/livez").await, Ok((200, _))), || "no answer".to_owned()))
    })
    .await
}

#[test]
fn a_host_without_a_check_is_ready_and_picks_up_the_first_one() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.start_host(&[]).await?;
        wait_for_log(t, &["WARN", "no usable check"]).await?;
        assert_eq!(status_of(&t.pods().get("web").await?, APPROVED), "-");
        // The check comes first, and is not usable before its plugin is there.
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        wait_for_log(t, &["approved.yaml", "annotation.wasm is missing"]).await?;
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;
        Ok(())
    });
}

#[test]
fn credentials_that_the_server_does_not_take_are_told_with_the_mend() {
    run(async |t: &mut Trial| {
        start_as(t, &json!({ "token": "wrong" })).await?;
        wait_for_log(t, &["pods: list: ", "does not accept the credentials (401", "renew the token"]).await?;
        let (status, body) = t.host.as_ref().context("no host")?.get("/readyz").await?;
        assert_eq!(status, 503, "{body}");
        Ok(())
    });
}

#[test]
fn each_missing_right_is_named_and_the_host_goes_on_when_it_is_granted() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.create(&gated_pod("web", &[APPROVED])).await?;
        let kubeconfig = t.scratch("weak").join("kubeconfig");
        t.plane.write_kubeconfig_for(&t.namespace, "default", &kubeconfig).await?;
        start_with(t, &kubeconfig).await?;
        wait_for_log(t, &["pods: list is forbidden: ", "grant get, list, watch on pods"]).await?;

        t.kubectl(&["create", "role", "reads", "--verb=get,list,watch", "--resource=pods"])?;
        let account = format!("--serviceaccount={}:default", t.namespace);
        t.kubectl(&["create", "rolebinding", "reads", "--role=reads", &account])?;
        wait_for_log(t, &["pods/status: patch is forbidden: ", "grant patch on pods/status"]).await?;
        assert_eq!(status_of(&t.pods().get("web").await?, APPROVED), "-");

        t.kubectl(&["create", "role", "writes", "--verb=patch", "--resource=pods/status"])?;
        t.kubectl(&["create", "rolebinding", "writes", "--role=writes", &account])?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;
        Ok(())
    });
}

#[test]
fn a_host_that_is_ended_in_the_middle_leaves_nothing_half_written_and_the_next_one_goes_on() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.create(&gated_workload("Deployment", "web", 100, &[APPROVED])).await?;
        // Nothing but the verdict is written: nobody has to wait for containers.
        t.wait_for_containers("app=web", 100).await?;
        t.start_host(&[]).await?;
        let host = t.host.as_mut().context("no host")?;
        until(ROLLOUT, "it has begun to write", async || {
            let written = host.metrics().await?.sum("gatehost_patches_total", &[("result", "written")]);
            Ok(Seen::when(written > 0.0, || "nothing written".to_owned()))
        })
        .await?;
        let status = host.terminate(Duration::from_secs(5))?;
        assert!(status.success(), "{status}");

        let before = t.wait_for_pods("app=web", 100, "there", |_| true).await?;
        let written: Vec<_> =
            before.iter().filter_map(|pod| Some((pod.name_any(), condition(pod, APPROVED)?))).collect();
        assert!(!written.is_empty());
        for (name, condition) in &written {
            assert!(condition.last_transition_time.is_some(), "{name}: {condition:?}");
            assert_eq!((condition.status.as_str(), condition.reason.is_some()), ("False", true), "{name}");
        }
        t.start_host(&[]).await?;
        t.wait_for_status("app=web", 100, APPROVED, "False").await?;
        for (name, condition_before) in written {
            let pod = t.pods().get(&name).await?;
            assert_eq!(condition(&pod, APPROVED), Some(condition_before), "{name} was written again");
        }
        Ok(())
    });
}
