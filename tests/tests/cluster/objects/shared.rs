//! Many gates read one object through one watch, which heals.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatehost_tests::{
    crowd,
    proxy::{Answer, Door, Fault, Kind, Proxy, Seen},
    trial::{ROLLOUT, Trial, run},
    wait::{SOON, Seen as Looked, throughout, until},
};

use super::{FLAG, GATE, calls, create_flag, flag_check, grant, prepare, set_flag, wait_for};

/// The requests about the flag: lists and watches.
fn requests(proxy: &Proxy) -> (Vec<Seen>, Vec<Seen>) {
    let all = proxy.seen(Kind::Any).into_iter().filter(|seen| seen.path.ends_with("/configmaps"));
    all.partition(|seen| !seen.query.contains("watch=true"))
}

#[test]
fn a_thousand_gates_that_read_one_object_cause_one_watch_and_all_follow_it() {
    run(async |t: &mut Trial| {
        const GATES: usize = 1000;
        t.guest("objects", "objects.wasm")?;
        create_flag(t, "off").await?;
        t.file("flag.yaml", flag_check(t));
        grant(t, &[])?;
        let pods = crowd::gather(t, "crowd", GATES, GATE).await?;
        let proxy = Proxy::start(&t.plane).await?;
        t.start_host_through(&proxy, &[]).await?;
        crowd::wait_for(t, "crowd", GATE, &crowd::all(&pods, "False"), ROLLOUT).await?;
        let before = calls(t, "flag").await?;
        set_flag(t, "state", "on").await?;
        crowd::wait_for(t, "crowd", GATE, &crowd::all(&pods, "True"), ROLLOUT).await?;
        let (lists, watches) = requests(&proxy);
        ensure!(lists.len() == 1 && lists[0].query.contains("fieldSelector=metadata.name%3Dflag"), "{lists:?}");
        // The server ends a watch after 25 s, and it is opened again.
        let gaps: Vec<_> = watches.windows(2).map(|pair| pair[1].at - pair[0].at).collect();
        ensure!(!watches.is_empty() && gaps.iter().all(|gap| *gap > Duration::from_secs(20)), "{gaps:?}");
        let metrics = t.host.as_ref().context("no host")?.metrics().await?;
        let (held, watched) = (metrics.sum("gatehost_objects", &[]), metrics.sum("gatehost_object_watches", &[]));
        ensure!((held - 1.0).abs() < 0.1 && (watched - 1.0).abs() < 0.1, "{held} {watched}");
        let asked = calls(t, "flag").await? - before;
        ensure!(asked >= 1000.0, "{asked} calls");
        Ok(())
    });
}

async fn start(t: &mut Trial, state: &str) -> Result<Proxy> {
    prepare(t).await?;
    create_flag(t, state).await?;
    t.file("flag.yaml", flag_check(t));
    grant(t, &[])?;
    let proxy = Proxy::start(&t.plane).await?;
    t.start_host_through(&proxy, &["--watch-timeout", "7s"]).await?;
    Ok(proxy)
}

#[test]
fn while_the_server_is_away_gates_keep_what_they_know_and_afterwards_they_follow() {
    run(async |t: &mut Trial| {
        let proxy = start(t, "off").await?;
        wait_for(t, "False", SOON).await?;
        proxy.door(Door::Shut).await?;
        set_flag(t, "state", "on").await?;
        let before = calls(t, "flag").await?;
        throughout(Duration::from_secs(3), "nobody is asked", async || {
            let now = calls(t, "flag").await?;
            Ok(Looked::when((now - before).abs() < 0.5, || format!("{now} calls")))
        })
        .await?;
        proxy.door(Door::Open).await?;
        wait_for(t, "True", SOON).await?;
        // Forgotten by the server, listed anew, nothing changed: nobody is asked.
        let before = calls(t, "flag").await?;
        proxy.forget();
        proxy.expire_watches();
        until(SOON, "it is listed anew", async || {
            let (lists, watches) = requests(&proxy);
            Ok(Looked::when(!lists.is_empty() && !watches.is_empty(), || format!("{lists:?}")))
        })
        .await?;
        ensure!((calls(t, "flag").await? - before).abs() < 0.5);
        set_flag(t, "state", "off").await?;
        wait_for(t, "False", SOON).await?;
        Ok(())
    });
}

#[test]
fn a_server_that_cannot_list_is_not_asked_in_a_hot_loop_and_the_first_list_is_told() {
    run(async |t: &mut Trial| {
        prepare(t).await?;
        create_flag(t, "on").await?;
        t.file("flag.yaml", flag_check(t));
        grant(t, &[])?;
        let proxy = Proxy::start(&t.plane).await?;
        proxy.all(Kind::Other, Fault::Answer(Answer::status(500)));
        t.start_host_through(&proxy, &[]).await?;
        let message = wait_for(t, "Unknown", SOON).await?;
        ensure!(message.contains("500"), "{message}");
        proxy.forget();
        throughout(Duration::from_secs(4), "it is asked seldom", async || {
            let about = proxy.seen(Kind::Other).iter().filter(|seen| seen.path == "/api/v1").count();
            Ok(Looked::when(about < 8, || format!("{about} requests about {FLAG}")))
        })
        .await?;
        proxy.clear();
        wait_for(t, "True", ROLLOUT).await?;
        Ok(())
    });
}
