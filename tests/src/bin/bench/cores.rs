//! Calls of `annotation` in fresh instances, as many as there are: on one core and on two.

use std::time::{Duration, Instant};

use anyhow::Result;
use gatehost::sandbox::{Grant, Sandbox};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    Size,
    call::shipped,
    evaluate::{Contender, question},
    lap::lap,
    pinned,
    report::Report,
};

/// The first argument of the process that measures.
pub(crate) const CHILD: &str = "calls-on-these-cores";

/// Enough that no core is ever without a call.
const LANES: usize = 48;
/// How many calls one core makes next to two, at most: two make 1.8 times as many.
const AIM: f64 = 1.0 / 1.8;

#[derive(Serialize, Deserialize)]
struct Measured {
    calls: f64,
    span: Duration,
}

pub(crate) fn run(size: Size) -> Result<Report> {
    let mut report = Report::new("cores", "calls of `annotation`, each in a fresh instance, 48 at once");
    let (rounds, millis) = size.pick((10, "1000"), (4, "500"));
    for _ in 0..rounds {
        for cores in [1, 2] {
            let measured: Measured = pinned::run_on(cores, CHILD, &[millis])?;
            report.add(&name(cores), "/s", measured.calls / measured.span.as_secs_f64());
        }
    }
    report.ratio("one core next to two", &name(1), &name(2), Some(AIM));
    Ok(report)
}

fn name(cores: usize) -> String {
    if cores == 1 { "one core".to_owned() } else { format!("{cores} cores") }
}

/// The measuring process: prints what it measured as JSON.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [millis] = arguments else { anyhow::bail!("give how long it takes") };
    let span = Duration::from_millis(millis.parse()?);
    let sandbox = Sandbox::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(async {
        let plugin = sandbox.load(shipped("annotation")?).await?;
        let asked = question(&json!({ "annotation": "example.com/approved" }), Grant::default());
        let host = Contender::Host(plugin, asked);
        // Once to warm up.
        lap(LANES, span / 4, &host).await?;
        let begin = Instant::now();
        let calls = lap(LANES, span, &host).await?.calls();
        anyhow::Ok(Measured { calls, span: begin.elapsed() })
    })?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}
