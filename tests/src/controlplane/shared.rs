//! One control plane for the tests of a process, and the folders that outlive it.

use std::{
    fs::{self, File},
    io::ErrorKind,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    thread,
};

use anyhow::{Context as _, Result, anyhow};

use super::ControlPlane;

const PREFIX: &str = "gatehost-cluster-";

/// The control plane that the tests of this process share: two hollow nodes, 110 pods each. The first to ask starts
/// it and the others wait; where it cannot start, all fail with the same message. Its logs stay in the folder that it
/// names until the next run.
pub fn shared() -> Result<Arc<ControlPlane>> {
    static SHARED: OnceLock<Result<Arc<ControlPlane>, String>> = OnceLock::new();
    // A thread with a runtime of its own: the caller may be inside one.
    let start = || thread::spawn(start).join().map_err(|_| anyhow!("starting the control plane panicked"))?;
    let plane = SHARED.get_or_init(|| start().map_err(|error: anyhow::Error| format!("{error:#}")));
    plane.clone().map_err(|message| anyhow!("{message}"))
}

fn start() -> Result<Arc<ControlPlane>> {
    let dir = scratch()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plane = runtime.block_on(ControlPlane::start(&dir, 2, |_| ()));
    plane.map(Arc::new).with_context(|| format!("the control plane in {} did not start", dir.display()))
}

/// A new folder for a control plane, held by this process for as long as it lives. What processes that are gone have
/// left is removed first: a killed test has no other chance to tidy up.
///
/// # Errors
/// The temporary directory cannot be written.
pub fn scratch() -> Result<PathBuf> {
    let base = std::env::temp_dir();
    for entry in fs::read_dir(&base)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            sweep(&entry.path());
        }
    }
    sweep_sockets();
    let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&base)?.keep();
    let lock = File::create(dir.join("lock"))?;
    lock.lock()?;
    // Held until the process ends, whoever drops what.
    std::mem::forget(lock);
    Ok(dir)
}

fn sweep(dir: &Path) {
    // A folder without a lock is one that is just being made.
    let Ok(lock) = File::open(dir.join("lock")) else { return };
    if lock.try_lock().is_ok() {
        for root in kubelet_roots(dir) {
            let _ = fs::remove_dir_all(root);
        }
        let _ = fs::remove_dir_all(dir);
    }
}

/// The fake container runtimes of nodes that are gone leave their sockets in /tmp, under random names.
fn sweep_sockets() {
    for entry in fs::read_dir("/tmp").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let refused = || UnixStream::connect(entry.path()).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused);
        if name.to_string_lossy().starts_with("kubelet_remote_") && refused() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Where the nodes of the control plane in `dir` keep their pods. kubemark makes these folders under /tmp, whatever
/// it is told, and says where in its log.
pub(super) fn kubelet_roots(dir: &Path) -> Vec<PathBuf> {
    let logs = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = logs.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("node-")));
    logs.filter_map(|log| {
        let text = fs::read_to_string(log).ok()?;
        let (_, rest) = text.split_once("Using /tmp/hollow-kubelet.")?;
        Some(Path::new("/tmp").join(format!("hollow-kubelet.{}", rest.split_whitespace().next()?)))
    })
    .collect()
}
