//! `make playground`: a real control plane, the host at work on it, and a Deployment that waits for approval.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    controlplane::{ControlPlane, DEPLOYED_AS, scratch},
    host::Host,
    objects::{gated_workload, status_of},
    target,
    trial::path,
    wait::{SOON, Seen, until},
    workspace,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use rustix::process::{Signal, set_parent_process_death_signal};
use tokio::signal::unix::{SignalKind, signal};

const GATE: &str = "example.com/approved";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match play().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn play() -> Result<()> {
    // `make` may be killed without a word to us. The children follow in turn (see `process`).
    set_parent_process_death_signal(Some(Signal::TERM))?;
    let mut asked_to_end = tokio::spawn(asked_to_end()?);
    let started = Instant::now();
    let mut game = tokio::select! {
        game = Playground::start() => game?,
        _ = &mut asked_to_end => return Ok(()),
    };
    say(&game.instructions(started.elapsed()));
    let ended = tokio::select! {
        error = game.watch() => Err(error),
        _ = asked_to_end => Ok(()),
    };
    say("ending everything");
    ended
}

/// Resolves at Ctrl-C, SIGTERM, or when the terminal closes.
fn asked_to_end() -> Result<impl Future<Output = ()>> {
    let [mut int, mut term, mut hup] =
        [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    Ok(async move {
        tokio::select! {
            _ = int.recv() => (),
            _ = term.recv() => (),
            _ = hup.recv() => (),
        }
    })
}

/// Fields are dropped in this order: the host first, the folder last.
struct Playground {
    host: Host,
    plane: ControlPlane,
    checks: PathBuf,
    _folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Playground {
    async fn start() -> Result<Self> {
        let plugins = target().join("plugins");
        anyhow::ensure!(
            plugins.join("annotation.wasm").is_file(),
            "{} holds no plugins: run `make plugins`",
            plugins.display()
        );
        gatehost_tests::gatehost_binary()?;
        let folder = Folder(scratch()?);
        let plane = ControlPlane::start(&folder.0, 1, say).await?;

        say("starting the host with the rights of host/deploy");
        let kubeconfig = folder.0.join("host.kubeconfig");
        plane.write_kubeconfig_for(DEPLOYED_AS.0, DEPLOYED_AS.1, &kubeconfig).await?;
        let checks = folder.0.join("checks");
        copy(&workspace().join("host/deploy/checks"), &checks)?;
        let args = [path(&plugins)?, path(&checks)?, "--kubeconfig", path(&kubeconfig)?];
        let mut host = Host::start(&args, &[], &folder.0.join("gatehost.log"))?;
        host.wait_until_ready().await?;

        say("creating the Deployment web in the namespace shop");
        let document = folder.0.join("web.json");
        fs::write(&document, serde_json::to_vec(&gated_workload("Deployment", "web", 3, &[GATE]))?)?;
        plane.kubectl(&["create", "namespace", "shop"])?;
        plane.kubectl(&["create", "--namespace", "shop", "-f", path(&document)?])?;
        let pods: Api<Pod> = Api::namespaced(plane.client().await?, "shop");
        until(SOON, "the host has answered for the three pods", async || {
            host.check()?;
            let answered = pods.list(&ListParams::default()).await?;
            let answered = answered.iter().filter(|pod| status_of(pod, GATE) == "False").count();
            Ok(Seen::when(answered == 3, || format!("{answered} of 3")))
        })
        .await?;
        Ok(Self { host, plane, checks, _folder: folder })
    }

    fn instructions(&self, took: Duration) -> String {
        let kubeconfig = self.plane.admin_kubeconfig();
        let (kubeconfig, binaries) = (kubeconfig.display(), self.plane.binaries().display());
        let (check, log, url) = (self.checks.join("approved.yaml"), self.host.log(), self.host.url());
        let (check, log, seconds) = (check.display(), log.display(), took.as_secs());
        format!(
            "
The playground is up after {seconds} s. In another terminal:

  export KUBECONFIG={kubeconfig}
  export PATH=$PATH:{binaries}

1. Three pods run and are not ready; READINESS GATES says 0/1:
  kubectl -n shop get pods -o wide
2. Approve them, and watch them turn ready:
  kubectl -n shop annotate pods --all {GATE}=yes; kubectl -n shop get pods -o wide --watch
3. Ask for another word in the check's file: two are not ready any more, and the budget (maxUnready) holds the third:
  sed -i 's/\"yes\"/\"certainly\"/' {check}; kubectl -n shop get pods -o wide --watch

The host's log is {log}
its metrics are at {url}/metrics
Ctrl-C ends everything."
        )
    }

    /// Resolves when the host has ended by itself.
    async fn watch(&mut self) -> anyhow::Error {
        loop {
            if let Err(error) = self.host.check() {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the one who started the playground reads it")]
fn say(line: &str) {
    println!("{line}");
}
