//! A connection that dies without a word: nothing is refused, nothing ends, nothing more comes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    proxy::{Cut, Fault, Kind},
    soak,
    trial::{Trial, run},
    wait::{Seen as Looked, until},
};

use super::{Crowd, seconds};

/// How long a watch that died silently may stay so.
const HEALED: Duration = Duration::from_secs(65);

async fn heals(t: &mut Trial, name: &str, die: impl AsyncFnOnce(&Crowd) -> Result<()>) -> Result<()> {
    let mut crowd = Crowd::start(t, 10).await?;
    die(&crowd).await?;
    let begin = Instant::now();
    let changed = crowd.approve(t, 0..5).await?;
    let mut oldest = 0.0_f64;
    until(HEALED, "the changes are seen", async || {
        oldest = oldest.max(age(t).await?);
        let patched = crowd.proxy.seen(Kind::Patch).iter().filter(|seen| seen.answered == Some(200)).count();
        Ok(Looked::when(patched >= changed.len(), || format!("{patched} patches")))
    })
    .await?;
    let took = begin.elapsed();
    assert!(took > Duration::from_secs(5), "the connections were to be dead");
    // It rose with the silence, and the new watch brought it down.
    assert!(oldest > 5.0 && oldest + 10.0 > took.as_secs_f64(), "the age was at most {oldest} s in {took:?}");
    let now = age(t).await?;
    assert!(now < 5.0, "the watch was heard of again, but {now} s ago");
    crowd.wait_until_right(t, Duration::from_secs(5)).await?;
    crowd.only_these_are_patched(Duration::from_secs(2), &changed).await?;
    soak::record(name, &[("recovered after", seconds(took)), ("gatehost_watch_age_seconds", format!("{oldest:.1}"))])
}

async fn age(t: &Trial) -> Result<f64> {
    Ok(t.host.as_ref().context("no host")?.metrics().await?.sum("gatehost_watch_age_seconds", &[]))
}

#[test]
fn a_watch_that_dies_silently_heals_within_65_seconds_and_its_age_shows_it() {
    run(async |t: &mut Trial| {
        // All that are open now, pooled ones as well; what is opened later lives.
        heals(t, "half-open stream", async |crowd| crowd.proxy.cut(Kind::Any, Cut::Freeze).await).await
    });
}

#[test]
fn a_watch_that_is_opened_and_says_nothing_heals_within_65_seconds_and_its_age_shows_it() {
    run(async |t: &mut Trial| {
        heals(t, "black-holed stream", async |crowd| {
            crowd.proxy.next(Kind::Watch, 1, Fault::Hold);
            crowd.proxy.cut(Kind::Watch, Cut::Close).await
        })
        .await
    });
}
