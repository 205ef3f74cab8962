//! Vanilla Kubernetes with hollow nodes, as child processes on 127.0.0.1.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::{Api, Client, api::ListParams};

use crate::{
    ports,
    process::Process,
    wait::{Seen, until},
};

mod access;
mod components;
mod shared;

pub use access::DEPLOYED_AS;
use components::Layout;
pub use shared::{scratch, shared};

/// A component that is not up after this long will not come up.
const START: Duration = Duration::from_secs(90);

/// etcd, the API server, the controllers, the scheduler and hollow nodes. Dropped, it is all gone.
pub struct ControlPlane {
    layout: Layout,
    /// Those that are not stopped and started by tests; killed in this order.
    others: Vec<Process>,
    apiserver: Mutex<Option<Process>>,
    etcd: Mutex<Process>,
}

impl ControlPlane {
    /// Starts everything, with state and logs in `dir`, and waits until `nodes` nodes are Ready and pods can be made.
    /// The namespace and the rights that host/deploy gives the host are in place. `progress` is told what happens.
    ///
    /// # Errors
    /// A binary is missing (the line names `make controlplane`), or a component ended or was not up within 90 s; its
    /// last log lines are in the message.
    pub async fn start(dir: &Path, nodes: usize, mut progress: impl FnMut(&str)) -> Result<Self> {
        let binaries = components::binaries()?;
        let (etcd, etcd_peer, apiserver) = (ports::free(), ports::free(), ports::free());
        let layout = Layout { binaries, dir: dir.to_owned(), etcd, etcd_peer, apiserver };
        access::write_credentials(&layout)?;
        progress("starting etcd and the API server");
        let etcd = Mutex::new(spawn(&layout, "etcd", layout.etcd())?);
        let mut plane = Self { layout, others: Vec::new(), apiserver: Mutex::new(None), etcd };
        plane.start_apiserver().await?;
        access::write_admin_kubeconfig(&plane.layout)?;
        progress("starting the controllers, the scheduler and the nodes");
        let layout = &plane.layout;
        plane.others.push(spawn(layout, "scheduler", layout.scheduler())?);
        plane.others.push(spawn(layout, "controller-manager", layout.controller_manager())?);
        for n in 0..nodes {
            let name = format!("node-{n}");
            plane.others.push(spawn(layout, &name, layout.hollow_node(&name, ports::free()))?);
        }
        plane.wait_until_usable(nodes).await?;
        plane.apply_rights()?;
        progress("the control plane is up");
        Ok(plane)
    }

    /// A client with every right. It belongs to the runtime it is made in, so each test makes its own.
    pub async fn client(&self) -> Result<Client> {
        access::client(&self.layout.admin_kubeconfig()).await
    }

    /// A kubeconfig with every right.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.layout.admin_kubeconfig()
    }

    /// The folder that holds kubectl, of the same version as the control plane.
    pub fn binaries(&self) -> &Path {
        &self.layout.binaries
    }

    /// Runs `kubectl` as the owner of `kubeconfig`; its standard output.
    ///
    /// # Errors
    /// What it printed, when it fails or prints a warning.
    pub fn kubectl_as(&self, kubeconfig: &Path, args: &[&str]) -> Result<String> {
        let mut command = Command::new(self.layout.binaries.join("kubectl"));
        // Not the discovery cache of whoever runs the tests.
        command.arg("--cache-dir").arg(self.layout.path("kubectl-cache")).args(args).env("KUBECONFIG", kubeconfig);
        let output = command.output().context("kubectl")?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() || err.contains("Warning:") {
            bail!("kubectl {}: {}\n{out}{err}", args.join(" "), output.status);
        }
        Ok(out.into_owned())
    }

    /// Runs `kubectl` with every right; see [`Self::kubectl_as`].
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_as(&self.layout.admin_kubeconfig(), args)
    }

    /// Where kubelet keeps a volume of a pod on the node's disk, as `kind` (`configmap`, `projected`, `empty-dir`,
    /// `secret`) and `name`: what a container would see mounted, the `..data` links of its updates included.
    ///
    /// # Errors
    /// No node has such a volume (yet).
    pub fn pod_volume(&self, pod_uid: &str, kind: &str, name: &str) -> Result<PathBuf> {
        let tail = format!("pods/{pod_uid}/volumes/kubernetes.io~{kind}/{name}");
        let volume = shared::kubelet_roots(&self.layout.dir).into_iter().map(|root| root.join(&tail));
        volume.into_iter().find(|path| path.exists()).with_context(|| format!("no node has {tail}"))
    }

    /// The process ids of all components by name, for figures.
    pub fn processes(&self) -> Vec<(String, u32)> {
        let named = |process: &Process| (process.name().to_owned(), process.id());
        let servers = [Some(named(&lock(&self.etcd))), lock(&self.apiserver).as_ref().map(named)];
        servers.into_iter().flatten().chain(self.others.iter().map(named)).collect()
    }

    /// Kills the API server, as a crash would: clients see refused connections. etcd and the rest stay. Only for a
    /// control plane of the test's own: every other test on it fails.
    pub fn stop_apiserver(&self) {
        *lock(&self.apiserver) = None;
    }

    /// Starts the API server on the port, with the certificate and the data that it had; waits until it is ready.
    pub async fn start_apiserver(&self) -> Result<()> {
        let mut apiserver = spawn(&self.layout, "apiserver", self.layout.apiserver())?;
        until(START, "the API server is ready", async || {
            lock(&self.etcd).check()?;
            apiserver.check()?;
            Ok(match access::ready(&self.layout).await {
                Ok(()) => Seen::Yes(()),
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        })
        .await?;
        *lock(&self.apiserver) = Some(apiserver);
        Ok(())
    }

    /// Once and here: tests that apply the same objects at the same time would be in each other's way.
    fn apply_rights(&self) -> Result<()> {
        let deploy = crate::workspace().join("host/deploy");
        for file in ["namespace.yaml", "rbac.yaml"] {
            self.kubectl(&["apply", "-f", &deploy.join(file).display().to_string()])?;
        }
        Ok(())
    }

    async fn wait_until_usable(&mut self, nodes: usize) -> Result<()> {
        let client = self.client().await?;
        let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        let all: Api<Node> = Api::all(client);
        let others = &mut self.others;
        until(START, "all nodes are Ready and service accounts are made", async || {
            others.iter_mut().try_for_each(Process::check)?;
            let ready = all.list(&ListParams::default()).await?.items.iter().filter(|node| is_ready(node)).count();
            let account = accounts.get_opt("default").await?.is_some();
            Ok(Seen::when(ready == nodes && account, || format!("{ready} of {nodes} nodes, account made: {account}")))
        })
        .await
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.others.clear();
        self.stop_apiserver();
        for root in shared::kubelet_roots(&self.layout.dir) {
            let _ = fs::remove_dir_all(root);
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
}

fn spawn(layout: &Layout, name: &str, command: Command) -> Result<Process> {
    Process::spawn(name, command, &layout.path(&format!("{name}.log")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
