//! Answers that are none: 500, 503, 504, refused connections, bodies that end in their middle.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use gatehost_tests::{
    proxy::{Answer, Cut, Door, Fault, Kind, Seen},
    soak,
    trial::{Trial, run},
};

use super::{Crowd, gaps, lives_for, seconds};

/// The longest wait of a watch, and of a write.
const CAPS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(30));

/// The host is told of changes it cannot write and cannot see, for `lasts`; then all is well again.
async fn broken(
    t: &mut Trial,
    name: &str,
    begin: impl AsyncFnOnce(&Crowd) -> Result<()>,
    end: impl AsyncFnOnce(&Crowd) -> Result<()>,
) -> Result<()> {
    let lasts = Duration::from_secs(soak::scale(8, 120));
    let mut crowd = Crowd::start(t, 10).await?;
    // Decided and not written: the answer is refused. Its change came before the trouble.
    crowd.proxy.all(Kind::Patch, Fault::Answer(Answer::status(503)));
    let mut changed = crowd.approve(t, 0..4).await?;
    crowd.proxy.wait_for(Kind::Patch, 4).await?;
    crowd.proxy.clear();
    begin(&crowd).await?;
    crowd.proxy.cut(Kind::Watch, Cut::Close).await?;
    // Changed and not seen.
    changed.extend(crowd.approve(t, 4..8).await?);
    lives_for(t, lasts).await?;
    end(&crowd).await?;
    let (patches, watches) = (crowd.proxy.seen(Kind::Patch), crowd.proxy.seen(Kind::Watch));
    let back = std::time::Instant::now();
    crowd.wait_until_right(t, CAPS.1 + CAPS.0).await?;
    let took = back.elapsed();
    let afterwards = crowd.proxy.seen(Kind::Patch).split_off(patches.len());
    let afterwards: Vec<_> = afterwards.iter().filter_map(Seen::pod).collect();
    let once = afterwards.iter().collect::<BTreeSet<_>>().len() == afterwards.len();
    assert!(once && afterwards.len() <= changed.len(), "{afterwards:?} for {} changes", changed.len());

    let waits = gaps(&watches);
    let late = Duration::from_secs(1);
    assert!(waits.iter().all(|wait| *wait <= CAPS.0 + late), "a watch waits longer than it may: {waits:?}");
    // Half a second doubles from try to try, each between its half and its whole.
    let most = 5 + lasts.as_millis() / 2000;
    assert!(watches.len() as u128 <= most, "{} watches in {lasts:?}", watches.len());
    for pod in &changed[..4] {
        let of_pod: Vec<_> = patches.iter().filter(|seen| seen.pod() == Some(pod)).cloned().collect();
        let waits = gaps(&of_pod);
        assert!(waits.iter().all(|wait| *wait <= CAPS.1 + late), "{pod}: {waits:?}");
        assert!(of_pod.len() as u128 <= 6 + lasts.as_millis() / 12_000, "{pod}: {} patches in {lasts:?}", of_pod.len());
    }
    soak::record(
        name,
        &[
            ("lasted", seconds(lasts)),
            ("all right after", seconds(took)),
            ("patches tried meanwhile", patches.len().to_string()),
            ("watches tried meanwhile", watches.len().to_string()),
        ],
    )
}

async fn answered_with(t: &mut Trial, name: &str, fault: Fault) -> Result<()> {
    broken(
        t,
        name,
        async |crowd| {
            crowd.proxy.all(Kind::Any, fault);
            Ok(())
        },
        async |crowd| {
            crowd.proxy.clear();
            Ok(())
        },
    )
    .await
}

#[test]
fn no_verdict_is_lost_to_answers_of_500_and_the_host_lives() {
    run(async |t: &mut Trial| answered_with(t, "500", Fault::Answer(Answer::status(500))).await);
}

#[test]
fn no_verdict_is_lost_to_answers_of_503_and_the_host_lives() {
    run(async |t: &mut Trial| answered_with(t, "503", Fault::Answer(Answer::status(503))).await);
}

#[test]
fn no_verdict_is_lost_to_answers_of_504_and_the_host_lives() {
    run(async |t: &mut Trial| answered_with(t, "504", Fault::Answer(Answer::status(504))).await);
}

#[test]
fn no_verdict_is_lost_to_bodies_that_end_in_their_middle_and_the_host_lives() {
    run(async |t: &mut Trial| answered_with(t, "truncated body", Fault::Truncate).await);
}

#[test]
fn no_verdict_is_lost_to_refused_connections_and_the_host_lives() {
    run(async |t: &mut Trial| {
        let (shut, open) =
            (async |c: &Crowd| c.proxy.door(Door::Shut).await, async |c: &Crowd| c.proxy.door(Door::Open).await);
        broken(t, "connection refused", shut, open).await
    });
}

#[test]
fn waits_after_failed_writes_grow_and_differ() {
    run(async |t: &mut Trial| {
        let mut crowd = Crowd::start(t, 20).await?;
        crowd.proxy.all(Kind::Patch, Fault::Answer(Answer::status(500)));
        crowd.approve(t, 0..20).await?;
        lives_for(t, Duration::from_secs(soak::scale(6, 120))).await?;
        let patches = crowd.proxy.seen(Kind::Patch);
        let of = |pod: &String| gaps(&patches.iter().filter(|p| p.pod() == Some(pod)).cloned().collect::<Vec<_>>());
        let waits: Vec<Vec<Duration>> = crowd.pods.iter().map(of).collect();
        let late = Duration::from_millis(300);
        for waits in &waits {
            for (wait, whole) in waits.iter().zip([0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]) {
                let whole = Duration::from_secs_f64(whole);
                assert!(*wait >= whole / 2 && *wait <= whole + late, "{waits:?}");
            }
        }
        let first: Vec<_> = waits.iter().filter_map(|waits| waits.first()).collect();
        let (least, most) = (first.iter().min(), first.iter().max());
        let spread = most.zip(least).map_or(Duration::ZERO, |(most, least)| most.saturating_sub(**least));
        assert!(first.len() == 20 && spread > Duration::from_millis(50), "in step: {first:?}");
        let longest = waits.iter().flatten().max().copied().unwrap_or_default();
        crowd.proxy.clear();
        crowd.wait_until_right(t, CAPS.1 + CAPS.0).await?;
        soak::record(
            "backoff of writes",
            &[("longest wait", seconds(longest)), ("spread of the first", seconds(spread))],
        )
    });
}
