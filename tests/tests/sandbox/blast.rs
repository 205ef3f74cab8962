//! What a hostile plugin does to others: who is to blame for what, and a whole host without a cluster around both.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use gatehost::{
    catalog::{self, Catalog},
    check::Allow,
    decide::{Blame, Status},
    dispatch::{self, Call, Core, Event, Inputs, Note, Observer, Outcome, Patch, Writer, drive},
    pod::{Pod, Seen},
    sandbox::{Evaluated, Evaluation, Sandbox},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{ENOUGH, guest, load, question};

#[tokio::test]
async fn a_deadline_blames_the_code_that_computed_and_not_the_code_that_waited() {
    let (spin, sleep) = (load("spin").await, load("sleep").await);
    let late = async |plugin: &gatehost::sandbox::Plugin, config| {
        plugin.evaluate(question(config, Duration::from_millis(300))).await.answer.unwrap_err().blame
    };
    assert_eq!(late(&spin, "").await, Blame::Code);
    assert_eq!(late(&sleep, "3600000").await, Blame::Nothing);
    // As many as may compute for one check share its turns: each of them waits for the others of its check alone.
    let sandbox = Sandbox::new().unwrap();
    let (spin, grant) = (sandbox.load(guest("spin")).await.unwrap(), sandbox.grant(&Allow::default()).unwrap());
    let mut spinning = JoinSet::new();
    for _ in 0..8 {
        let (spin, grant) = (spin.clone(), grant.clone());
        let asked = Evaluation { grant, ..question("", Duration::from_secs(5)) };
        spinning.spawn(async move { spin.evaluate(asked).await.answer });
    }
    while let Some(ended) = spinning.join_next().await {
        assert_eq!(ended.unwrap().unwrap_err().blame, Blame::Code);
    }
}

#[tokio::test]
async fn a_trap_and_a_limit_blame_the_code_and_its_own_fault_does_not() {
    for (name, config, blame) in [
        ("panic", "", Blame::Code),
        ("grow", "64", Blame::Code),
        ("recurse", "10000000", Blame::Code),
        ("exit", "", Blame::Code),
        ("rude", "fault", Blame::Answer),
    ] {
        let answer = load(name).await.evaluate(question(config, ENOUGH)).await.answer;
        assert_eq!(answer.map_err(|fault| fault.blame), Err(blame), "{name}");
    }
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
struct Happened {
    /// By check: verdicts, and calls without one.
    verdicts: BTreeMap<Arc<str>, usize>,
    faults: BTreeMap<Arc<str>, usize>,
    /// The checks in quarantine.
    quarantined: Vec<Arc<str>>,
}

struct Watching {
    seen: Happened,
    told: watch::Sender<Happened>,
}

impl Observer for Watching {
    fn answered(&mut self, call: &Call, ended: &Evaluated, _: Duration) {
        let counts = if ended.answer.is_ok() { &mut self.seen.verdicts } else { &mut self.seen.faults };
        *counts.entry(call.check.clone()).or_default() += 1;
    }

    fn wrote(&mut self, _: &Patch, _: &Outcome, _: Duration) {}

    fn noted(&mut self, _: &Note) {}

    fn changed(&mut self, core: &Core) {
        if self.seen.faults.is_empty() {
            self.told.send_replace(self.seen.clone());
            return;
        }
        let held = core.tally().quarantined.into_iter().filter(|(_, held)| *held > 0);
        self.seen.quarantined = held.map(|(check, _)| check).collect();
        self.told.send_replace(self.seen.clone());
    }
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Written>>);

/// Conditions, by type.
type Written = Vec<(Arc<str>, Status)>;

impl Writer for Paper {
    async fn write(&self, patch: Patch) -> Outcome {
        let mut written = self.0.lock().unwrap();
        written.extend(patch.conditions.into_iter().map(|(gate, condition)| (gate, condition.status)));
        Outcome::Written(None)
    }
}

/// A host without a cluster.
struct Host {
    pods: mpsc::Sender<Event>,
    paper: Paper,
    seen: watch::Receiver<Happened>,
    _tasks: JoinSet<anyhow::Result<()>>,
}

impl Host {
    fn start(files: &Path) -> Self {
        let mut tasks = JoinSet::new();
        let sandbox = Sandbox::new().unwrap();
        let (catalog, scanning) = Catalog::start(vec![files.to_owned()], catalog::Options::default(), sandbox).unwrap();
        tasks.spawn(scanning);
        let (pods, events) = mpsc::channel(64);
        let (told, seen) = watch::channel(Happened::default());
        let paper = Paper::default();
        let inputs = Inputs { catalog, events, writer: paper.clone(), options: dispatch::Options::default() };
        let watching = Watching { seen: Happened::default(), told };
        tasks.spawn(drive(inputs, watching, std::future::pending()));
        Self { pods, paper, seen, _tasks: tasks }
    }

    /// Pods with the gate of one check.
    async fn pods(&self, check: &str, count: usize) {
        for n in 0..count {
            let uid = format!("{check}-{n}");
            let pod =
                Pod { namespace: "shop".into(), name: uid.clone(), uid, gates: vec![gate(check)], ..Pod::default() };
            self.pods.send(Event::Pod(0, Box::new(Seen { pod, ..Seen::default() }))).await.unwrap();
        }
    }

    async fn until(&mut self, what: &str, holds: impl FnMut(&Happened) -> bool) -> Happened {
        let waited = timeout(2 * ENOUGH, self.seen.wait_for(holds)).await;
        let seen = waited.map(|seen| seen.unwrap().clone());
        seen.unwrap_or_else(|_| panic!("never: {what}; instead: {:?}", *self.seen.borrow()))
    }
}

fn gate(check: &str) -> String {
    format!("example.com/{check}")
}

/// A check of that name, with a guest of another.
fn check(files: &Path, name: &str, plugin: &str, mut spec: Value) {
    std::fs::write(files.join(plugin).with_extension("wasm"), guest(plugin)).unwrap();
    spec["gate"] = json!(gate(name));
    spec["plugin"] = json!(format!("{plugin}.wasm"));
    spec["startWhen"] = json!("always");
    let (api, metadata) = ("gatehost.dev/v1alpha1", json!({ "name": name }));
    let check = json!({ "apiVersion": api, "kind": "Check", "metadata": metadata, "spec": spec });
    std::fs::write(files.join(name).with_extension("json"), check.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_plugins_are_quarantined_and_a_good_one_beside_them_says_what_it_would_say_alone() {
    const PODS: usize = 20;
    let files = tempfile::tempdir().unwrap();
    let hostile = ["spin", "panic", "eat"];
    for name in hostile {
        check(files.path(), name, name, json!({ "periodSeconds": 1 }));
    }
    check(files.path(), "good", "good", json!({ "periodSeconds": 1, "timeoutSeconds": 30 }));
    let mut host = Host::start(files.path());
    for name in hostile.into_iter().chain(["good"]) {
        host.pods(name, PODS).await;
    }
    let fault = |seen: &Happened, name: &str| seen.faults.get(name).copied().unwrap_or_default();
    let good = |seen: &Happened| seen.verdicts.get("good").copied().unwrap_or_default();
    let is_held = |seen: &Happened, name: &&str| seen.quarantined.iter().any(|held| **held == **name);
    let seen = host.until("they are quarantined", |seen| hostile.iter().all(|name| is_held(seen, name))).await;
    let before = good(&seen);
    let seen = host.until("the good one goes on", |seen| good(seen) >= before + 5 * PODS).await;
    assert!(hostile.iter().all(|name| fault(&seen, name) >= 10), "{seen:?}");
    assert!(!seen.faults.contains_key("good") && !seen.quarantined.contains(&"good".into()), "{seen:?}");
    let written = host.paper.0.lock().unwrap();
    let of_good: Vec<_> =
        written.iter().filter(|(kind, _)| **kind == *gate("good")).map(|(_, status)| *status).collect();
    assert_eq!(of_good, [Status::True; PODS], "each once");
    let of_others = written.iter().filter(|(kind, _)| **kind != *gate("good"));
    assert!(of_others.clone().count() > 0 && of_others.clone().all(|(_, status)| *status == Status::Unknown));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_with_ten_thousand_due_gates_does_not_starve_one_with_a_single() {
    const PODS: usize = 10_000;
    let files = tempfile::tempdir().unwrap();
    for name in ["busy", "calm"] {
        check(files.path(), name, "good", json!({ "periodSeconds": 3600, "timeoutSeconds": 60 }));
    }
    let mut host = Host::start(files.path());
    host.pods("busy", PODS).await;
    host.pods("calm", 1).await;
    let seen = host.until("the single one is asked", |seen| seen.verdicts.contains_key("calm")).await;
    // It may even be the first of all.
    let before = seen.verdicts.get("busy").copied().unwrap_or_default();
    assert!(before < PODS, "it waited for all the others: {:?}", seen.verdicts);
    let seen = host.until("all are asked", |seen| seen.verdicts.get("busy") == Some(&PODS)).await;
    assert!(seen.faults.is_empty(), "{:?}", seen.faults);
}
