//! The catalog on real directories, with a loader that is quick and can be held up.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    task::JoinHandle,
    time::timeout,
};

use super::{
    Live, Options, Snapshot,
    loader::{Loader, Refusal},
    start,
    track::Digest,
};
use crate::{
    check::Check,
    sandbox::{ConfigError, Grant},
};

mod dry_run;
mod files;
mod force;
mod loading;
mod mounts;

/// How long a test waits for a state.
const BOUND: Duration = Duration::from_secs(20);
/// A poll that takes no part in a test.
const NEVER: Duration = Duration::from_hours(1);

/// A "plugin" is a text in brackets: what is cut off or mixed up is none.
#[derive(Clone)]
struct Fake {
    /// All that was compiled, in order.
    loaded: Arc<Mutex<Vec<String>>>,
    /// Texts with "slow" in them are compiled once this is true, and those with "shy" describe themselves then; "long"
    /// takes longer than some polls, and "stuck" fails once and then never ends.
    open: watch::Receiver<bool>,
}

/// What need not be compiled.
const CACHED: [&str; 2] = ["(cached)", "(cached shy)"];

impl Loader for Fake {
    type Plugin = String;
    const MAX_FILE: u64 = 1 << 20;

    async fn find(&self, digest: Digest) -> Result<Option<String>, Refusal> {
        let Some(text) = CACHED.iter().find(|text| Sha256::digest(text)[..] == digest) else { return Ok(None) };
        self.described(text).await;
        Ok(Some(text.trim_matches(['(', ')']).to_owned()))
    }

    async fn load(&self, bytes: Vec<u8>, _: Digest, turn: OwnedSemaphorePermit) -> Result<String, Refusal> {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.loaded.lock().unwrap().push(text.clone());
        if text.contains("slow") {
            self.open.clone().wait_for(|open| *open).await.unwrap();
        }
        if text.contains("long") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let tries = self.loaded.lock().unwrap().iter().filter(|l| **l == text).count();
        match tries {
            1 if text.contains("stuck") => return Err(Refusal { error: "not now".into(), again: true }),
            2.. if text.contains("stuck") => std::future::pending().await,
            _ => {}
        }
        drop(turn);
        self.described(&text).await;
        let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
        let again = text.contains("again") && self.loaded.lock().unwrap().iter().filter(|l| **l == text).count() < 3;
        match inner {
            _ if again => Err(Refusal { error: "not now".into(), again }),
            Some(inner) if !inner.contains(['(', ')']) => Ok(inner.to_owned()),
            _ => Err(Refusal { error: "this is no plugin".into(), again: false }),
        }
    }

    fn grant(&self, check: &Check) -> Result<Grant, String> {
        match &check.allow.ca {
            Some(file) => Err(format!("spec.allow.ca: {file} is not there")),
            None => Ok(Grant::default()),
        }
    }

    async fn validate(plugin: String, config: Arc<str>) -> Result<Vec<ConfigError>, Refusal> {
        static FAULTS: AtomicU32 = AtomicU32::new(0);
        if config.contains("tired") && FAULTS.fetch_add(1, Ordering::Relaxed) < 3 {
            return Err(Refusal { error: "it is tired".into(), again: true });
        }
        let config: BTreeMap<String, serde_json::Value> = serde_json::from_str(&config).unwrap();
        let unknown = config.keys().filter(|key| !plugin.contains(key.as_str()));
        Ok(unknown.map(|key| ConfigError { path: format!("/{key}"), message: "not known".into() }).collect())
    }
}

impl Fake {
    async fn described(&self, text: &str) {
        if text.contains("shy") {
            self.open.clone().wait_for(|open| *open).await.unwrap();
        }
    }
}

/// Directories and the catalog that watches them.
struct Bed {
    directories: Vec<TempDir>,
    catalog: watch::Receiver<Arc<Snapshot<String>>>,
    loaded: Arc<Mutex<Vec<String>>>,
    gate: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bed {
    /// One directory with these files, watched, without a poll.
    async fn new(files: &[(&str, &str)]) -> Self {
        Self::with(&[files], Options { poll: NEVER, ..Options::default() }, true).await
    }

    /// Directories with these files, and the first snapshot.
    async fn with(directories: &[&[(&str, &str)]], options: Options, watched: bool) -> Self {
        let directories: Vec<_> = directories
            .iter()
            .map(|files| {
                let directory = tempfile::tempdir().unwrap();
                files.iter().for_each(|(name, text)| fs::write(directory.path().join(name), text).unwrap());
                directory
            })
            .collect();
        let paths = directories.iter().map(|d| d.path().to_owned()).collect();
        let loaded = Arc::default();
        let (gate, open) = watch::channel(false);
        let (catalog, work) = start(paths, options, watched, Fake { loaded: Arc::clone(&loaded), open }).unwrap();
        let task = tokio::spawn(work);
        let mut bed = Self { directories, catalog, loaded, gate, task };
        bed.until(|s| s.generation > 0).await;
        bed
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directories[0].path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes beside and renames into place.
    fn replace(&self, name: &str, text: &str) {
        self.write(".new", text);
        fs::rename(self.path(".new"), self.path(name)).unwrap();
    }

    fn now(&self) -> Arc<Snapshot<String>> {
        self.catalog.borrow().clone()
    }

    fn loaded(&self) -> Vec<String> {
        self.loaded.lock().unwrap().clone()
    }

    async fn until(&mut self, state: impl Fn(&Snapshot<String>) -> bool) -> Arc<Snapshot<String>> {
        let seen = timeout(BOUND, self.catalog.wait_for(|s| state(s))).await.map(|s| s.unwrap().clone());
        seen.unwrap_or_else(|_| panic!("it stays at {:#?}", self.now()))
    }

    /// Adds a check that nobody else cares about and waits for it: what was to be seen before it has been seen.
    async fn barrier(&mut self, name: &str) -> Arc<Snapshot<String>> {
        self.write("any.wasm", "(any)");
        self.write(&format!("{name}.yaml"), &check(name, "any.wasm", "{}"));
        self.until(|s| has(s, name)).await
    }
}

fn check(name: &str, plugin: &str, config: &str) -> String {
    gated(name, name, plugin, config)
}

fn gated(name: &str, gate: &str, plugin: &str, config: &str) -> String {
    format!(
        "apiVersion: gatehost.dev/v1alpha1\nkind: Check\nmetadata: {{name: {name}}}\n\
         spec: {{gate: x.io/{gate}, plugin: {plugin}, config: {config}}}\n"
    )
}

fn live<'a>(snapshot: &'a Snapshot<String>, gate: &str) -> Option<&'a Arc<Live<String>>> {
    snapshot.checks.get(format!("x.io/{gate}").as_str())
}

fn has(snapshot: &Snapshot<String>, gate: &str) -> bool {
    live(snapshot, gate).is_some()
}

fn runs(snapshot: &Snapshot<String>, gate: &str, plugin: &str) -> bool {
    live(snapshot, gate).is_some_and(|l| l.plugin == plugin)
}

/// The problems, each as file name and text.
fn problems(snapshot: &Snapshot<String>) -> Vec<(String, String)> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    snapshot.problems.iter().map(|p| (name(&p.file), p.error.clone())).collect()
}

/// Whether some problem of a file has this in it.
fn told(snapshot: &Snapshot<String>, file: &str, what: &str) -> bool {
    problems(snapshot).iter().any(|(f, e)| f == file && e.contains(what))
}
