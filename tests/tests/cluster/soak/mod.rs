//! Faults that are about time, numbers and the host's own life. `make test` runs each in 30 s; `make soak` runs them as
//! long and as large as the table of faults names.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use gatehost_tests::{
    controlplane::DEPLOYED_AS,
    host::Host,
    objects::{APPROVED, condition, gated_spec},
    proxy::Proxy,
    trial::{Trial, path},
    wait::{Seen, until},
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

mod budget;
mod churn;
mod clock;
mod hostile;
mod killed;
mod many;
mod rotated;
mod two;

/// Requests in flight while pods are made.
const IN_FLIGHT: usize = 32;

/// A check of [`APPROVED`] by the annotation of that name, asked each `period` seconds, of pods that nobody runs, and
/// without anything that holds an answer back; fields of `more` win.
fn check(word: &str, period: u64, more: &Value) -> String {
    let mut spec = json!({
        "gate": APPROVED, "plugin": "annotation.wasm", "config": { "annotation": APPROVED, "equals": word },
        "periodSeconds": period, "startWhen": "always", "failureThreshold": 1, "maxUnready": "100%",
        "maxFlapsPerMinute": 6000,
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": "approved" }, "spec": spec,
    })
    .to_string()
}

/// A gated pod that nobody schedules: it costs the API server an object and nobody anything else.
fn idle_pod(name: &str, gates: &[&str], word: &str) -> Value {
    let mut spec = gated_spec(gates);
    spec["schedulerName"] = json!("nobody");
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": "idle" }, "annotations": { APPROVED: word } },
        "spec": spec,
    })
}

/// The name of an idle pod.
fn name(n: usize) -> String {
    format!("idle-{n:05}")
}

/// Makes the idle pods of these numbers.
async fn make_idle(t: &Trial, numbers: Range<usize>, word: &str) -> Result<()> {
    let pods = t.pods();
    each(numbers, async |n| {
        let pod = serde_json::from_value(idle_pod(&name(n), &[APPROVED], word))?;
        pods.create(&PostParams::default(), &pod).await?;
        Ok(())
    })
    .await
}

/// Does it for each number, some at a time, until one fails.
async fn each(numbers: Range<usize>, act: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    let act = &act;
    let done = stream::iter(numbers).map(|n| async move { act(n).await }).buffer_unordered(IN_FLIGHT);
    done.try_for_each(|()| future::ready(Ok(()))).await
}

/// A kubeconfig of the host's own account, through the proxy.
async fn kubeconfig_through(t: &Trial, proxy: &Proxy) -> Result<PathBuf> {
    let kubeconfig = t.scratch("through").join(format!("{}.kubeconfig", fastrand::u64(..)));
    t.plane.write_kubeconfig_for(DEPLOYED_AS.0, DEPLOYED_AS.1, &kubeconfig).await?;
    proxy.redirect(&kubeconfig)?;
    Ok(kubeconfig)
}

/// Starts a host besides [`Trial::host`], and does not wait for it; `label` names its log.
fn spawn(t: &Trial, kubeconfig: &Path, env: &[(&str, &str)], label: &str) -> Result<Host> {
    let log = t.scratch(label).join("gatehost.log");
    let args = [path(&t.files)?, "--kubeconfig", path(kubeconfig)?, "--namespace", &t.namespace];
    Host::start(&args, env, &log)
}

/// The same, and waits until it is ready.
async fn another_host(t: &Trial, kubeconfig: &Path, env: &[(&str, &str)], label: &str) -> Result<Host> {
    let mut host = spawn(t, kubeconfig, env, label)?;
    host.wait_until_ready().await?;
    Ok(host)
}

/// A counter of the host.
async fn sum(host: &Host, metric: &str) -> Result<f64> {
    Ok(host.metrics().await?.sum(metric, &[]))
}

/// Waits until the host has asked its plugins so many times more.
async fn wait_until_asked(host: &Host, times: usize, bound: Duration) -> Result<()> {
    #[allow(clippy::cast_precision_loss, reason = "some thousands")]
    let enough = sum(host, "gatehost_evaluations_total").await? + times as f64;
    until(bound, &format!("the plugins were asked {times} times more"), async || {
        let now = sum(host, "gatehost_evaluations_total").await?;
        Ok(Seen::when(now >= enough, || format!("{now} of {enough}")))
    })
    .await
}

/// Gives the idle pods of these numbers this word.
async fn say(t: &Trial, numbers: Range<usize>, word: &str) -> Result<()> {
    each(numbers, async |n| t.annotate(&name(n), APPROVED, Some(word)).await).await
}

/// Waits until every pod's gate is True where its annotation is `word`, and False elsewhere; the pods.
async fn wait_until_right(t: &Trial, word: &str, bound: Duration) -> Result<Vec<Pod>> {
    let pods = t.pods();
    until(bound, "every condition is right", async || {
        let pods = pods.list(&ListParams::default()).await?.items;
        let wrong: Vec<_> = pods.iter().filter(|pod| !is_right(pod, word)).collect();
        let Some(first) = wrong.first() else { return Ok(Seen::Yes(pods)) };
        let instead = format!("{} of {} are wrong, such as {:?}", wrong.len(), pods.len(), condition(first, APPROVED));
        Ok(Seen::NotYet(instead))
    })
    .await
}

fn is_right(pod: &Pod, word: &str) -> bool {
    let wanted = if annotation(pod) == Some(word) { "True" } else { "False" };
    condition(pod, APPROVED).is_some_and(|c| c.status == wanted)
}

fn annotation(pod: &Pod) -> Option<&str> {
    pod.metadata.annotations.as_ref()?.get(APPROVED).map(String::as_str)
}

/// What chance is made of: `FAULT_SEED`, else a new one; printed, so that a failure can be had again.
#[allow(clippy::print_stderr, reason = "for the one who reads a failure")]
fn seed() -> Result<u64> {
    let seed = std::env::var("FAULT_SEED").map_or_else(|_| Ok(fastrand::u64(..)), |given| given.parse())?;
    eprintln!("FAULT_SEED={seed}");
    Ok(seed)
}

/// Resident memory in MiB and open descriptors of a process.
fn usage(id: u32) -> Result<(u64, usize)> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok((kib / 1024, std::fs::read_dir(format!("/proc/{id}/fd"))?.count()))
}
