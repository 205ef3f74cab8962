//! What networks and API servers do at their worst, through the fault proxy: one file a row or two of the matrix.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gatehost_tests::{
    crowd,
    objects::APPROVED,
    proxy::{Kind, Proxy, Seen},
    trial::{ROLLOUT, Trial},
    wait::{Seen as Looked, throughout, until},
};

mod errors;
mod expired;
mod outage;
mod past;
mod proxy;
mod silent;
mod throttled;

/// A crowd that the host works through a proxy.
struct Crowd {
    proxy: Proxy,
    pods: Vec<String>,
    /// What each pod's condition should be.
    wanted: BTreeMap<String, String>,
}

const CROWD: &str = "crowd";

impl Crowd {
    /// `count` pods, all answered False, and the host at rest.
    async fn start(t: &mut Trial, count: usize) -> Result<Self> {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", crowd::check());
        let pods = crowd::gather(t, CROWD, count, APPROVED).await?;
        let proxy = Proxy::start(&t.plane).await?;
        // A watch that dies silently is noticed after 3 s more.
        let args = if gatehost_tests::soak::full() { &[][..] } else { &["--watch-timeout", "7s"] };
        t.start_host_through(&proxy, args).await?;
        let crowd = Self { wanted: crowd::all(&pods, "False"), proxy, pods };
        crowd.wait_until_right(t, ROLLOUT).await?;
        crowd.rest().await?;
        Ok(crowd)
    }

    /// Approves these pods behind the proxy's back.
    async fn approve(&mut self, t: &Trial, pods: std::ops::Range<usize>) -> Result<Vec<String>> {
        let pods = self.pods[pods].to_vec();
        crowd::annotate(t, &pods, APPROVED, "yes").await?;
        self.wanted.extend(crowd::all(&pods, "True"));
        Ok(pods)
    }

    async fn wait_until_right(&self, t: &Trial, bound: Duration) -> Result<()> {
        crowd::wait_for(t, CROWD, APPROVED, &self.wanted, bound).await
    }

    /// Waits until every patch is answered and none came for a second; then forgets them all.
    async fn rest(&self) -> Result<()> {
        until(ROLLOUT, "the host is at rest", async || {
            let patches = self.proxy.seen(Kind::Patch);
            let busy = patches.iter().filter(|seen| seen.answered.is_none() || is_fresh(seen)).count();
            Ok(Looked::when(busy == 0, || format!("{busy} patches of late")))
        })
        .await?;
        self.proxy.forget();
        Ok(())
    }

    /// Sees for `period` that nothing is patched but these pods, each once.
    async fn only_these_are_patched(&self, period: Duration, pods: &[String]) -> Result<()> {
        throughout(period, "nothing else is patched", async || {
            let patches = self.proxy.seen(Kind::Patch);
            let patched: BTreeSet<_> = patches.iter().filter_map(Seen::pod).collect();
            let is_right = patches.len() == pods.len() && patched == pods.iter().map(String::as_str).collect();
            Ok(Looked::when(is_right, || format!("{} patches for {patched:?}", patches.len())))
        })
        .await
    }
}

fn is_fresh(seen: &Seen) -> bool {
    seen.at.elapsed() < Duration::from_secs(1)
}

/// Looks at /livez for `period`, and fails as soon as it is not green or the host has ended.
async fn lives_for(t: &mut Trial, period: Duration) -> Result<()> {
    let host = t.host.as_mut().context("no host")?;
    throughout(period, "the host lives", async || {
        host.check()?;
        let (status, body) = host.get("/livez").await?;
        Ok(Looked::when(status == 200, || body))
    })
    .await
}

/// The times between requests, in order of arrival.
fn gaps(seen: &[Seen]) -> Vec<Duration> {
    seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// How long ago the last list that worked was answered.
fn since_list(proxy: &Proxy) -> Result<Duration> {
    let lists = proxy.seen(Kind::List);
    let last = lists.iter().rev().find(|seen| seen.answered == Some(200)).context("no list was answered")?;
    ensure!(last.answered_at.is_some(), "an answer without a time");
    Ok(last.answered_at.map_or(Duration::ZERO, |at: Instant| at.elapsed()))
}
