//! One test on the cluster: a namespace of its own, and what a failure has to show.

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
    discovery::ApiResource,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    controlplane::{ControlPlane, DEPLOYED_AS, shared},
    host::Host,
    objects::status_of,
    process::tail,
    proxy::Proxy,
    wait::{SOON, Seen, until},
};

/// How long a workload may take to get where it is going, all tests running at once on a small machine.
pub const ROLLOUT: Duration = Duration::from_secs(90);

/// A namespace, a folder and a client.
pub struct Trial {
    /// The control plane; other tests may use it at the same time.
    pub plane: Arc<ControlPlane>,
    /// With every right.
    pub client: Client,
    /// Random, deleted at the end.
    pub namespace: String,
    /// What the host is given: checks and plugins.
    pub files: PathBuf,
    /// The host, once `start_host` has been called.
    pub host: Option<Host>,
    dir: tempfile::TempDir,
}

/// Runs `test` on the shared control plane. Where it fails or panics, the pods, the events and the host's log are
/// printed before the namespace is deleted.
///
/// # Panics
/// `test` failed, or the control plane cannot be started.
pub fn run(test: impl AsyncFnOnce(&mut Trial) -> Result<()>) {
    run_on(&shared().unwrap(), test);
}

/// The same on a control plane of the caller's.
///
/// # Panics
/// `test` failed, or no namespace can be made.
pub fn run_on(plane: &Arc<ControlPlane>, test: impl AsyncFnOnce(&mut Trial) -> Result<()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut trial = runtime.block_on(Trial::new(plane)).unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(&mut trial))));
    if !matches!(outcome, Ok(Ok(()))) {
        eprint_state(&trial.state());
    }
    runtime.block_on(trial.end());
    match outcome {
        Ok(Ok(())) => (),
        Ok(Err(error)) => panic!("{error:?}"),
        Err(panic) => resume_unwind(panic),
    }
}

impl Trial {
    async fn new(plane: &Arc<ControlPlane>) -> Result<Self> {
        let client = plane.client().await?;
        let random: String = std::iter::repeat_with(|| fastrand::char('a'..='z')).take(8).collect();
        let namespace = format!("t-{random}");
        let object = serde_json::from_value(json!({ "metadata": { "name": namespace } }))?;
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await?;
        wait_until_it_takes_pods(&client, &namespace).await?;
        let dir = tempfile::tempdir()?;
        let files = dir.path().join("files");
        std::fs::create_dir(&files)?;
        Ok(Self { plane: Arc::clone(plane), client, namespace, files, host: None, dir })
    }

    /// The objects of one kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The pods.
    pub fn pods(&self) -> Api<Pod> {
        self.api()
    }

    /// Creates an object in this namespace from its document.
    pub async fn create(&self, object: &Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.clone().context("a document without apiVersion and kind")?;
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
        api.create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// Runs kubectl in this namespace with every right; its standard output.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.plane.kubectl(&[&["--namespace", &self.namespace], args].concat())
    }

    /// Writes a file into the host's directory the way a careful tool does: complete beside it, renamed into place.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.files.join(name);
        let partial = self.dir.path().join("partial");
        std::fs::write(&partial, content).unwrap();
        std::fs::rename(&partial, &path).unwrap();
        path
    }

    /// Copies a plugin from `target/plugins` into the host's directory, as `name`.
    ///
    /// # Errors
    /// It is not built: the line says how.
    pub fn plugin(&self, built: &str, name: &str) -> Result<PathBuf> {
        let source = crate::target().join("plugins").join(built);
        let wasm = std::fs::read(&source).with_context(|| format!("{}: run `make plugins`", source.display()))?;
        Ok(self.file(name, wasm))
    }

    /// Copies a built guest of tests/guests into the host's directory, as `name`.
    ///
    /// # Errors
    /// It is not built: the line says how.
    pub fn guest(&self, guest: &str, name: &str) -> Result<PathBuf> {
        let source = crate::target().join(format!("wasm32-wasip2/plugin/examples/{guest}.wasm"));
        let wasm = std::fs::read(&source).with_context(|| format!("{}: run `make guests`", source.display()))?;
        Ok(self.file(name, wasm))
    }

    /// A new folder of this test's own, not watched by the host.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Starts the host on `files` and this namespace, with the rights and the token of host/deploy's service account,
    /// and waits until it is ready. A host that was started before is killed.
    pub async fn start_host(&mut self, args: &[&str]) -> Result<&mut Host> {
        let kubeconfig = self.deployed_kubeconfig().await?;
        self.start_host_with(&kubeconfig, args).await
    }

    /// The same, with the fault proxy between the host and the API server.
    pub async fn start_host_through(&mut self, proxy: &Proxy, args: &[&str]) -> Result<&mut Host> {
        let kubeconfig = self.deployed_kubeconfig().await?;
        proxy.redirect(&kubeconfig)?;
        self.start_host_with(&kubeconfig, args).await
    }

    /// The same, with that kubeconfig.
    pub async fn start_host_with(&mut self, kubeconfig: &Path, args: &[&str]) -> Result<&mut Host> {
        let files = self.files.clone();
        let fixed = [path(&files)?, "--kubeconfig", path(kubeconfig)?, "--namespace", &self.namespace];
        let log = self.dir.path().join("gatehost.log");
        self.host = None;
        let host = self.host.insert(Host::start(&[&fixed[..], args].concat(), &[], &log)?);
        host.wait_until_ready().await?;
        Ok(host)
    }

    /// A kubeconfig of host/deploy's service account.
    pub async fn deployed_kubeconfig(&self) -> Result<PathBuf> {
        let path = self.dir.path().join("host.kubeconfig");
        self.plane.write_kubeconfig_for(DEPLOYED_AS.0, DEPLOYED_AS.1, &path).await?;
        Ok(path)
    }

    /// Gives a pod an annotation; `None` takes it away.
    pub async fn annotate(&self, pod: &str, key: &str, value: Option<&str>) -> Result<()> {
        let patch = Patch::Merge(json!({ "metadata": { "annotations": { key: value } } }));
        self.pods().patch(pod, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Waits until `count` pods match and their condition `kind` has this status.
    pub async fn wait_for_status(&self, labels: &str, count: usize, kind: &str, status: &str) -> Result<Vec<Pod>> {
        self.wait_for_pods(labels, count, &format!("{kind}={status}"), |pod| status_of(pod, kind) == status).await
    }

    /// Waits until exactly `count` pods match `labels` and each satisfies `holds`; the pods.
    pub async fn wait_for_pods(
        &self,
        labels: &str,
        count: usize,
        what: &str,
        holds: impl Fn(&Pod) -> bool,
    ) -> Result<Vec<Pod>> {
        let pods = self.pods();
        let wanted = ListParams::default().labels(labels);
        until(ROLLOUT, &format!("{count} pods {labels} are {what}"), async || {
            let pods = pods.list(&wanted).await?.items;
            let held = pods.iter().filter(|pod| holds(pod)).count();
            if pods.len() == count && held == count {
                return Ok(Seen::Yes(pods));
            }
            Ok(Seen::NotYet(format!("{held} of {}", pods.len())))
        })
        .await
    }

    /// Waits until `count` pods match and their containers are ready: all that kubelet waits for now is the gates.
    pub async fn wait_for_containers(&self, labels: &str, count: usize) -> Result<Vec<Pod>> {
        self.wait_for_status(labels, count, "ContainersReady", "True").await
    }

    /// Waits until `count` pods match and kubelet says that they are Ready (`True`) or not (`False`).
    pub async fn wait_for_ready(&self, labels: &str, count: usize, ready: &str) -> Result<Vec<Pod>> {
        self.wait_for_status(labels, count, "Ready", ready).await
    }

    fn state(&self) -> String {
        let show = |args: &[&str]| self.kubectl(args).unwrap_or_else(|error| format!("{error:#}"));
        let pods = show(&["get", "pods", "-o", "wide"]);
        let conditions = "-o=custom-columns=NAME:.metadata.name,UID:.metadata.uid,TYPE:.status.conditions[*].type,\
                          STATUS:.status.conditions[*].status";
        let conditions = show(&["get", "pods", conditions]);
        let events = show(&["get", "events", "--sort-by=.lastTimestamp"]);
        let log = self.host.as_ref().map_or("not started".to_owned(), |host| tail(&host.log(), 60));
        format!("namespace {}\n{pods}\n{conditions}\n{events}\nhost:\n{log}", self.namespace)
    }

    async fn end(mut self) {
        self.host = None;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        // Not waited for: a name is never used twice. A control plane that is stopped takes it along.
        let _ = namespaces.delete(&self.namespace, &DeleteParams::background()).await;
    }
}

/// A pod is refused before its service account is made, and waits on its node for the authority's certificate.
async fn wait_until_it_takes_pods(client: &Client, namespace: &str) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    until(SOON, "the namespace takes pods", async || {
        let made = (accounts.get_opt("default").await?.is_some(), maps.get_opt("kube-root-ca.crt").await?.is_some());
        Ok(Seen::when(made == (true, true), || format!("account and certificate: {made:?}")))
    })
    .await
}

/// A path as an argument.
pub fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}

#[allow(clippy::print_stderr, reason = "the state of a failed test is for the one who reads its output")]
fn eprint_state(state: &str) {
    eprintln!("{state}");
}
