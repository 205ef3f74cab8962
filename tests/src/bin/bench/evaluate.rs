//! One call of `annotation` in a fresh instance, on one core, next to wasmtime alone.
//!
//! Calls are counted by the processor time that they take, so that whoever else uses the core stays out of it; p50 and
//! p99 are times on the clock and suffer with the machine.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gatehost::{
    decide::Status,
    pod::{Container, ContainerState, Packed, Pod, Role},
    sandbox::{Evaluation, Grant, Kept, Plugin, Sandbox},
};
use tokio::task::JoinSet;

use crate::{
    Size,
    bare::{self, Empty, Guest},
    report::{Report, quantile},
    usage::own_cpu,
};

/// The first argument of the process that measures: pinned to a core before its runtimes count them.
pub(crate) const CHILD: &str = "evaluate-on-this-core";

/// A component of 120 bytes, and what an empty plugin in Rust is with all that its standard library brings.
const BARE: &str = "wasmtime alone";
const RUST: &str = "an empty Rust plugin";
const LANES: [usize; 3] = [1, 2, 8];

pub(crate) fn run(size: Size) -> Result<Report> {
    let [rounds, millis] = size.pick(["15", "400"], ["5", "200"]);
    let core = first_core()?;
    let mut child = Command::new("taskset");
    child.args(["--cpu-list", &core]).arg(std::env::current_exe()?).args([CHILD, rounds, millis]);
    let output = child.stderr(std::process::Stdio::inherit()).output().context("taskset (of util-linux)")?;
    ensure!(output.status.success(), "the measuring process failed: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The measuring process: prints a report as JSON.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [rounds, millis] = arguments else { anyhow::bail!("give the rounds and how long each takes") };
    let (rounds, span) = (rounds.parse()?, Duration::from_millis(millis.parse()?));
    let sandbox = Sandbox::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(async { tokio::spawn(measure(sandbox.clone(), rounds, span)).await? })?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn measure(sandbox: Sandbox, rounds: usize, span: Duration) -> Result<Report> {
    let mut report = Report::new("evaluate", "calls of `annotation`, each in a fresh instance, on one core");
    let path = gatehost_tests::target().join("plugins/annotation.wasm");
    let wasm = std::fs::read(&path).with_context(|| format!("{}: run `make plugins`", path.display()))?;
    let engine = bare::engine()?;
    let path = gatehost_tests::target().join("wasm32-wasip2/plugin/examples/good.wasm");
    let rust = std::fs::read(&path).with_context(|| format!("{}: run `make guests`", path.display()))?;
    let rust = Contender::Described(Arc::new(Guest::new(&engine, &rust)?));
    let described = Contender::Described(Arc::new(Guest::new(&engine, &wasm)?));
    let host = Contender::Host(sandbox.load(wasm).await?, question());
    let [empty, with_memory] = [false, true].map(|memory| Empty::new(&engine, memory).map(Arc::new));
    let empty = empty?;
    let mut turns = vec![
        (BARE.to_owned(), 1, Contender::Bare(empty.clone())),
        (format!("{BARE}, with a memory"), 1, Contender::Bare(with_memory?)),
        (format!("{BARE}, on the caller's stack"), 1, Contender::Here(empty)),
        (format!("{BARE}, {RUST}"), 1, rust),
        (format!("{BARE}, `annotation` describes itself"), 1, described),
    ];
    turns.extend(LANES.map(|lanes| (name(lanes), lanes, host.clone())));
    for round in 0..=rounds {
        for (name, lanes, contender) in &turns {
            let lap = lap(*lanes, span, contender).await?;
            // The first round warms up.
            if round > 0 {
                lap.add(&mut report, name);
            }
        }
    }
    let cpu = |name: &str| format!("{name}: CPU a call");
    for lanes in LANES {
        let host = name(lanes);
        report.ratio(&format!("{host}: next to {BARE}"), &cpu(&host), &cpu(BARE), Some(1.5));
        let rust = format!("{BARE}, {RUST}");
        report.ratio(&format!("{host}: next to {rust}"), &cpu(&host), &cpu(&rust), None);
    }
    Ok(report)
}

fn name(lanes: usize) -> String {
    format!("gatehost, {lanes} at once")
}

/// Who is called.
#[derive(Clone)]
enum Contender {
    Bare(Arc<Empty>),
    Here(Arc<Empty>),
    Described(Arc<Guest>),
    Host(Plugin, Evaluation),
}

impl Contender {
    async fn call(&self) -> Result<()> {
        match self {
            Self::Bare(empty) => empty.call().await,
            Self::Here(empty) => empty.call_here(),
            Self::Described(guest) => guest.describe().await,
            Self::Host(plugin, question) => {
                let answer = plugin.evaluate(question.clone()).await.answer;
                ensure!(answer.as_ref().is_ok_and(|verdict| verdict.status == Status::True), "{answer:?}");
                Ok(())
            }
        }
    }
}

/// What one lap of one contender took.
struct Lap {
    cpu: Duration,
    /// Of each call, in microseconds.
    took: Vec<f64>,
}

impl Lap {
    #[allow(clippy::cast_precision_loss, reason = "far fewer calls than that")]
    fn add(self, report: &mut Report, name: &str) {
        let calls = self.took.len() as f64;
        report.add(&format!("{name}: calls a second of CPU"), "/s", calls / self.cpu.as_secs_f64());
        report.add(&format!("{name}: CPU a call"), "us", self.cpu.as_secs_f64() * 1e6 / calls);
        report.add(&format!("{name}: p50"), "us", quantile(&self.took, 0.5));
        report.add(&format!("{name}: p99"), "us", quantile(&self.took, 0.99));
    }
}

/// Calls again and again, in as many lanes at once, for `span`.
async fn lap(lanes: usize, span: Duration, contender: &Contender) -> Result<Lap> {
    let (begin, cpu) = (Instant::now(), own_cpu());
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        let contender = contender.clone();
        tasks.spawn(async move {
            let mut took = Vec::new();
            while begin.elapsed() < span {
                let start = Instant::now();
                contender.call().await?;
                took.push(start.elapsed().as_secs_f64() * 1e6);
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(lane) = tasks.join_next().await {
        took.extend(lane??);
    }
    Ok(Lap { cpu: own_cpu().saturating_sub(cpu), took })
}

/// A pod as Deployments make them, approved.
fn question() -> Evaluation {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let container = |name: &str| Container {
        name: name.to_owned(),
        role: Role::App,
        state: ContainerState::Running,
        ready: true,
        restarts: 0,
        started_at: Some(1_700_000_000_000),
    };
    let pod = Pod {
        namespace: "shop".to_owned(),
        name: "web-7c9d8f6b5-x2x4z".to_owned(),
        uid: "0f1c6ad4-63f1-4a35-93ab-2f6a4a2a1f0e".to_owned(),
        generation: 1,
        created_at: 1_700_000_000_000,
        labels: pairs(&[("app", "web"), ("pod-template-hash", "7c9d8f6b5"), ("tier", "front")]),
        annotations: pairs(&[("example.com/approved", "yes"), ("prometheus.io/scrape", "true")]),
        ip: Some("10.1.2.3".to_owned()),
        node: Some("node-1".to_owned()),
        service_account: Some("default".to_owned()),
        phase: "Running".to_owned(),
        containers: vec![container("app"), container("proxy")],
        gates: vec!["example.com/approved".to_owned()],
        ..Pod::default()
    };
    Evaluation {
        check: "approved".into(),
        pod: Packed::new(&pod),
        config: r#"{"annotation":"example.com/approved"}"#.into(),
        now: 1_700_000_000_000,
        timeout: Duration::from_secs(1),
        grant: Grant::default(),
        kept: Kept::default(),
    }
}

/// The first core that this process may run on.
fn first_core() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no list of cores")?;
    Ok(list.trim().split([',', '-']).next().unwrap_or("0").to_owned())
}
