//! Patches sent for each transition, as the API server counts requests: on quiet pods, and while something else keeps
//! changing the pods' labels.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use anyhow::Result;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    Size,
    bed::{BOUND, Bed, Beds, Kind, name},
    eye::Eye,
    report::Report,
};

const PODS: usize = 100;

/// Between two flips.
const SPACING: Duration = Duration::from_millis(50);

/// How long patches may come in after the last transition was seen: longer than any rate limit holds one back.
const LATE: Duration = Duration::from_secs(3);

pub(crate) async fn run(size: Size, beds: &Beds) -> Result<Report> {
    let bed = beds.get().await?;
    let mut report = Report::new("patches", &format!("patches sent for each of {PODS} transitions"));
    for kind in [Kind::Watcher, Kind::Controller, Kind::Host] {
        let namespace = format!("patches-{}", kind.name());
        bed.fill(&namespace, 0, PODS, false).await?;
        let mut eye = Eye::open(&bed.client, &namespace);
        let (_, mut running) = bed.run(kind, &namespace)?;
        eye.all(PODS, "True").await?;
        for _ in 0..size.pick(2, 1) {
            let quiet = transitions(bed, &namespace, &mut eye).await?;
            report.add(&format!("{}: quiet pods", kind.name()), "patches", quiet);
            let busy = AtomicUsize::new(0);
            let rate = async {
                tokio::select! {
                    failed = change_labels(bed, &namespace, &busy) => failed.map(|()| f64::NAN),
                    patches = transitions(bed, &namespace, &mut eye) => patches,
                }
            };
            report.add(&format!("{}: labels change", kind.name()), "patches", rate.await?);
            #[allow(clippy::cast_precision_loss, reason = "few")]
            report.add(&format!("{}: label changes meanwhile", kind.name()), "", busy.into_inner() as f64);
        }
        running.check()?;
    }
    report.aim("gatehost: quiet pods", 1.0);
    report.aim("gatehost: labels change", 1.0);
    Ok(report)
}

/// Every pod changes once; the patches sent for each.
#[allow(clippy::cast_precision_loss, reason = "few pods")]
async fn transitions(bed: &Bed, namespace: &str, eye: &mut Eye) -> Result<f64> {
    let first = name(0);
    let annotated = eye.until(BOUND, "the pods are known", |seen| Some(seen.pod(&first)?.annotated)).await?;
    let before = bed.patches_sent().await?;
    for n in 0..PODS {
        bed.annotate(namespace, n, !annotated).await?;
        sleep(SPACING).await;
    }
    eye.all(PODS, if annotated { "False" } else { "True" }).await?;
    sleep(LATE).await;
    Ok((bed.patches_sent().await? - before) / PODS as f64)
}

/// Changes a label of one pod after the other, for ever.
async fn change_labels(bed: &Bed, namespace: &str, count: &AtomicUsize) -> Result<()> {
    loop {
        for n in 0..PODS {
            let change = count.fetch_add(1, Relaxed).to_string();
            bed.merge(namespace, n, json!({ "labels": { "bench.example/change": change } })).await?;
        }
    }
}
