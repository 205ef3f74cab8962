//! The API server is down for long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    controlplane::{ControlPlane, scratch},
    proxy::{Door, Kind},
    soak,
    trial::{Trial, run, run_on},
};

use super::{Crowd, lives_for, seconds};

async fn outage(t: &mut Trial) -> Result<()> {
    const GATES: usize = 1000;
    let lasts = Duration::from_secs(soak::scale(10, 300));
    let mut crowd = Crowd::start(t, GATES).await?;
    let half = crowd.approve(t, 0..GATES / 2).await?;
    crowd.wait_until_right(t, Duration::from_secs(30)).await?;
    crowd.rest().await?;
    let before = gates(t).await?;
    assert_eq!(before, format!("{} true, {} false", half.len(), GATES - half.len()));

    crowd.proxy.door(Door::Shut).await?;
    if soak::full() {
        t.plane.stop_apiserver();
    }
    lives_for(t, lasts).await?;
    assert_eq!(gates(t).await?, before, "a gate flipped while the host was blind");
    if soak::full() {
        t.plane.start_apiserver().await?;
    }
    let changed = crowd.approve(t, GATES / 2..GATES / 2 + 10).await?;
    crowd.proxy.door(Door::Open).await?;
    let back = Instant::now();
    crowd.wait_until_right(t, Duration::from_secs(20)).await?;
    let took = back.elapsed();
    crowd.only_these_are_patched(Duration::from_secs(soak::scale(3, 30)), &changed).await?;
    soak::record(
        "API server down",
        &[
            ("gates", GATES.to_string()),
            ("lasted", seconds(lasts)),
            ("flips", "0".to_owned()),
            ("changed meanwhile", changed.len().to_string()),
            ("all right after", seconds(took)),
            ("patches", crowd.proxy.count(Kind::Patch).to_string()),
        ],
    )
}

/// How many gates the host takes for True and for False.
async fn gates(t: &Trial) -> Result<String> {
    let metrics = t.host.as_ref().context("no host")?.metrics().await?;
    let of = |status| metrics.sum("gatehost_gates", &[("status", status)]);
    Ok(format!("{} true, {} false", of("true"), of("false")))
}

#[test]
fn under_a_thousand_gates_nothing_flips_while_the_api_server_is_down_and_afterwards_only_what_changed_is_patched() {
    if !soak::full() {
        return run(outage);
    }
    // One of its own, whose API server is stopped: nobody else can work on it meanwhile.
    let dir = scratch().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let plane = Arc::new(runtime.block_on(ControlPlane::start(&dir, 1, |_| ())).unwrap());
    run_on(&plane, outage);
    drop(plane);
    std::fs::remove_dir_all(dir).unwrap();
}
