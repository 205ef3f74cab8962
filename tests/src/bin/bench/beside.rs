//! The host without a cluster, with a good check whose every call is timed, and whatever else works beside it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gatehost::{
    catalog::{self, Catalog},
    decide::Status,
    dispatch::{self, Call, Core, Event, GateKey, Inputs, Note, Observer, Outcome, Patch, Writer, drive},
    pod::{Pod, Seen},
    sandbox::{self, Evaluated, Sandbox},
};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{compile::compiler, evaluate::pod};

/// The name of the good check.
pub(crate) const GOOD: &str = "good";

/// Longer than it takes until all have been asked once.
const BOUND: Duration = Duration::from_mins(2);

/// A gate that is asked every second and had no answer for so long was lost.
const LOST: Duration = Duration::from_secs(10);

/// What has been seen since it was last taken.
#[derive(Debug, Default)]
pub(crate) struct Happened {
    /// From due to verdict, of each call of the good check, in milliseconds.
    pub(crate) took: Vec<f64>,
    /// Calls of others.
    pub(crate) others: u64,
    /// Answers of the good check that were no True, and conditions of it that were written so.
    pub(crate) wrong: u64,
    /// Answers of an older generation than one that its gate had before.
    pub(crate) old: u64,
}

#[derive(Default)]
struct Counts {
    happened: Happened,
    generations: HashMap<GateKey, u64>,
    /// By check, the generations that have answered.
    versions: BTreeMap<Arc<str>, BTreeSet<u64>>,
    /// When each gate of the good check last had an answer.
    last: HashMap<GateKey, Instant>,
    /// The gates of the good check that have been asked.
    asked: usize,
}

/// What the observer, the writer and the leg share.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Counts>>);

impl Shared {
    fn with<T>(&self, look: impl FnOnce(&mut Counts) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A host at work.
pub(crate) struct Host {
    shared: Shared,
    pods: mpsc::Sender<Event>,
    tasks: JoinSet<Result<()>>,
}

impl Host {
    /// A host on these files. Without `quarantine` what is hostile stays at full tilt.
    pub(crate) fn start(files: &Path, quarantine: bool) -> Result<Self> {
        let sandbox = Sandbox::with(sandbox::Options { compiler: compiler()?, ..sandbox::Options::default() })?;
        let (catalog, scanning) = Catalog::start(vec![files.to_owned()], catalog::Options::default(), sandbox)?;
        let (shared, mut tasks) = (Shared::default(), JoinSet::new());
        tasks.spawn(scanning);
        let (pods, events) = mpsc::channel(64);
        let options = dispatch::Options { quarantine, ..dispatch::Options::default() };
        let (observer, writer) = (shared.clone(), shared.clone());
        tasks.spawn(async move {
            // Dropped, it would end the host.
            let (_stop, stopped) = oneshot::channel::<()>();
            drive(Inputs { catalog, events, writer, options }, observer, async { drop(stopped.await) }).await
        });
        Ok(Self { shared, pods, tasks })
    }

    /// Pods with the gate of a check; `round` is what changes of them.
    pub(crate) async fn pods(&self, check: &str, count: usize, round: u64) -> Result<()> {
        send(&self.pods, check, count, round).await
    }

    /// Changes these pods once a second from now on, so that their gates are due whatever their backoff.
    pub(crate) fn change_all_the_time(&mut self, check: &'static str, count: usize) {
        let pods = self.pods.clone();
        self.tasks.spawn(async move {
            for round in 1.. {
                sleep(Duration::from_secs(1)).await;
                send(&pods, check, count, round).await?;
            }
            Ok(())
        });
    }

    /// Waits until so many gates of the good check have been asked.
    pub(crate) async fn until_asked(&mut self, gates: usize) -> Result<()> {
        self.until("not all gates were asked", |counts| counts.asked >= gates).await
    }

    /// Waits until so many versions of a check have answered.
    pub(crate) async fn until_versions(&mut self, check: &str, versions: usize) -> Result<()> {
        let has = |counts: &mut Counts| counts.versions.get(check).is_some_and(|known| known.len() >= versions);
        self.until("no answer of the new version", has).await
    }

    /// The gates of the good check that had no answer for many periods.
    pub(crate) fn lost(&self) -> usize {
        self.shared.with(|counts| counts.last.values().filter(|last| last.elapsed() > LOST).count())
    }

    async fn until(&mut self, otherwise: &'static str, holds: impl Fn(&mut Counts) -> bool) -> Result<()> {
        let waits = async {
            while !self.shared.with(&holds) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(BOUND, waits).await.context(otherwise)?;
        self.check()
    }

    /// What happened since the last time.
    pub(crate) fn take(&mut self) -> Result<Happened> {
        self.check()?;
        Ok(self.shared.with(|counts| std::mem::take(&mut counts.happened)))
    }

    fn check(&mut self) -> Result<()> {
        match self.tasks.try_join_next() {
            Some(ended) => Err(ended?.err().context("the host ended")?),
            None => Ok(()),
        }
    }
}

async fn send(pods: &mpsc::Sender<Event>, check: &str, count: usize, round: u64) -> Result<()> {
    for n in 0..count {
        let (uid, gates) = (format!("{check}-{n}"), vec![gate(check)]);
        let annotations =
            vec![("example.com/approved".into(), "yes".into()), ("example.com/round".into(), round.to_string())];
        let pod = Pod { name: uid.clone(), uid, gates, annotations, ..pod() };
        let seen = Seen { pod, resource_version: (round + 1).to_string(), over: false };
        pods.send(Event::Pod(0, Box::new(seen))).await.ok().context("the host ended")?;
    }
    Ok(())
}

fn gate(check: &str) -> String {
    format!("example.com/{check}")
}

/// Writes a check and its plugin.
pub(crate) fn check(files: &Path, name: &str, wasm: &[u8], mut spec: Value) -> Result<()> {
    std::fs::write(files.join(name).with_extension("wasm"), wasm)?;
    spec["gate"] = json!(gate(name));
    spec["plugin"] = json!(format!("{name}.wasm"));
    spec["periodSeconds"] = json!(1);
    spec["startWhen"] = json!("always");
    let (api, metadata) = ("gatehost.dev/v1alpha1", json!({ "name": name }));
    let check = json!({ "apiVersion": api, "kind": "Check", "metadata": metadata, "spec": spec });
    Ok(std::fs::write(files.join(name).with_extension("json"), check.to_string())?)
}

impl Happened {
    /// Fails where a call of the good check had no answer, or the wrong one.
    pub(crate) fn ensure_right(&self, name: &str) -> Result<()> {
        ensure!(self.wrong == 0 && self.old == 0, "{name}: {} wrong answers, {} of old code", self.wrong, self.old);
        Ok(())
    }
}

impl Observer for Shared {
    fn answered(&mut self, call: &Call, ended: &Evaluated, took: Duration) {
        let is_met = ended.answer.as_ref().is_ok_and(|verdict| verdict.status == Status::True);
        self.with(|counts| {
            let before = counts.generations.insert(call.key.clone(), call.generation);
            counts.happened.old += u64::from(before.is_some_and(|before| before > call.generation));
            counts.versions.entry(call.check.clone()).or_default().insert(call.generation);
            if *call.check == *GOOD {
                counts.last.insert(call.key.clone(), Instant::now());
                counts.asked += usize::from(before.is_none());
                counts.happened.took.push((call.waited + took).as_secs_f64() * 1e3);
                counts.happened.wrong += u64::from(!is_met);
            } else {
                counts.happened.others += 1;
            }
        });
    }

    fn wrote(&mut self, _: &Patch, _: &Outcome, _: Duration) {}

    fn noted(&mut self, _: &Note) {}

    fn changed(&mut self, _: &Core) {}
}

impl Writer for Shared {
    async fn write(&self, patch: Patch) -> Outcome {
        let good = gate(GOOD);
        let wrong = patch.conditions.iter().filter(|(kind, c)| **kind == *good && c.status != Status::True).count();
        self.with(|counts| counts.happened.wrong += wrong as u64);
        Outcome::Written(None)
    }
}
