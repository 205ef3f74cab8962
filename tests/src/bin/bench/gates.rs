//! 1,000 gates, each asked every second by the shipped check `http`, on one core: the processor time of the host next to
//! that of a bare loop which makes the same requests with the same library.
//!
//! The host is the real one without a cluster: catalog, dispatch and sandbox, 1,000 pods, and nothing to be written, as
//! is the case while no verdict changes. Each contender runs in a process of its own, in turns, and is counted from when
//! all have asked twice. The bare loop is 1,000 timers and one pooled client: it decides nothing.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gatehost::{
    catalog::{self, Catalog},
    decide::Status,
    dispatch::{self, Call, Core, Event, Inputs, Note, Observer, Outcome, Patch, drive},
    pod::{Pod, Seen},
    sandbox::{Evaluated, Sandbox},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    Size,
    call::{guest, shipped},
    client::Bare,
    evaluate::pod,
    pinned,
    reload::Paper,
    report::Report,
    server::Server,
    usage::own_cpu,
};

/// The first argument of the process that measures.
pub(crate) const CHILD: &str = "gates-on-this-core";

const GATES: usize = 1000;
const PERIOD: Duration = Duration::from_secs(1);

/// Longer than it takes until all have been asked twice.
const BOUND: Duration = Duration::from_mins(1);

const BARE: &str = "bare loop";
const HOST: &str = "gatehost, `http`";
const SILENT: &str = "gatehost, a check that asks nobody";
const CPU: &str = "CPU a request";

/// What one process measured.
#[derive(Serialize, Deserialize)]
struct Measured {
    cpu: Duration,
    span: Duration,
    /// Requests, or calls where nobody is asked.
    requests: u64,
}

pub(crate) fn run(size: Size) -> Result<Report> {
    let server = Server::start()?;
    let about = format!("{GATES} gates, each asked every second, on one core, next to a loop with the same requests");
    let mut report = Report::new("gates", &about);
    let (rounds, seconds) = size.pick((3, "6"), (2, "4"));
    for _ in 0..rounds {
        for name in [BARE, SILENT, HOST] {
            let measured: Measured = pinned::run(CHILD, &[name, seconds, &server.origin()])?;
            measured.add(&mut report, name);
        }
    }
    let cpu = |name: &str| format!("{name}: {CPU}");
    report.ratio(&format!("{HOST}: next to the {BARE}"), &cpu(HOST), &cpu(BARE), Some(1.3));
    let itself = cpu("gatehost, the request itself");
    report.difference(&itself, "us", &cpu(HOST), &cpu(SILENT), 1.0);
    report.ratio("gatehost, the request itself: next to the bare loop", &itself, &cpu(BARE), None);
    Ok(report)
}

impl Measured {
    #[allow(clippy::cast_precision_loss, reason = "far fewer requests than that")]
    fn add(&self, report: &mut Report, name: &str) {
        let requests = self.requests as f64;
        report.add(&format!("{name}: {CPU}"), "us", self.cpu.as_secs_f64() * 1e6 / requests);
        report.add(&format!("{name}: requests a second"), "/s", requests / self.span.as_secs_f64());
        let share = self.cpu.as_secs_f64() / self.span.as_secs_f64() * 100.0;
        report.add(&format!("{name}: of the core"), "%", share);
    }
}

/// The measuring process: prints what it measured as JSON.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [name, seconds, origin] = arguments else { anyhow::bail!("give who, for how many seconds, the server") };
    let span = Duration::from_secs(seconds.parse()?);
    let url = format!("{origin}/");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = match name.as_str() {
        BARE => runtime.block_on(bare(&url, span)),
        HOST => {
            let spec = json!({ "config": { "url": url }, "allow": { "http": [origin] } });
            runtime.block_on(host(shipped("http")?, spec, span))
        }
        // Allowed the same, and never asking for it.
        _ => {
            let spec = json!({ "config": { "steps": [] }, "allow": { "http": [origin] } });
            runtime.block_on(host(guest("ask")?, spec, span))
        }
    }?;
    println!("{}", serde_json::to_string(&measured)?);
    // What is still at work ends with the process.
    runtime.shutdown_background();
    Ok(())
}

async fn bare(url: &str, span: Duration) -> Result<Measured> {
    let client = Bare::new(url)?;
    let count = Arc::new(AtomicU64::new(0));
    let mut loops = JoinSet::new();
    for n in 0..GATES {
        let (client, count) = (client.clone(), count.clone());
        loops.spawn(async move {
            // Spread over the period, as the host does it.
            sleep(PERIOD * u32::try_from(n)? / u32::try_from(GATES)?).await;
            let mut due = interval(PERIOD);
            due.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                due.tick().await;
                client.get().await?;
                count.fetch_add(1, Relaxed);
            }
            #[allow(unreachable_code, reason = "it says what the loop fails with")]
            anyhow::Ok(())
        });
    }
    sleep(2 * PERIOD).await;
    let measured = tokio::select! {
        ended = loops.join_next() => return Err(ended.context("no loop")??.err().context("a loop ended")?),
        measured = measure(&count, span) => measured,
    };
    Ok(measured)
}

async fn host(wasm: Vec<u8>, spec: Value, span: Duration) -> Result<Measured> {
    let dir = tempfile::tempdir()?;
    fs::write(dir.path().join("plugin.wasm"), wasm)?;
    fs::write(dir.path().join("check.yaml"), check(spec).to_string())?;
    let (counts, mut twice) = watch::channel(false);
    let count = Arc::new(AtomicU64::new(0));
    let observer = Counting { count: count.clone(), asked: HashSet::new(), again: HashSet::new(), twice: counts };
    let mut driving = JoinSet::new();
    start(dir.path(), observer, &mut driving).await?;
    let ready = timeout(BOUND, twice.wait_for(|twice| *twice));
    tokio::select! {
        ended = driving.join_next() => return Err(ended.context("no host")??.err().context("the host ended")?),
        ready = ready => {
            ready.context("not all gates were asked twice")?.context("the host ended")?;
        }
    }
    let measured = tokio::select! {
        ended = driving.join_next() => return Err(ended.context("no host")??.err().context("the host ended")?),
        measured = measure(&count, span) => measured,
    };
    ensure!(count.load(Relaxed) < WRONG, "a verdict was not as it should be");
    Ok(measured)
}

/// A check like any other, asked every second.
fn check(mut spec: Value) -> Value {
    spec["gate"] = json!("example.com/approved");
    spec["plugin"] = json!("plugin.wasm");
    spec["periodSeconds"] = json!(PERIOD.as_secs());
    spec["startWhen"] = json!("always");
    json!({
        "apiVersion": "gatehost.dev/v1alpha1",
        "kind": "Check",
        "metadata": { "name": "bench" },
        "spec": spec,
    })
}

/// The host without a cluster, with all pods.
async fn start(files: &Path, observer: Counting, driving: &mut JoinSet<Result<()>>) -> Result<()> {
    let options = catalog::Options::default();
    let (catalog, scanning) = Catalog::start(vec![files.to_owned()], options, Sandbox::new()?)?;
    driving.spawn(scanning);
    let (pods, events) = mpsc::channel(GATES + 2);
    pods.send(Event::ListStarted(0)).await?;
    for n in 0..GATES {
        let pod = Pod { name: format!("web-{n}"), uid: format!("u-{n}"), ..pod() };
        pods.send(Event::Pod(0, Box::new(Seen { pod, ..Seen::default() }))).await?;
    }
    pods.send(Event::ListDone(0)).await?;
    let inputs = Inputs { catalog, events, writer: Paper, options: dispatch::Options::default() };
    driving.spawn(async move {
        // Dropped, they would end the host.
        let _pods = pods;
        let (_stop, stopped) = oneshot::channel::<()>();
        drive(inputs, observer, async { drop(stopped.await) }).await
    });
    Ok(())
}

/// What happens while it takes its time.
async fn measure(count: &AtomicU64, span: Duration) -> Measured {
    let (begin, cpu, before) = (Instant::now(), own_cpu(), count.load(Relaxed));
    sleep(span).await;
    let requests = count.load(Relaxed).saturating_sub(before);
    Measured { cpu: own_cpu().saturating_sub(cpu), span: begin.elapsed(), requests }
}

/// More than are ever counted: what a wrong verdict makes of the count.
const WRONG: u64 = 1 << 40;

/// Counts answers.
struct Counting {
    count: Arc<AtomicU64>,
    /// Who was asked, and who was asked again, until all were.
    asked: HashSet<Arc<str>>,
    again: HashSet<Arc<str>>,
    twice: watch::Sender<bool>,
}

impl Observer for Counting {
    fn answered(&mut self, call: &Call, ended: &Evaluated, _: Duration) {
        let is_met = ended.answer.as_ref().is_ok_and(|verdict| verdict.status == Status::True);
        self.count.fetch_add(if is_met { 1 } else { WRONG }, Relaxed);
        if self.again.len() < GATES {
            if !self.asked.insert(call.key.uid.clone()) {
                self.again.insert(call.key.uid.clone());
            }
            if self.again.len() == GATES {
                self.twice.send_replace(true);
            }
        }
    }

    fn wrote(&mut self, _: &Patch, _: &Outcome, _: Duration) {}

    fn noted(&mut self, _: &Note) {}

    fn changed(&mut self, _: &Core) {}
}
