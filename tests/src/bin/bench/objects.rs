//! A `ConfigMap` that changes to the condition that follows, of gates whose check reads it; next to a watch that does
//! nothing but see the change.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use gatehost_tests::{host::Host, target};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;
use tokio::{sync::watch, task::JoinSet, time::sleep};

use crate::{
    Size,
    bed::{BOUND, Bed, Beds},
    eye::Eye,
    load::GATE,
    report::Report,
};

/// How many gates read the object of each namespace. The namespaces have their turns: a gate is asked at once for five
/// changes in a row, and then once a second.
const GATES: [usize; 11] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 100];

/// Between two changes, so that each finds an idle machine, and the same object does not change within a second.
const SPACING: Duration = Duration::from_millis(100);

const FLAG: &str = "flag";

/// A namespace: its gates, and the object that they read.
struct Place {
    gates: usize,
    flags: Api<ConfigMap>,
    on: bool,
    bare: Bare,
    eye: Eye,
}

/// The watch that does nothing else: what state it saw, and when.
struct Bare {
    seen: watch::Receiver<Option<(String, Instant)>>,
    _task: JoinSet<()>,
}

pub(crate) async fn run(size: Size, beds: &Beds) -> Result<Report> {
    let bed = beds.get().await?;
    let namespaces: Vec<_> = (0..GATES.len()).map(|n| format!("objects-{n}")).collect();
    let mut places = Vec::new();
    for (namespace, gates) in namespaces.iter().zip(GATES) {
        places.push(Place::new(bed, namespace, gates).await?);
    }
    let mut host = start(bed, &namespaces)?;
    for place in &mut places {
        place.eye.all(place.gates, "False").await.with_context(|| bed.logs().display().to_string())?;
    }
    let mut report = Report::new("objects", "a ConfigMap to the last condition of the gates whose check reads it");
    for round in 0..size.pick(40, 6) {
        for place in &mut places {
            let took = place.change().await?;
            // Some before anything counts.
            if round > 0 {
                for (name, time) in names(place.gates).iter().zip(took) {
                    report.add(name, "ms", time.as_secs_f64() * 1e3);
                }
            }
        }
    }
    host.check()?;
    for gates in [1, 100] {
        let [bare, sent, ..] = names(gates);
        for share in [0.5, 0.99] {
            report.quantiles(&sent, &bare, share, None);
        }
    }
    Ok(report)
}

fn start(bed: &Bed, namespaces: &[String]) -> Result<Host> {
    let files = bed.logs().join("objects");
    std::fs::create_dir(&files)?;
    std::fs::write(files.join("flag.yaml"), check(namespaces))?;
    let plugin = target().join("plugins/object.wasm");
    std::fs::copy(&plugin, files.join("object.wasm"))
        .with_context(|| format!("{}: run `make plugins`", plugin.display()))?;
    bed.grant(&files)?;
    bed.host(&files, namespaces)
}

/// What is measured, in the order of [`Place::change`].
fn names(gates: usize) -> [String; 4] {
    let whose = if gates == 1 { "1 gate".to_owned() } else { format!("{gates} gates") };
    ["sent to change seen by a bare watch", "sent to condition seen", "acknowledged to condition seen", {
        "seen by a bare watch to condition seen"
    }]
    .map(|what| format!("{whose}: change {what}"))
}

impl Place {
    async fn new(bed: &Bed, namespace: &str, gates: usize) -> Result<Self> {
        bed.fill(namespace, 0, gates, false).await?;
        let flags: Api<ConfigMap> = Api::namespaced(bed.client.clone(), namespace);
        let flag = json!({ "metadata": { "name": FLAG }, "data": { "state": "off" } });
        flags.create(&PostParams::default(), &serde_json::from_value(flag)?).await?;
        let (bare, eye) = (Bare::open(&bed.client, namespace), Eye::open(&bed.client, namespace));
        Ok(Self { gates, flags, on: false, bare, eye })
    }

    /// From the request to the change being seen by the bare watch, and to the condition; from the answer of the API server
    /// and from the sight of the bare watch to the condition.
    async fn change(&mut self) -> Result<[Duration; 4]> {
        sleep(SPACING).await;
        self.on = !self.on;
        let (state, status) = if self.on { ("on", "True") } else { ("off", "False") };
        let sent = Instant::now();
        let patch = Patch::Merge(json!({ "data": { "state": state } }));
        self.flags.patch(FLAG, &PatchParams::default(), &patch).await?;
        let acknowledged = Instant::now();
        let seen = self.bare.until(state).await?;
        let what = format!("{} gates are {status}", self.gates);
        let last = self.eye.until(BOUND, &what, |all| all.all_since(self.gates, status)).await?;
        Ok([(sent, seen), (sent, last), (acknowledged, last), (seen, last)]
            .map(|(from, to)| to.saturating_duration_since(from)))
    }
}

/// A check that reads the object of the pod's own namespace.
fn check(namespaces: &[String]) -> String {
    let entry = json!({ "apiVersion": "v1", "kind": "ConfigMap", "namespaces": namespaces, "names": [FLAG],
                        "fields": ["/data/state"] });
    let config = json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": FLAG,
                         "field": { "pointer": "/data/state", "equals": "on" } });
    let spec = json!({
        "gate": GATE, "plugin": "object.wasm", "config": config, "allow": { "objects": [entry] },
        "periodSeconds": 3600, "startWhen": "always", "failureThreshold": 1, "maxFlapsPerMinute": 6000,
    });
    json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": "flag" }, "spec": spec })
        .to_string()
}

impl Bare {
    fn open(client: &Client, namespace: &str) -> Self {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let (tell, seen) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let config = watcher::Config::default().fields(&format!("metadata.name={FLAG}"));
            let mut stream = pin!(watcher(api, config).default_backoff().applied_objects());
            while let Some(next) = stream.next().await {
                // What fails is asked again by the watcher.
                let Ok(flag) = next else { continue };
                let now = Instant::now();
                if flag.name_any() == FLAG {
                    let state = flag.data.unwrap_or_default().remove("state").unwrap_or_default();
                    tell.send_replace(Some((state, now)));
                }
            }
        });
        Self { seen, _task: task }
    }

    /// When it saw this state.
    async fn until(&mut self, state: &str) -> Result<Instant> {
        let is_it = |seen: &Option<(String, Instant)>| seen.as_ref().is_some_and(|(known, _)| known == state);
        let seen = tokio::time::timeout(BOUND, self.seen.wait_for(is_it)).await;
        let seen = seen.context("the bare watch sees nothing")?.context("the bare watch ended")?;
        seen.as_ref().map(|(_, at)| *at).context("the bare watch saw nothing")
    }
}
