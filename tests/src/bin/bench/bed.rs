//! The real API server, the pods on it, and those who decide their gate.

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use gatehost_tests::{
    controlplane::{ControlPlane, DEPLOYED_AS, scratch},
    gatehost_binary,
    host::Host,
    metrics::Metrics,
    process::Process,
    trial::path,
    wait::{SOON, Seen, until},
};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    load::{self, ANNOTATION, CHECK, GATE},
    peer,
};

/// Requests in flight while pods are made.
const IN_FLIGHT: usize = 64;

/// A control plane without nodes.
pub(crate) struct Bed {
    pub(crate) client: Client,
    plane: ControlPlane,
    kubeconfig: PathBuf,
    files: PathBuf,
    logs: PathBuf,
}

/// Started when the first leg needs it.
#[derive(Default)]
pub(crate) struct Beds(OnceCell<Bed>);

/// Who decides the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Host,
    Watcher,
    Controller,
    Ceiling,
}

/// One of them at work; killed when dropped.
pub(crate) enum Running {
    Host(Host),
    Peer(Process),
}

impl Beds {
    pub(crate) async fn get(&self) -> Result<&Bed> {
        if let Some(bed) = self.0.get() {
            return Ok(bed);
        }
        let bed = Bed::start().await?;
        Ok(self.0.get_or_init(|| bed))
    }
}

impl Bed {
    async fn start() -> Result<Self> {
        let dir = scratch()?;
        let plane = ControlPlane::start(&dir, 0, |_| ()).await?;
        let (kubeconfig, files) = (dir.join("bench.kubeconfig"), dir.join("files"));
        plane.write_kubeconfig_for(DEPLOYED_AS.0, DEPLOYED_AS.1, &kubeconfig).await?;
        std::fs::create_dir(&files)?;
        std::fs::write(files.join("check.yaml"), CHECK)?;
        let plugin = gatehost_tests::target().join("plugins/annotation.wasm");
        std::fs::copy(&plugin, files.join("annotation.wasm"))
            .with_context(|| format!("{}: run `make plugins`", plugin.display()))?;
        Ok(Self { client: plane.client().await?, plane, kubeconfig, files, logs: dir })
    }

    pub(crate) fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Makes a namespace that takes pods; one that is there already is as good.
    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let all: Api<Namespace> = Api::all(self.client.clone());
        if all.get_opt(name).await?.is_none() {
            let object = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
            all.create(&PostParams::default(), &object).await?;
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), name);
        until(SOON, "the namespace takes pods", async || {
            let account = accounts.get_opt("default").await?;
            Ok(Seen::when(account.is_some(), || "no service account".to_owned()))
        })
        .await
    }

    /// Makes the pods `from..to` of a namespace, running, the gate as the check decides it where `decided`.
    pub(crate) async fn fill(&self, namespace: &str, from: usize, to: usize, decided: bool) -> Result<()> {
        self.namespace(namespace).await?;
        let pods = self.pods(namespace);
        let status = json!({ "status": load::status(decided) });
        each(from..to, async |n| {
            let pod = serde_json::from_value(load::pod(&name(n)))?;
            pods.create(&PostParams::default(), &pod).await?;
            pods.patch_status(&name(n), &PatchParams::default(), &Patch::Strategic(&status)).await?;
            Ok(())
        })
        .await
    }

    /// Takes the gate's condition off the pods `0..count`.
    pub(crate) async fn reset(&self, namespace: &str, count: usize) -> Result<()> {
        let pods = self.pods(namespace);
        let gone = json!({ "status": { "conditions": [{ "type": GATE, "$patch": "delete" }] } });
        each(0..count, async |n| {
            pods.patch_status(&name(n), &PatchParams::default(), &Patch::Strategic(&gone)).await?;
            Ok(())
        })
        .await
    }

    /// Gives a pod the annotation, or takes it off.
    pub(crate) async fn annotate(&self, namespace: &str, n: usize, annotated: bool) -> Result<()> {
        let value = annotated.then_some("yes");
        self.merge(namespace, n, json!({ "annotations": { ANNOTATION: value } })).await
    }

    /// Changes a pod's metadata.
    pub(crate) async fn merge(&self, namespace: &str, n: usize, metadata: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        self.pods(namespace).patch_metadata(&name(n), &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// How many patches of pods' statuses the API server has been sent, by everybody.
    pub(crate) async fn patches_sent(&self) -> Result<f64> {
        let text = self.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
        let labels = [("verb", "PATCH"), ("resource", "pods"), ("subresource", "status")];
        Ok(Metrics::parse(&text).sum("apiserver_request_total", &labels))
    }

    /// Starts one on a namespace; the instant before its process was made.
    pub(crate) fn run(&self, kind: Kind, namespace: &str) -> Result<(Instant, Running)> {
        let log = self.logs.join(format!("{}.log", kind.name()));
        let begin = Instant::now();
        let running = if kind == Kind::Host {
            Running::Host(self.host(&self.files, &[namespace.to_owned()])?)
        } else {
            let mut command = Command::new(std::env::current_exe()?);
            command.args([peer::CHILD, kind.name(), namespace]).env("KUBECONFIG", &self.kubeconfig);
            Running::Peer(Process::spawn(kind.name(), command, &log)?)
        };
        Ok((begin, running))
    }

    /// Starts the host with the checks in a directory on some namespaces.
    pub(crate) fn host(&self, files: &Path, namespaces: &[String]) -> Result<Host> {
        let mut args = vec![path(files)?, "--kubeconfig", path(&self.kubeconfig)?];
        args.extend(namespaces.iter().flat_map(|namespace| ["--namespace", namespace.as_str()]));
        args.extend(load::PACE);
        let name = namespaces.first().map_or("all", String::as_str);
        Host::start(&args, &[], &self.logs.join(format!("{}-{name}.log", Kind::Host.name())))
    }

    /// Grants the host what the checks in a directory need to read objects.
    pub(crate) fn grant(&self, files: &Path) -> Result<()> {
        let output = Command::new(gatehost_binary()?).args(["rbac", "--offline"]).arg(files).output()?;
        let rights = files.with_extension("rights.yaml");
        std::fs::write(&rights, output.stdout)?;
        self.plane.kubectl(&["apply", "-f", path(&rights)?])?;
        Ok(())
    }

    /// The size of a pod's JSON as it is served, in bytes.
    pub(crate) async fn pod_size(&self, namespace: &str) -> Result<usize> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{}", name(0));
        Ok(self.client.request_text(http::Request::get(path).body(Vec::new())?).await?.len())
    }

    /// Where the logs of everybody are.
    pub(crate) fn logs(&self) -> &Path {
        &self.logs
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Host => "gatehost",
            Self::Watcher => "watcher",
            Self::Controller => "controller",
            Self::Ceiling => "ceiling",
        }
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Host(host) => host.id(),
            Self::Peer(process) => process.id(),
        }
    }

    /// Fails, with the end of its log, when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self {
            Self::Host(host) => host.check(),
            Self::Peer(process) => process.check(),
        }
    }
}

/// The name of a pod.
pub(crate) fn name(n: usize) -> String {
    format!("web-7c9d8f6b5-{n:05}")
}

/// Does it for each, many at a time, until one fails.
async fn each(all: std::ops::Range<usize>, act: impl AsyncFn(usize) -> Result<()>) -> Result<()> {
    let act = &act;
    let done = stream::iter(all).map(|n| async move { act(n).await }).buffer_unordered(IN_FLIGHT);
    done.try_for_each(|()| future::ready(Ok(()))).await
}

/// Longer than anything should take.
pub(crate) const BOUND: Duration = Duration::from_mins(3);
