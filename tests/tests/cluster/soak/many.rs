//! A host that starts among many pods.

use std::time::{Duration, Instant};

use anyhow::Result;
use gatehost_tests::{
    host::Host,
    proxy::{Kind, Proxy},
    soak::{record, scale},
    trial::{Trial, run},
    wait::{Seen, until},
};
use kube::api::{DeleteParams, ListParams};
use serde_json::json;

use super::{another_host, check, kubeconfig_through, make_idle, spawn, sum, usage, wait_until_right};

const BOUND: Duration = Duration::from_mins(3);
/// A lump is what the periodic checks of one period do in this part of it.
const PARTS: u32 = 10;

#[test]
fn many_gated_pods_at_start_are_listed_in_pages_asked_spread_and_not_written_again() {
    run(async |t: &mut Trial| {
        let (pods, period) = (scale(1_000, 10_000), scale(4, 10));
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", check("yes", period, &json!({})));
        make_idle(t, 0..pods, "yes").await?;
        let proxy = Proxy::start(&t.plane).await?;
        let kubeconfig = kubeconfig_through(t, &proxy).await?;
        let first = another_host(t, &kubeconfig, &[], "first").await?;
        let begin = Instant::now();
        wait_until_all_are_true(&first, pods).await?;
        let written_in = begin.elapsed();
        drop(first);
        wait_until_right(t, "yes", BOUND).await?;

        proxy.forget();
        let begin = Instant::now();
        let mut second = spawn(t, &kubeconfig, &[], "second")?;
        second.wait_until_ready().await?;
        let ready_in = begin.elapsed();
        wait_until_asked_since_start(&second, pods).await?;
        let asked_in = begin.elapsed();
        let pages = proxy.seen(Kind::List);
        assert!(pages.len() >= pods / 500, "{} pages", pages.len());
        assert!(pages.iter().all(|page| page.query.contains("limit=")), "{:?}", pages[0]);

        let lump = largest_lump(&second, pods, Duration::from_secs(period)).await?;
        assert!(lump <= 30.0, "{lump:.0} % of the checks of a period came in a tenth of it");
        let patches = proxy.count(Kind::Patch);
        assert_eq!(patches, 0, "patches of conditions that were right");
        let (memory, _) = usage(second.id())?;
        drop(second);
        // The objects are many: their namespace's end is not waited for, but theirs begins before the next test's.
        t.pods().delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        record(
            "many pods",
            &[
                ("pods", pods.to_string()),
                ("first host: all written after, s", format!("{:.1}", written_in.as_secs_f64())),
                ("second host: ready after, s", format!("{:.1}", ready_in.as_secs_f64())),
                ("second host: all asked after, s", format!("{:.1}", asked_in.as_secs_f64())),
                ("list pages", pages.len().to_string()),
                ("patches", patches.to_string()),
                ("period, s", period.to_string()),
                ("most checks of a period in a tenth of it, %", format!("{lump:.0}")),
                ("resident memory, MiB", memory.to_string()),
            ],
        )
    });
}

async fn wait_until_all_are_true(host: &Host, pods: usize) -> Result<()> {
    until(BOUND, "all gates are True", async || {
        let held = host.metrics().await?.sum("gatehost_gates", &[("status", "true")]);
        Ok(Seen::when(held >= count(pods), || held.to_string()))
    })
    .await
}

async fn wait_until_asked_since_start(host: &Host, pods: usize) -> Result<()> {
    until(BOUND, "each pod was asked about", async || {
        let asked = sum(host, "gatehost_evaluations_total").await?;
        Ok(Seen::when(asked >= count(pods), || asked.to_string()))
    })
    .await
}

/// Looks on for two periods: the most calls that ended within a tenth of one, in percent of all gates.
async fn largest_lump(host: &Host, pods: usize, period: Duration) -> Result<f64> {
    let (begin, part) = (Instant::now(), period / PARTS);
    let mut looks = vec![(begin, sum(host, "gatehost_evaluations_total").await?)];
    let mut beat = tokio::time::interval(part / 4);
    while begin.elapsed() < 2 * period {
        beat.tick().await;
        looks.push((Instant::now(), sum(host, "gatehost_evaluations_total").await?));
    }
    let all = looks[looks.len() - 1].1 - looks[0].1;
    assert!(all >= 1.5 * count(pods), "{all} calls in two periods of {pods} gates");
    let lumps = looks.iter().enumerate().map(|(at, (from, before))| {
        let within = looks[at..].iter().take_while(|(to, _)| to.duration_since(*from) <= part);
        within.map(|(_, after)| after - before).fold(0.0, f64::max)
    });
    Ok(100.0 * lumps.fold(0.0, f64::max) / count(pods))
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
fn count(pods: usize) -> f64 {
    pods as f64
}
