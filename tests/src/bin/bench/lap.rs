//! Contenders in turns: each calls again and again for a while, then the next one does.

use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::{
    report::{Report, quantile},
    usage::own_cpu,
};

/// Who is called.
pub(crate) trait Contender: Clone + Send + 'static {
    fn call(&self) -> impl Future<Output = Result<()>> + Send;
}

/// What one lap of one contender took.
pub(crate) struct Lap {
    cpu: Duration,
    /// Of each call, in microseconds.
    took: Vec<f64>,
}

impl Lap {
    /// Measured by somebody else.
    pub(crate) fn new(cpu: Duration, took: Vec<f64>) -> Self {
        Self { cpu, took }
    }

    #[allow(clippy::cast_precision_loss, reason = "far fewer calls than that")]
    pub(crate) fn calls(&self) -> f64 {
        self.took.len() as f64
    }

    pub(crate) fn add(self, report: &mut Report, name: &str) {
        let calls = self.calls();
        report.add(&format!("{name}: calls a second of CPU"), "/s", calls / self.cpu.as_secs_f64());
        report.add(&format!("{name}: CPU a call"), "us", self.cpu.as_secs_f64() * 1e6 / calls);
        report.add(&format!("{name}: p50"), "us", quantile(&self.took, 0.5));
        report.add(&format!("{name}: p99"), "us", quantile(&self.took, 0.99));
    }
}

/// Calls again and again, in as many lanes at once, for `span`.
pub(crate) async fn lap(lanes: usize, span: Duration, contender: &impl Contender) -> Result<Lap> {
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

/// The same for what never waits: on this very thread, one after the other.
pub(crate) fn lap_here(span: Duration, mut call: impl FnMut() -> Result<()>) -> Result<Lap> {
    let (begin, cpu) = (Instant::now(), own_cpu());
    let mut took = Vec::new();
    while begin.elapsed() < span {
        let start = Instant::now();
        call()?;
        took.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(Lap { cpu: own_cpu().saturating_sub(cpu), took })
}
