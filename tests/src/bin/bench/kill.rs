//! 50 guests that compute for ever, at once: how late each call ends after its deadline, and for how long their threads
//! compute on after the last one.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use gatehost::sandbox::{Evaluation, Grant, Sandbox};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Size,
    call::guest,
    evaluate::question,
    report::{Report, quantile},
    usage::own_cpu,
};

const AT_ONCE: usize = 50;
const TIMEOUT: Duration = Duration::from_millis(500);
/// Long after the last of them should have ended.
const QUIET: Duration = Duration::from_millis(200);

const LATE: &str = "a call's end after its deadline";
const P99: &str = "the same, p99 of a round";
const AFTER: &str = "processor time after the last deadline";

pub(crate) fn run(size: Size) -> Result<Report> {
    let sandbox = Sandbox::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(sandbox, size.pick(20, 5)))
}

async fn measure(sandbox: Sandbox, rounds: usize) -> Result<Report> {
    let mut report = Report::new("kill", &format!("{AT_ONCE} guests that compute for ever, at once"));
    let spin = sandbox.load(guest("spin")?).await?;
    for _ in 0..rounds {
        let mut calls = JoinSet::new();
        for _ in 0..AT_ONCE {
            let spin = spin.clone();
            let question = Evaluation { timeout: TIMEOUT, ..question(&json!({}), Grant::default()) };
            calls.spawn(async move {
                let begin = Instant::now();
                let answer = spin.evaluate(question).await.answer;
                (begin.elapsed().saturating_sub(TIMEOUT), answer.is_err())
            });
        }
        let ended = calls.join_all().await;
        let cpu = own_cpu();
        sleep(QUIET).await;
        let after = own_cpu().saturating_sub(cpu);
        ensure!(ended.iter().all(|(_, faulted)| *faulted), "a guest that computes for ever has answered");
        let late: Vec<_> = ended.iter().map(|(late, _)| late.as_secs_f64() * 1e3).collect();
        for late in &late {
            report.add(LATE, "ms", *late);
        }
        report.add(P99, "ms", quantile(&late, 0.99));
        report.add(AFTER, "ms", after.as_secs_f64() * 1e3);
    }
    report.aim(P99, 20.0);
    report.aim(AFTER, 20.0);
    Ok(report)
}
