//! The shipped checks as a user has them: a document of YAML beside the plugin, real servers, and `gatehost dev`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gatehost_tests::{
    gatehost_binary,
    process::Process,
    target,
    wait::{Seen, until},
};
use serde_json::{Value, json};

mod plain;
mod prometheus;
mod servers;
mod table;
mod unruly;
mod unusable;

/// How long a state may take to be seen, on a busy machine.
const BOUND: Duration = Duration::from_mins(1);

/// A directory with a pod and what a user puts beside it.
struct Bed(tempfile::TempDir);

/// What `dev --once` says of the one gate.
#[derive(Debug)]
struct Said {
    status: String,
    reason: String,
    message: String,
}

impl Said {
    fn of(gate: &Value) -> Self {
        let text = |field: &str| gate[field].as_str().unwrap_or("none").to_owned();
        Self { status: text("status"), reason: text("reason"), message: text("message") }
    }
}

const POD: &str = "apiVersion: v1
kind: Pod
metadata: {name: web-0, namespace: shop, labels: {app: web}}
spec: {readinessGates: [{conditionType: example.com/gate}], containers: [{name: main, image: web}]}
status: {phase: Running, conditions: [{type: ContainersReady, status: 'True'}]}
";

impl Bed {
    /// With these plugins and this `spec` of a check, but for its gate.
    fn new(plugins: &[&str], spec: &str) -> Self {
        let bed = Self(tempfile::tempdir().unwrap());
        for plugin in plugins {
            let source = target().join("plugins").join(plugin);
            let wasm = fs::read(&source).unwrap_or_else(|e| panic!("{}: {e}; run `make plugins`", source.display()));
            fs::write(bed.path().join(plugin), wasm).unwrap();
        }
        fs::write(bed.path().join("pod.yaml"), POD).unwrap();
        bed.check(spec);
        bed
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn check(&self, spec: &str) {
        let head =
            "apiVersion: gatehost.dev/v1alpha1\nkind: Check\nmetadata: {name: it}\nspec:\n  gate: example.com/gate\n";
        let spec = spec.trim_end().replace('\n', "\n  ");
        fs::write(self.path().join("check.yaml"), format!("{head}  {spec}\n")).unwrap();
    }

    fn dev(&self, more: &[&str]) -> Command {
        let mut command = Command::new(gatehost_binary().unwrap());
        command.arg("dev").args(more).arg(self.path());
        command
    }

    /// Asks once; the whole document.
    fn document(&self, more: &[&str]) -> Result<Value> {
        let output = self.dev(&[&["--once", "-o", "json"], more].concat()).output()?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        serde_json::from_slice(&output.stdout).with_context(said)
    }

    /// Asks once.
    fn ask(&self, more: &[&str]) -> Result<Said> {
        let document = self.document(more)?;
        ensure!(document["errors"].as_array().is_some_and(Vec::is_empty), "{document}");
        Ok(Said::of(&document["gates"][0]))
    }

    /// Asks for a gate of each of many checks at once: what is said of each, by the name of the check. All of them are asked
    /// of one pod, whose IP this is.
    fn ask_all(plugins: &[&str], ip: Option<&str>, specs: &[(String, Value)]) -> Result<BTreeMap<String, Said>> {
        let bed = Self::new(plugins, "");
        let check = |(name, spec): &(String, Value)| {
            let mut spec = spec.clone();
            (spec["gate"], spec["startWhen"]) = (format!("example.com/{name}").into(), "always".into());
            json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": name }, "spec": spec })
                .to_string()
        };
        let checks: Vec<_> = specs.iter().map(check).collect();
        fs::write(bed.path().join("check.yaml"), checks.join("\n---\n"))?;
        let gates: Vec<_> =
            specs.iter().map(|(name, _)| json!({ "conditionType": format!("example.com/{name}") })).collect();
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web-0", "namespace": "shop" },
            "spec": { "readinessGates": gates, "containers": [{ "name": "main", "image": "web" }] },
            "status": { "phase": "Running", "podIP": ip },
        });
        fs::write(bed.path().join("pod.yaml"), pod.to_string())?;
        let document = bed.document(&[])?;
        ensure!(document["errors"].as_array().is_some_and(Vec::is_empty), "{document:#}");
        let said = |gate: &Value| Some((gate["check"].as_str()?.to_owned(), Said::of(gate)));
        let gates = document["gates"].as_array().context("no gates")?;
        Ok(gates.iter().filter_map(said).collect())
    }

    /// The one thing that is wrong with what is in it.
    fn wrong(&self) -> String {
        let document = self.document(&[]).unwrap();
        let errors: Vec<_> =
            document["errors"].as_array().unwrap().iter().map(|e| e["error"].as_str().unwrap()).collect();
        assert_eq!(errors.len(), 1, "{document}");
        errors[0].to_owned()
    }

    /// Asks again and again until it says this status and reason.
    async fn until(&self, status: &str, reason: &str) -> Result<Said> {
        until(BOUND, &format!("it is {status} ({reason})"), async || {
            let said = self.ask(&[])?;
            let right = said.status == status && said.reason == reason;
            Ok(if right { Seen::Yes(said) } else { Seen::NotYet(format!("{said:?}")) })
        })
        .await
    }
}

/// `gatehost dev` at work, whose lines tell of each change.
struct Watching(Process);

impl Watching {
    fn start(bed: &Bed) -> Result<Self> {
        let log = bed.path().join("lines.log");
        Ok(Self(Process::spawn("gatehost dev", bed.dev(&[]), &log)?))
    }

    /// Whether a line said this word.
    fn has(&self, word: &str) -> bool {
        fs::read_to_string(self.0.log()).unwrap_or_default().contains(word)
    }

    async fn until(&mut self, word: &str) -> Result<()> {
        until(BOUND, &format!("a line says {word}"), async || {
            self.0.check()?;
            Ok(Seen::when(self.has(word), || fs::read_to_string(self.0.log()).unwrap_or_default()))
        })
        .await
    }
}

/// A program that the set-up of the tests brought.
fn program(name: &str) -> PathBuf {
    let path = target().join("prometheus/usr/bin").join(name);
    assert!(path.is_file(), "{} is missing: run `make prometheus`", path.display());
    path
}
