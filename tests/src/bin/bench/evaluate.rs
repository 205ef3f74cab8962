//! One call of `annotation` in a fresh instance, on one core, next to wasmtime alone.
//!
//! Calls are counted by the processor time that they take, so that whoever else uses the core stays out of it; p50 and
//! p99 are times on the clock and suffer with the machine.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, ensure};
use gatehost::{
    decide::Status,
    pod::{Container, ContainerState, Packed, Pod, Role},
    sandbox::{Evaluation, Grant, Kept, Plugin, Sandbox},
};
use serde_json::{Value, json};

use crate::{
    Size,
    bare::{self, Empty, Guest},
    call::{guest, shipped},
    lap::{self, lap},
    pinned,
    report::Report,
};

/// The first argument of the process that measures: pinned to a core before its runtimes count them.
pub(crate) const CHILD: &str = "evaluate-on-this-core";

/// A component of 120 bytes, and what an empty plugin in Rust is with all that its standard library brings.
const BARE: &str = "wasmtime alone";
const RUST: &str = "an empty Rust plugin";
/// The same without a pool of instances.
const ON_DEMAND: &str = "an empty Rust plugin, allocated on demand";
const LANES: [usize; 3] = [1, 2, 8];

pub(crate) fn run(size: Size) -> Result<Report> {
    let [rounds, millis] = size.pick(["15", "400"], ["5", "200"]);
    pinned::run(CHILD, &[rounds, millis])
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
    let wasm = shipped("annotation")?;
    let engine = bare::engine()?;
    let good = guest("good")?;
    let rust = Contender::Described(Arc::new(Guest::new(&engine, &good)?));
    let on_demand = Contender::Described(Arc::new(Guest::new(&bare::on_demand()?, &good)?));
    let described = Contender::Described(Arc::new(Guest::new(&engine, &wasm)?));
    let approved = question(&json!({ "annotation": "example.com/approved" }), Grant::default());
    let host = Contender::Host(sandbox.load(wasm).await?, approved);
    let [empty, with_memory] = [false, true].map(|memory| Empty::new(&engine, memory).map(Arc::new));
    let empty = empty?;
    let mut turns = vec![
        (BARE.to_owned(), 1, Contender::Bare(empty.clone())),
        (format!("{BARE}, with a memory"), 1, Contender::Bare(with_memory?)),
        (format!("{BARE}, on the caller's stack"), 1, Contender::Here(empty)),
        (format!("{BARE}, {RUST}"), 1, rust),
        (format!("{BARE}, {ON_DEMAND}"), 1, on_demand),
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
        report.ratio(&format!("{host}: next to {BARE}"), &cpu(&host), &cpu(BARE), None);
        for (peer, aim) in [(RUST, 1.3), (ON_DEMAND, 1.0 / 2.5)] {
            let peer = format!("{BARE}, {peer}");
            report.ratio(&format!("{host}: next to {peer}"), &cpu(&host), &cpu(&peer), Some(aim));
        }
    }
    Ok(report)
}

fn name(lanes: usize) -> String {
    format!("gatehost, {lanes} at once")
}

/// Who is called.
#[derive(Clone)]
pub(crate) enum Contender {
    Bare(Arc<Empty>),
    Here(Arc<Empty>),
    Described(Arc<Guest>),
    Host(Plugin, Evaluation),
}

impl lap::Contender for Contender {
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

/// A question about [`pod`].
pub(crate) fn question(config: &Value, grant: Grant) -> Evaluation {
    Evaluation {
        check: "approved".into(),
        pod: Packed::new(&pod()),
        config: config.to_string().into(),
        now: 1_700_000_000_000,
        timeout: Duration::from_secs(1),
        grant,
        kept: Kept::default(),
    }
}

/// A pod as Deployments make them, approved.
pub(crate) fn pod() -> Pod {
    let pairs = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let container = |name: &str| Container {
        name: name.to_owned(),
        role: Role::App,
        state: ContainerState::Running,
        ready: true,
        restarts: 0,
        started_at: Some(1_700_000_000_000),
    };
    Pod {
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
    }
}
