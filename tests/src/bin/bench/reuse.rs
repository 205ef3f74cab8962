//! One call of the check of plugins/examples in each language: in a fresh instance, in one that has served before, and the
//! same logic as a function of this program. On one core.

use std::{fs, hint::black_box, time::Duration};

use anyhow::{Context as _, Result, ensure};
use gatehost::{
    check,
    decide::Status,
    pod::{ContainerState, Packed, Pod, Role},
    sandbox::{Evaluation, Grant, Plugin, Sandbox},
};
use serde_json::{Value, json};

use crate::{
    Size,
    evaluate::{pod, question},
    lap::{self, lap, lap_here},
    pinned,
    report::Report,
};

/// The first argument of the process that measures.
pub(crate) const CHILD: &str = "reuse-on-this-core";

const NATIVE: &str = "native Rust";
/// What a language's fresh call may take at least next to its reused one.
const LANGUAGES: [(&str, Option<f64>); 4] =
    [("rust", None), ("c", None), ("javascript", Some(1.0 / 8.0)), ("python", Some(1.0 / 20.0))];
const LANES: [usize; 2] = [1, 8];
/// What a reused call of the Rust guest may take, in microseconds.
const AIM: f64 = 3.0;

pub(crate) fn run(size: Size) -> Result<Report> {
    let [rounds, millis] = size.pick(["10", "400"], ["4", "200"]);
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
    let mut report = Report::new("reuse", "calls of the example check in each language, fresh and reused, on one core");
    let config = json!({ "tracks": ["front", "web"], "settleSeconds": 10 });
    let mut turns = Vec::new();
    for (language, _) in LANGUAGES {
        let path = gatehost_tests::target().join(format!("examples/on-track-{language}.wasm"));
        let wasm = fs::read(&path).with_context(|| format!("{}: run `make examples`", path.display()))?;
        let plugin = sandbox.load(wasm).await.with_context(|| path.display().to_string())?;
        for kind in ["fresh", "reuse"] {
            let grant = grant(&sandbox, kind)?;
            turns.push((format!("{language}, {kind}"), Guest(plugin.clone(), asking(&tracked(), &config, grant))));
        }
    }
    for round in 0..=rounds {
        let native = lap_here(span, || {
            ensure!(on_track(black_box(&tracked()), black_box(&config)), "the native check says no");
            Ok(())
        })?;
        if round > 0 {
            native.add(&mut report, NATIVE);
        }
        for lanes in LANES {
            for (name, guest) in &turns {
                let lap = lap(lanes, span, guest).await?;
                // The first round warms up.
                if round > 0 {
                    lap.add(&mut report, &format!("{name}, {lanes} at once"));
                }
            }
        }
    }
    for lanes in LANES {
        for (language, aim) in LANGUAGES {
            let cpu = |kind: &str| format!("{language}, {kind}, {lanes} at once: CPU a call");
            report.ratio(
                &format!("{language}, {lanes} at once: reused next to fresh"),
                &cpu("reuse"),
                &cpu("fresh"),
                aim,
            );
        }
        let rust = format!("rust, reuse, {lanes} at once: CPU a call");
        report.aim(&rust, AIM);
        let native = format!("{NATIVE}: CPU a call");
        report.ratio(&format!("rust, reused, {lanes} at once: next to {NATIVE}"), &rust, &native, None);
    }
    Ok(report)
}

/// What a check with these `instances` is granted.
pub(crate) fn grant(sandbox: &Sandbox, instances: &str) -> Result<Grant> {
    let mut document = json!({
        "apiVersion": "gatehost.dev/v1alpha1",
        "kind": "Check",
        "metadata": { "name": "bench" },
        "spec": { "gate": "example.com/bench", "plugin": "on-track.wasm", "instances": instances },
    });
    if instances == "reuse" {
        document["spec"]["reuse"] = json!({ "maxCalls": 1_000_000, "maxMemory": "64Mi" });
    }
    let parsed = check::parse(&document.to_string(), false);
    ensure!(parsed.broken.is_empty(), "{:?}", parsed.broken);
    Ok(sandbox.grant_to(parsed.checks.first().context("no check")?)?)
}

pub(crate) fn asking(pod: &Pod, config: &Value, grant: Grant) -> Evaluation {
    Evaluation { pod: Packed::new(pod), ..question(config, grant) }
}

/// A pod that the check is True for.
pub(crate) fn tracked() -> Pod {
    let mut pod = pod();
    pod.labels.push(("track".to_owned(), "web".to_owned()));
    for container in &mut pod.containers {
        container.started_at = Some(1_699_999_900_000);
    }
    pod
}

/// Who is called, and with what: the check must say True.
#[derive(Clone)]
pub(crate) struct Guest(pub(crate) Plugin, pub(crate) Evaluation);

impl lap::Contender for Guest {
    async fn call(&self) -> Result<()> {
        let answer = self.0.evaluate(self.1.clone()).await.answer;
        ensure!(answer.as_ref().is_ok_and(|verdict| verdict.status == Status::True), "{answer:?}");
        Ok(())
    }
}

/// The logic of plugins/examples, without its messages.
fn on_track(pod: &Pod, config: &Value) -> bool {
    const NOW: i64 = 1_700_000_000_000;
    let label = pod.labels.iter().find(|(key, _)| key == "track").map(|(_, value)| value.as_str());
    let tracks = config["tracks"].as_array().map_or(&[][..], Vec::as_slice);
    let settle = config["settleSeconds"].as_i64().unwrap_or(10);
    let mut running = pod.containers.iter().filter(|container| container.role != Role::Init);
    let newest = running.clone().filter_map(|container| container.started_at).max();
    tracks.iter().any(|track| track.as_str() == label)
        && running.all(|container| container.state == ContainerState::Running)
        && newest.is_some_and(|newest| NOW >= newest + 1000 + settle * 1000)
}
