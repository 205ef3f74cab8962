//! Many gated pods that cost no node anything: they wait for a scheduling gate that nobody takes away, so a check
//! answers them if it does not wait for containers.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{ResourceExt as _, api::ListParams};
use serde_json::json;

use crate::{
    objects::{approval_with, gated_pod, status_of},
    trial::Trial,
    wait::{Seen, until},
};

/// Requests of the harness at once.
const AT_ONCE: usize = 32;

/// A check for them, as a document: its gate is [`APPROVED`](crate::objects::APPROVED), which turns at the first answer,
/// as often and for as many pods as it may be.
pub fn check() -> String {
    let fields = json!({ "startWhen": "always", "maxUnready": "100%", "maxFlapsPerMinute": 6000 });
    approval_with("annotation.wasm", "yes", fields)
}

/// Creates the pods `NAME-0`, `NAME-1`, ... with one gate and the label `crowd: NAME`; their names.
pub async fn gather(t: &Trial, name: &str, count: usize, gate: &str) -> Result<Vec<String>> {
    let names: Vec<_> = (0..count).map(|n| format!("{name}-{n}")).collect();
    let creating = names.iter().map(async |pod| {
        let mut object = gated_pod(pod, &[gate]);
        object["metadata"]["labels"] = json!({ "crowd": name });
        object["spec"]["schedulingGates"] = json!([{ "name": "example.com/never" }]);
        t.create(&object).await
    });
    stream::iter(creating).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(names)
}

/// Gives each of these pods the annotation.
pub async fn annotate(t: &Trial, pods: &[String], key: &str, value: &str) -> Result<()> {
    let annotating = pods.iter().map(async |pod| t.annotate(pod, key, Some(value)).await);
    stream::iter(annotating).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
    Ok(())
}

/// The status of the gate of each pod of the crowd, `-` where there is none.
pub async fn statuses(t: &Trial, name: &str, gate: &str) -> Result<BTreeMap<String, String>> {
    let pods = t.pods().list(&ListParams::default().labels(&format!("crowd={name}"))).await?;
    Ok(pods.items.iter().map(|pod| (pod.name_any(), status_of(pod, gate).to_owned())).collect())
}

/// Waits until the crowd is these pods with these statuses, for at most `bound`.
pub async fn wait_for(
    t: &Trial,
    name: &str,
    gate: &str,
    wanted: &BTreeMap<String, String>,
    bound: Duration,
) -> Result<()> {
    until(bound, &format!("{} pods of {name} are as they should be", wanted.len()), async || {
        let seen = statuses(t, name, gate).await?;
        let wrong = wanted.iter().find(|(pod, status)| seen.get(*pod) != Some(*status));
        Ok(Seen::when(wrong.is_none() && seen.len() == wanted.len(), || {
            format!("{} pods, should be {wrong:?}, is {:?}", seen.len(), wrong.and_then(|(pod, _)| seen.get(pod)))
        }))
    })
    .await
}

/// Each of these pods with this status, for [`wait_for`].
pub fn all(pods: &[String], status: &str) -> BTreeMap<String, String> {
    pods.iter().map(|pod| (pod.clone(), status.to_owned())).collect()
}
