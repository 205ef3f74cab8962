//! An annotation that changes on one of 1,000 pods to the condition that follows. Everybody works a namespace of its
//! own, all at the same time, and they are asked in turns: what is idle costs nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::time::sleep;

use crate::{
    Size,
    bed::{BOUND, Bed, Beds, Kind, Running, name},
    eye::Eye,
    report::Report,
};

const PODS: usize = 1000;

/// Between two flips of anybody, so that each finds an idle machine.
const SPACING: Duration = Duration::from_millis(100);

struct Contender {
    kind: Kind,
    namespace: String,
    eye: Eye,
    running: Running,
}

pub(crate) async fn run(size: Size, beds: &Beds) -> Result<Report> {
    let bed = beds.get().await?;
    let mut contenders = Vec::new();
    for kind in [Kind::Watcher, Kind::Controller, Kind::Host] {
        contenders.push(start(bed, kind).await?);
    }
    let mut report = Report::new("flip", &format!("an annotation on one of {PODS} pods to the condition that follows"));
    let flips = size.pick(200, 30);
    for n in 0..flips {
        // Some before anything counts.
        for _ in 0..contenders.len() {
            let contender = &mut contenders[0];
            let (whole, reaction) = flip(bed, contender, n * 3 % PODS).await?;
            if n >= 5 {
                let millis = |time: Duration| time.as_secs_f64() * 1e3;
                report.add(&format!("{}: flip sent to condition seen", contender.kind.name()), "ms", millis(whole));
                report.add(&format!("{}: flip seen to condition seen", contender.kind.name()), "ms", millis(reaction));
            }
            contenders.rotate_left(1);
        }
        // Nobody is always the one after the same other.
        contenders.reverse();
    }
    for contender in &mut contenders {
        contender.running.check()?;
    }
    for way in ["sent", "seen"] {
        let figure = |kind: Kind| format!("{}: flip {way} to condition seen", kind.name());
        for share in [0.5, 0.99] {
            let aim = (way == "sent").then_some(1.05);
            report.quantiles(&figure(Kind::Host), &figure(Kind::Watcher), share, aim);
        }
    }
    Ok(report)
}

async fn start(bed: &Bed, kind: Kind) -> Result<Contender> {
    let namespace = format!("flip-{}", kind.name());
    bed.fill(&namespace, 0, PODS, false).await?;
    let mut eye = Eye::open(&bed.client, &namespace);
    let (_, running) = bed.run(kind, &namespace)?;
    eye.all(PODS, "True").await.with_context(|| bed.logs().display().to_string())?;
    Ok(Contender { kind, namespace, eye, running })
}

/// From the request, and from the change being seen, to the condition being seen.
async fn flip(bed: &Bed, contender: &mut Contender, n: usize) -> Result<(Duration, Duration)> {
    sleep(SPACING).await;
    let pod = name(n);
    let annotated = contender.eye.until(BOUND, "the pod is known", |seen| Some(seen.pod(&pod)?.annotated)).await?;
    let status = if annotated { "False" } else { "True" };
    let begin = Instant::now();
    bed.annotate(&contender.namespace, n, !annotated).await?;
    let what = format!("{}: {pod} is {status}", contender.kind.name());
    let sight = contender.eye.until(BOUND, &what, |seen| seen.pod(&pod).filter(|s| s.status == status).cloned());
    let sight = sight.await?;
    let seen = sight.status_since;
    Ok((seen.saturating_duration_since(begin), seen.saturating_duration_since(sight.annotated_since)))
}
