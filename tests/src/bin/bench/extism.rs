//! The check of plugins/examples in Rust, next to the same check as a plugin of Extism: JSON in, JSON out. On one core.
//!
//! Extism's plugin is built as ours is, compiled before anything is measured, has the same limits on time and memory, and
//! is handed JSON made beforehand, with nothing of the pod in it that plugins of the host do not see. Both are first asked
//! about a few pods, and must say the same of each. Extism calls on its caller's thread, one call after the other; ours
//! are made one at a time and several at once.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gatehost::{
    pod::{ContainerState, Pod},
    sandbox::{Grant, Sandbox},
};
use gatehost_tests::target;
use serde_json::{Value, json};

use crate::{
    Size,
    lap::{Lap, lap},
    pinned,
    report::Report,
    reuse::{Guest, asking, grant, tracked},
    runner::{Runner, Said, question},
};

/// The first argument of the process that measures.
pub(crate) const CHILD: &str = "extism-on-this-core";

const LANES: [usize; 2] = [1, 8];

/// One way to call Extism.
struct Way {
    /// What the runner is told.
    told: &'static str,
    name: &'static str,
    /// Which of our calls stands beside it.
    ours: &'static str,
    /// What ours may take at most, next to it.
    aim: f64,
}

const WAYS: [Way; 3] = [
    Way { told: "fresh", name: "Extism, fresh", ours: "fresh", aim: 1.0 / 5.0 },
    Way { told: "pooled", name: "Extism, fresh, given a pool", ours: "fresh", aim: 1.0 / 5.0 },
    Way { told: "reused", name: "Extism, reused", ours: "reuse", aim: 1.0 },
];

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
    let mut report = Report::new("extism", "calls of the example check in Rust, next to Extism, on one core");
    let config = json!({ "tracks": ["front", "web"], "settleSeconds": 10 });
    let path = target().join("examples/on-track-rust.wasm");
    let wasm = fs::read(&path).with_context(|| format!("{}: run `make examples`", path.display()))?;
    let plugin = sandbox.load(wasm).await.with_context(|| path.display().to_string())?;
    let mut runner = Runner::start()?;
    for pod in pods() {
        let guest = Guest(plugin.clone(), asking(&pod, &config, Grant::default()));
        agree(&mut runner, &guest, &pod, &config).await?;
    }
    let pod = tracked();
    let guests = ["fresh", "reuse"].map(|kind| {
        let grant = grant(&sandbox, kind)?;
        anyhow::Ok((kind, Guest(plugin.clone(), asking(&pod, &config, grant))))
    });
    let guests = guests.into_iter().collect::<Result<Vec<_>>>()?;
    for round in 0..=rounds {
        // The first round warms up.
        let mut add = |lap: Lap, name: &str| {
            if round > 0 {
                lap.add(&mut report, name);
            }
        };
        for (kind, guest) in &guests {
            for lanes in LANES {
                add(lap(lanes, span, guest).await?, &name(kind, lanes));
            }
            for Way { told, name, .. } in WAYS.iter().filter(|way| way.ours == *kind) {
                add(runner.lap(told, &question(&pod, &config, guest.1.now), span)?, name);
            }
        }
    }
    let cpu = |name: &str| format!("{name}: CPU a call");
    for Way { name: theirs, ours, aim, .. } in WAYS {
        for lanes in LANES {
            let ours = name(ours, lanes);
            report.ratio(&format!("{ours}: next to {theirs}"), &cpu(&ours), &cpu(theirs), Some(aim));
        }
    }
    Ok(report)
}

fn name(kind: &str, lanes: usize) -> String {
    format!("gatehost, {kind}, {lanes} at once")
}

/// Fails where both do not say the same of a pod, to the letter.
async fn agree(runner: &mut Runner, guest: &Guest, pod: &Pod, config: &Value) -> Result<()> {
    let Guest(plugin, asked) = guest;
    let verdict = plugin.evaluate(asked.clone()).await.answer;
    let ours = Said::from(verdict.map_err(|fault| anyhow::anyhow!("{fault:?}"))?);
    for Way { told, name, .. } in WAYS {
        let theirs = runner.ask(told, &question(pod, config, asked.now))?;
        ensure!(theirs == ours, "{name}: {theirs:?}, but ours: {ours:?}");
    }
    Ok(())
}

/// A pod for each verdict that the check gives of running containers and of such as do not run.
fn pods() -> [Pod; 6] {
    let with = |change: fn(&mut Pod)| {
        let mut pod = tracked();
        change(&mut pod);
        pod
    };
    [
        tracked(),
        with(|pod| pod.labels.retain(|(key, _)| key != "track")),
        with(|pod| pod.labels.iter_mut().filter(|(key, _)| key == "track").for_each(|(_, track)| track.push('2'))),
        with(|pod| pod.containers[0].state = ContainerState::Waiting),
        with(|pod| pod.containers[0].started_at = None),
        with(|pod| pod.annotations.push(("example.com/settle-seconds".to_owned(), "300".to_owned()))),
    ]
}
