//! The catalog with the real sandbox and the shipped plugins: what is broken keeps nobody else from working.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, sync::Arc, time::Duration};

use gatehost::{
    catalog::{Catalog, Options, Snapshot},
    sandbox::Sandbox,
};
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::watch, time::timeout};

/// How long a state is waited for.
const BOUND: Duration = Duration::from_mins(1);

fn shipped(name: &str) -> Vec<u8> {
    let path = gatehost_tests::target().join("plugins").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; build it with `make plugins`", path.display()))
}

fn check(name: &str, plugin: &str, config: &str) -> String {
    format!(
        "apiVersion: gatehost.dev/v1alpha1\nkind: Check\nmetadata: {{name: {name}}}\n\
         spec: {{gate: example.com/{name}, plugin: {plugin}, config: {config}}}\n"
    )
}

/// A directory and the catalog at work on it.
struct Bed {
    directory: TempDir,
    catalog: watch::Receiver<Arc<Snapshot>>,
    runtime: Runtime,
    // Dropped last: it has a runtime of its own.
    _sandbox: Sandbox,
}

impl Bed {
    fn new() -> Self {
        let (sandbox, runtime) = (Sandbox::new().unwrap(), Runtime::new().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let options = Options { poll: Duration::from_hours(1), ..Options::default() };
        let (catalog, work) = Catalog::start(vec![directory.path().to_owned()], options, sandbox.clone()).unwrap();
        runtime.spawn(work);
        Self { directory, catalog, runtime, _sandbox: sandbox }
    }

    /// Writes beside and renames into place.
    fn place(&self, name: &str, content: impl AsRef<[u8]>) {
        let new = self.directory.path().join(".new");
        fs::write(&new, content).unwrap();
        fs::rename(new, self.directory.path().join(name)).unwrap();
    }

    fn until(&mut self, state: impl FnMut(&Arc<Snapshot>) -> bool) -> Arc<Snapshot> {
        let seen = self.runtime.block_on(async { timeout(BOUND, self.catalog.wait_for(state)).await });
        seen.unwrap().unwrap().clone()
    }
}

fn told(snapshot: &Snapshot, file: &str, what: &str) -> bool {
    snapshot.problems.iter().any(|p| p.file.ends_with(file) && p.error.contains(what))
}

#[test]
fn plugins_come_change_break_and_go() {
    let mut bed = Bed::new();
    assert!(bed.until(|s| s.generation > 0).checks.is_empty());
    bed.place("p.wasm", shipped("annotation.wasm"));
    bed.place("a.yaml", check("a", "p.wasm", "{annotation: example.com/ok}"));
    let first = bed.until(|s| s.checks.contains_key("example.com/a"));
    let live = first.checks["example.com/a"].clone();
    assert_eq!(live.plugin.description().name, "annotation");

    // Another build that knows another config: the check stays with the one that accepts its own.
    bed.place("p.wasm", shipped("settle.wasm"));
    bed.place("b.yaml", check("b", "p.wasm", "{seconds: 30}"));
    let second = bed.until(|s| s.checks.contains_key("example.com/b") && told(s, "a.yaml", "spec.config/annotation: "));
    assert!(Arc::ptr_eq(&second.checks["example.com/a"], &live));
    assert_eq!(second.checks["example.com/b"].plugin.description().name, "settle");

    for (bytes, what) in [
        (b"hello".to_vec(), "this is not WebAssembly"),
        (b"\0asm\x01\0\0\0".to_vec(), "this is a core module"),
        (shipped("settle.wasm")[..20_000].to_vec(), "the file is cut off"),
    ] {
        bed.place("p.wasm", bytes);
        let broken = bed.until(|s| told(s, "p.wasm", what));
        assert!(told(&broken, "p.wasm", "; the last good version stays in use"));
        assert!(Arc::ptr_eq(&broken.checks["example.com/b"], &second.checks["example.com/b"]));
    }

    bed.place("p.wasm", shipped("annotation.wasm"));
    bed.until(|s| {
        s.checks["example.com/a"].plugin.description().name == "annotation" && told(s, "b.yaml", "spec.config/seconds")
    });
    fs::remove_file(bed.directory.path().join("p.wasm")).unwrap();
    let last = bed.until(|s| s.checks.is_empty());
    assert!(told(&last, "a.yaml", "p.wasm is missing") && told(&last, "b.yaml", "p.wasm is missing"));
}

#[test]
fn a_config_that_the_plugin_rejects_is_told_with_its_path() {
    let mut bed = Bed::new();
    bed.place("p.wasm", shipped("annotation.wasm"));
    bed.place("a.yaml", check("a", "p.wasm", "{annotation: 3}"));
    bed.place("b.yaml", check("b", "p.wasm", "{annotation: example.com/ok}"));
    let seen = bed.until(|s| s.checks.contains_key("example.com/b") && !s.problems.is_empty());
    assert!(told(&seen, "a.yaml", "spec.config/annotation: "), "{:?}", seen.problems);
    assert!(!seen.checks.contains_key("example.com/a"));
}
