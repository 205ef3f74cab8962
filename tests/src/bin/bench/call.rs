//! A call that asks an HTTP server, next to a pooled client alone that asks the same server.
//!
//! Both keep their connections, and both run on one core; the server has another, if there is one. What the request
//! itself costs in a call is an eighth of what a call of the guest `ask` with nine requests takes more than one with a
//! single request: the crossing of the sandbox twice, the check against `spec.allow`, the client, the copies of headers
//! and body, and the little that the guest does with them. The first request of a call pays for the guest's memory.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatehost::{
    check,
    decide::Status,
    sandbox::{Evaluation, Plugin, Sandbox},
};
use serde_json::{Value, json};

use crate::{
    Size,
    client::Bare,
    evaluate::question,
    lap::{self, lap},
    pinned,
    report::Report,
    server::Server,
};

/// The first argument of the process that measures.
pub(crate) const CHILD: &str = "http-on-this-core";

const BARE: &str = "the client alone";
const WITHOUT: &str = "a call that asks nobody";
const WITH: &str = "a call that asks";
const NINE: &str = "a call that asks nine times";
/// How many requests more that is.
const MORE: f64 = 8.0;
const SHIPPED: &str = "a call of the shipped `http`";
const ITSELF: &str = "the request in a call";
const LANES: [usize; 2] = [1, 8];
/// What the request itself may cost in a call, next to the client alone.
const AIM: f64 = 1.2;

pub(crate) fn run(size: Size) -> Result<Report> {
    let server = Server::start()?;
    let [rounds, millis] = size.pick(["15", "400"], ["5", "200"]);
    pinned::run(CHILD, &[rounds, millis, &server.origin()])
}

/// The measuring process: prints a report as JSON.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [rounds, millis, origin] = arguments else { anyhow::bail!("give the rounds, how long each takes, the server") };
    let (rounds, span) = (rounds.parse()?, Duration::from_millis(millis.parse()?));
    let sandbox = Sandbox::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let origin = origin.clone();
    let report = runtime.block_on(async { tokio::spawn(measure(sandbox.clone(), rounds, span, origin)).await? })?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn measure(sandbox: Sandbox, rounds: usize, span: Duration, origin: String) -> Result<Report> {
    let mut report = Report::new("http", "requests to a server on loopback, connections kept, on one core");
    let url = format!("{origin}/");
    let ask = sandbox.load(guest("ask")?).await?;
    let shipped = sandbox.load(shipped("http")?).await?;
    let grant = sandbox.grant(&allowed(&origin)?)?;
    let asking = |plugin: &Plugin, config: Value| Contender::Host(plugin.clone(), question(&config, grant.clone()));
    let step = json!({ "http": { "url": url } });
    let turns = [
        (BARE, Contender::Bare(Bare::new(&url)?)),
        (WITHOUT, asking(&ask, json!({ "steps": [] }))),
        (WITH, asking(&ask, json!({ "steps": [step] }))),
        (NINE, asking(&ask, json!({ "steps": vec![&step; 9] }))),
        (SHIPPED, asking(&shipped, json!({ "url": url }))),
    ];
    for round in 0..=rounds {
        for lanes in LANES {
            for (name, contender) in &turns {
                let lap = lap(lanes, span, contender).await?;
                // The first round warms up.
                if round > 0 {
                    lap.add(&mut report, &at_once(name, lanes));
                }
            }
        }
    }
    for lanes in LANES {
        // With many at once each waits for the others: only the processor's time can be taken apart.
        for figure in if lanes == 1 { &["p50", "CPU a call"][..] } else { &["CPU a call"] } {
            let [bare, with, nine, shipped, itself] =
                [BARE, WITH, NINE, SHIPPED, ITSELF].map(|name| format!("{}: {figure}", at_once(name, lanes)));
            report.difference(&itself, "us", &nine, &with, MORE);
            report.ratio(&format!("{itself}, next to {BARE}"), &itself, &bare, Some(AIM));
            report.ratio(&format!("{with}, next to {BARE}"), &with, &bare, None);
            report.ratio(&format!("{shipped}, next to {BARE}"), &shipped, &bare, None);
        }
    }
    Ok(report)
}

fn at_once(name: &str, lanes: usize) -> String {
    format!("{name}, {lanes} at once")
}

#[derive(Clone)]
enum Contender {
    Bare(Bare),
    Host(Plugin, Evaluation),
}

impl lap::Contender for Contender {
    async fn call(&self) -> Result<()> {
        match self {
            Self::Bare(bare) => bare.get().await,
            Self::Host(plugin, question) => {
                let answer = plugin.evaluate(question.clone()).await.answer;
                // What went wrong with a request is told in the guest's message, and by the shipped check's status.
                let is_right = answer.as_ref().is_ok_and(|verdict| {
                    verdict.status == Status::True && (verdict.message.is_empty() || verdict.message.contains("200"))
                });
                ensure!(is_right, "{answer:?}");
                Ok(())
            }
        }
    }
}

/// What a check with this entry alone may reach.
fn allowed(origin: &str) -> Result<check::Allow> {
    let document = json!({
        "apiVersion": "gatehost.dev/v1alpha1",
        "kind": "Check",
        "metadata": { "name": "bench" },
        "spec": { "gate": "example.com/bench", "plugin": "ask.wasm", "allow": { "http": [origin] } },
    });
    let parsed = check::parse(&document.to_string(), false);
    ensure!(parsed.broken.is_empty(), "{:?}", parsed.broken);
    Ok(parsed.checks.into_iter().next().context("no check")?.allow)
}

/// A plugin of the tests.
pub(crate) fn guest(name: &str) -> Result<Vec<u8>> {
    let path = gatehost_tests::target().join(format!("wasm32-wasip2/plugin/examples/{name}.wasm"));
    std::fs::read(&path).with_context(|| format!("{}: run `make guests`", path.display()))
}

/// A shipped check.
pub(crate) fn shipped(name: &str) -> Result<Vec<u8>> {
    let path = gatehost_tests::target().join(format!("plugins/{name}.wasm"));
    std::fs::read(&path).with_context(|| format!("{}: run `make plugins`", path.display()))
}
