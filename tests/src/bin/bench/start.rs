//! Process start to 1,000 gates set, and the processor time that it took.

use anyhow::Result;

use crate::{
    Size,
    bed::{Beds, Kind},
    eye::Eye,
    report::Report,
    usage,
};

const PODS: usize = 1000;
const NAMESPACE: &str = "start";

pub(crate) async fn run(size: Size, beds: &Beds) -> Result<Report> {
    let bed = beds.get().await?;
    bed.fill(NAMESPACE, 0, PODS, false).await?;
    let about = format!("process start to {PODS} gates set, pods of {} bytes", bed.pod_size(NAMESPACE).await?);
    let mut report = Report::new("start", &about);
    let mut eye = Eye::open(&bed.client, NAMESPACE);
    eye.all(PODS, "").await?;
    let mut kinds = [Kind::Watcher, Kind::Host, Kind::Controller, Kind::Ceiling];
    for round in 0..=size.pick(4, 1) {
        for kind in kinds {
            let (begin, mut running) = bed.run(kind, NAMESPACE)?;
            let set = eye.all(PODS, "True").await;
            let (took, used) = (begin.elapsed(), usage::of(running.id())?);
            running.check()?;
            set?;
            drop(running);
            bed.reset(NAMESPACE, PODS).await?;
            eye.all(PODS, "").await?;
            // The first round warms up.
            if round > 0 {
                report.add(&format!("{}: time", kind.name()), "s", took.as_secs_f64());
                report.add(&format!("{}: CPU", kind.name()), "s", used.cpu.as_secs_f64());
                report.add(&format!("{}: peak", kind.name()), "MiB", used.peak_kib / 1024.0);
            }
        }
        kinds.rotate_left(1);
    }
    report.ratio("time, next to watcher", "gatehost: time", "watcher: time", Some(1.1));
    report.ratio("CPU, next to controller", "gatehost: CPU", "controller: CPU", Some(1.2));
    report.ratio("CPU, next to watcher", "gatehost: CPU", "watcher: CPU", None);
    Ok(report)
}
