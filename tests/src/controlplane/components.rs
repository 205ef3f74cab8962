//! The command line of each component, and why each flag that is not obvious is there.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

/// Where the binaries are, where state goes, and which ports are used: all on 127.0.0.1.
pub(super) struct Layout {
    pub(super) binaries: PathBuf,
    pub(super) dir: PathBuf,
    pub(super) etcd: u16,
    pub(super) etcd_peer: u16,
    pub(super) apiserver: u16,
}

impl Layout {
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(super) fn etcd(&self) -> Command {
        let (client, peer) = (local("http", self.etcd), local("http", self.etcd_peer));
        let mut command = self.command("etcd");
        command
            .arg(flag("data-dir", &self.path("etcd")))
            .args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")])
            .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
            .arg(format!("--initial-cluster=default={peer}"))
            // The data lives as long as the test process: a crash of the machine need not be survived.
            .args(["--unsafe-no-fsync", "--log-level=warn"]);
        command
    }

    pub(super) fn apiserver(&self) -> Command {
        let mut command = self.command("kube-apiserver");
        command
            .arg(format!("--etcd-servers={}", local("http", self.etcd)))
            .arg(format!("--secure-port={}", self.apiserver))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"])
            .arg(flag("cert-dir", &self.path("certs")))
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(flag("service-account-key-file", &self.service_account_public_key()))
            .arg(flag("service-account-signing-key-file", &self.service_account_key()))
            .args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24"])
            .arg(flag("token-auth-file", &self.path("tokens.csv")));
        command
    }

    pub(super) fn controller_manager(&self) -> Command {
        let mut command = self.command("kube-controller-manager");
        command
            .arg(flag("kubeconfig", &self.admin_kubeconfig()))
            .arg(flag("service-account-private-key-file", &self.service_account_key()))
            // Published in every namespace as kube-root-ca.crt, which kubelet waits for before it starts a pod.
            .arg(flag("root-ca-file", &self.authority()))
            .args(["--leader-elect=false", "--secure-port=0", "--kube-api-qps=300", "--kube-api-burst=600"])
            // A stopped API server must not look like dead nodes: their pods would be marked not ready for it.
            .arg("--node-monitor-grace-period=10m");
        command
    }

    pub(super) fn scheduler(&self) -> Command {
        let mut command = self.command("kube-scheduler");
        command.arg(flag("kubeconfig", &self.admin_kubeconfig())).args([
            "--leader-elect=false",
            "--secure-port=0",
            "--kube-api-qps=300",
            "--kube-api-burst=600",
        ]);
        command
    }

    /// kubelet's own code over a fake container runtime, as the node `name`.
    pub(super) fn hollow_node(&self, name: &str, port: u16) -> Command {
        let mut command = self.command("kubemark");
        command
            .args(["--morph=kubelet", "--use-host-image-service=false", "--kube-api-qps=300", "--kube-api-burst=600"])
            .args([format!("--name={name}"), format!("--kubelet-port={port}"), "--kubelet-read-only-port=0".to_owned()])
            .arg(flag("kubeconfig", &self.admin_kubeconfig()))
            .arg(flag("cert-dir", &self.path(name)));
        command
    }

    pub(super) fn admin_kubeconfig(&self) -> PathBuf {
        self.path("admin.kubeconfig")
    }

    pub(super) fn service_account_key(&self) -> PathBuf {
        self.path("service-account.key")
    }

    pub(super) fn service_account_public_key(&self) -> PathBuf {
        self.path("service-account.pub")
    }

    /// The API server writes its certificate here, with the authority that signed it.
    pub(super) fn authority(&self) -> PathBuf {
        self.path("certs").join("apiserver.crt")
    }

    fn command(&self, binary: &str) -> Command {
        let mut command = Command::new(self.binaries.join(binary));
        command.current_dir(&self.dir);
        command
    }
}

/// The folder with the binaries: `KUBEBUILDER_ASSETS`, else `target/controlplane` of the workspace.
///
/// # Errors
/// One line that names the missing binary and how to get it.
pub(super) fn binaries() -> Result<PathBuf> {
    let folder = match std::env::var_os("KUBEBUILDER_ASSETS") {
        Some(folder) => PathBuf::from(folder),
        None => crate::workspace().join("target/controlplane"),
    };
    for name in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubemark", "kubectl"] {
        if !folder.join(name).is_file() {
            bail!("{} is missing: run `make controlplane` (about ten minutes, once)", folder.join(name).display());
        }
    }
    Ok(folder)
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn local(scheme: &str, port: u16) -> String {
    format!("{scheme}://127.0.0.1:{port}")
}
