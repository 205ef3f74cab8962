//! Resident memory for 1,000, 5,000 and 10,000 gated pods, whose conditions stand already: what is looked at is what
//! is kept of a pod, and what the first list costs in passing.

use std::time::Duration;

use anyhow::Result;
use tokio::time::sleep;

use crate::{
    Size,
    bed::{BOUND, Bed, Beds, Kind},
    report::Report,
    usage::{self, Usage},
};

/// A process that uses less than this in [`QUIET`] is done.
const IDLE: Duration = Duration::from_millis(50);
const QUIET: Duration = Duration::from_secs(2);

pub(crate) async fn run(size: Size, beds: &Beds) -> Result<Report> {
    let bed = beds.get().await?;
    bed.namespace("empty").await?;
    let (mut report, mut made) = (Report::new("memory", ""), 0);
    let kinds = [Kind::Host, Kind::Controller];
    let mut empty = Vec::new();
    for kind in kinds {
        let settled = settle(bed, kind, "empty").await?;
        report.add(&format!("{}: no pods", kind.name()), "MiB", settled.resident_kib / 1024.0);
        empty.push(settled.resident_kib);
    }
    for pods in size.pick([1000, 5000, 10_000], [500, 1000, 2000]) {
        bed.fill("memory", made, pods, true).await?;
        made = pods;
        for (kind, empty) in kinds.into_iter().zip(&empty) {
            let name = kind.name();
            let settled = settle(bed, kind, "memory").await?;
            report.add(&format!("{name}: {pods} pods"), "MiB", settled.resident_kib / 1024.0);
            #[allow(clippy::cast_precision_loss, reason = "few pods")]
            let each = (settled.resident_kib - empty) / pods as f64;
            let figure = format!("{name}: {pods} pods, each");
            report.add(&figure, "KiB", each);
            let peak = format!("{name}: {pods} pods, peak to settled");
            report.add(&peak, "times", settled.peak_kib / settled.resident_kib);
            if kind == Kind::Host {
                report.aim(&figure, 2.0);
                report.aim(&peak, 1.25);
            }
        }
    }
    report.about(&format!("resident memory, pods of {} bytes", bed.pod_size("memory").await?));
    Ok(report)
}

/// Starts one, waits until it has nothing to do any more, and ends it.
async fn settle(bed: &Bed, kind: Kind, namespace: &str) -> Result<Usage> {
    let (begin, mut running) = bed.run(kind, namespace)?;
    let mut before = Duration::ZERO;
    loop {
        sleep(QUIET).await;
        running.check()?;
        let usage = usage::of(running.id())?;
        if usage.cpu.saturating_sub(before) <= IDLE {
            return Ok(usage);
        }
        before = usage.cpu;
        anyhow::ensure!(begin.elapsed() < BOUND, "{} is still busy after {BOUND:?}", kind.name());
    }
}
