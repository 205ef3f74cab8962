//! The peers: what somebody would write who needs this one verdict and no host. Each is a process of its own.

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use gatehost_tests::objects::status_of;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
    runtime::{Controller, WatchStreamExt as _, controller::Action, watcher},
};
use serde_json::json;

use crate::load::{ANNOTATION, GATE};

/// The first argument of such a process.
pub(crate) const CHILD: &str = "peer";

/// Patches in flight.
const IN_FLIGHT: usize = 64;

/// Runs one until it is killed: `KIND NAMESPACE`, with the cluster that KUBECONFIG names.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [kind, namespace] = arguments else { bail!("give a kind and a namespace") };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let pods: Api<Pod> = Api::namespaced(Client::try_default().await?, namespace);
        match kind.as_str() {
            "watcher" => follow(pods).await,
            "controller" => control(pods).await,
            "ceiling" => patch_all(pods).await,
            _ => bail!("no peer is called {kind:?}"),
        }
    })
}

/// A bare watcher loop.
async fn follow(pods: Api<Pod>) -> Result<()> {
    let changes = watcher(pods.clone(), watcher::Config::default()).default_backoff().applied_objects();
    let wanting = changes.try_filter(|pod| future::ready(is_wanting(pod)));
    let patches = wanting.map(|pod| async {
        let pod = pod?;
        set(&pods, &pod).await?;
        anyhow::Ok(())
    });
    let mut done = pin!(patches.buffer_unordered(IN_FLIGHT));
    while let Some(done) = done.next().await {
        // A peer that loses a write would be waited for in vain.
        done?;
    }
    bail!("the watch ended")
}

/// A Controller as its documentation shows one.
async fn control(pods: Api<Pod>) -> Result<()> {
    let reconcile = |pod: Arc<Pod>, pods: Arc<Api<Pod>>| async move {
        if is_wanting(&pod) {
            set(&pods, &pod).await?;
        }
        Ok(Action::await_change())
    };
    let retry = |_: Arc<Pod>, _: &kube::Error, _: Arc<Api<Pod>>| Action::requeue(Duration::from_secs(1));
    let controller = Controller::new(pods.clone(), watcher::Config::default());
    controller.run(reconcile, retry, Arc::new(pods)).for_each(|_| future::ready(())).await;
    bail!("the controller ended")
}

/// Patches every pod once, whatever it says: all that the API server can take.
async fn patch_all(pods: Api<Pod>) -> Result<()> {
    let all = pods.list(&ListParams::default()).await?.items;
    let patches = stream::iter(&all).map(|pod| set(&pods, pod)).buffer_unordered(IN_FLIGHT);
    patches.try_for_each(|_| future::ready(Ok(()))).await.context("a patch failed")?;
    future::pending().await
}

fn wanted(pod: &Pod) -> &'static str {
    if pod.annotations().contains_key(ANNOTATION) { "True" } else { "False" }
}

fn is_wanting(pod: &Pod) -> bool {
    status_of(pod, GATE) != wanted(pod)
}

async fn set(pods: &Api<Pod>, pod: &Pod) -> kube::Result<Pod> {
    let (reason, message) = match pod.annotations().get(ANNOTATION) {
        Some(value) => ("AnnotationPresent", format!("{ANNOTATION} is \"{value}\"")),
        None => ("AnnotationMissing", format!("the pod has no annotation {ANNOTATION}")),
    };
    let patch = json!({
        "metadata": { "uid": pod.uid() },
        "status": { "conditions": [{
            "type": GATE, "status": wanted(pod), "reason": reason, "message": message,
            "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "observedGeneration": pod.metadata.generation,
        }] },
    });
    pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(patch)).await
}
