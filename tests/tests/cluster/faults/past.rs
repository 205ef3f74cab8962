//! An API server that lags behind the others and answers from a past state.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    crowd,
    objects::APPROVED,
    proxy::{Answer, Cut, Fault, Kind, Proxy, Seen},
    soak,
    trial::{ROLLOUT, Trial, run},
    wait::{Seen as Looked, throughout},
};
use serde_json::{Value, json};

/// What a list says now.
async fn list(t: &Trial) -> Result<Value> {
    let target = format!("/api/v1/namespaces/{}/pods?limit=250", t.namespace);
    Ok(t.client.request(http::Request::get(target).body(Vec::new())?).await?)
}

/// Lists say this, and watches nothing new.
fn lag(proxy: &Proxy, past: &Value) {
    proxy.all(Kind::List, Fault::Answer(Answer::json(past)));
    proxy.all(Kind::Watch, Fault::Answer(Answer::events(&[])));
}

/// Patches that made a gate True and were taken.
fn made_true(proxy: &Proxy) -> usize {
    let is_true = |seen: &&Seen| seen.conditions().iter().any(|(_, status)| *status == "True");
    proxy.seen(Kind::Patch).iter().filter(is_true).filter(|seen| seen.answered == Some(200)).count()
}

#[test]
fn a_host_that_starts_on_a_past_state_makes_nothing_true_that_is_no_longer_so() {
    run(async |t: &mut Trial| {
        const PODS: usize = 5;
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", crowd::check());
        let pods = crowd::gather(t, "crowd", PODS, APPROVED).await?;
        crowd::annotate(t, &pods, APPROVED, "yes").await?;
        let past = list(t).await?;
        crowd::annotate(t, &pods, APPROVED, "no").await?;

        let proxy = Proxy::start(&t.plane).await?;
        lag(&proxy, &past);
        t.start_host_through(&proxy, &[]).await?;
        proxy.wait_for(Kind::Patch, PODS).await?;
        throughout(Duration::from_secs(soak::scale(6, 60)), "nothing is True", async || {
            let statuses = crowd::statuses(t, "crowd", APPROVED).await?;
            Ok(Looked::when(!statuses.values().any(|status| status == "True"), || format!("{statuses:?}")))
        })
        .await?;
        let tried = proxy.count(Kind::Patch);
        // The server has caught up.
        proxy.clear();
        proxy.cut(Kind::Watch, Cut::Close).await?;
        crowd::wait_for(t, "crowd", APPROVED, &crowd::all(&pods, "False"), ROLLOUT).await?;
        assert_eq!(made_true(&proxy), 0);
        assert!(tried <= 2 * PODS, "{tried} patches of {PODS} pods that could not be written");
        soak::record(
            "past state, host restarted",
            &[("stale verdicts written True", made_true(&proxy).to_string()), ("patches refused", tried.to_string())],
        )
    });
}

#[test]
fn events_and_lists_older_than_what_is_known_change_nothing() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", crowd::check());
        let pods = crowd::gather(t, "crowd", 5, APPROVED).await?;
        crowd::annotate(t, &pods, APPROVED, "yes").await?;
        let past = list(t).await?;
        crowd::annotate(t, &pods, APPROVED, "no").await?;
        let proxy = Proxy::start(&t.plane).await?;
        t.start_host_through(&proxy, &[]).await?;
        crowd::wait_for(t, "crowd", APPROVED, &crowd::all(&pods, "False"), ROLLOUT).await?;
        proxy.forget();

        let items = past["items"].as_array().context("a list without items")?;
        let events: Vec<_> = items.iter().map(|pod| json!({ "type": "MODIFIED", "object": pod })).collect();
        proxy.all(Kind::Watch, Fault::Answer(Answer::events(&events)));
        proxy.cut(Kind::Watch, Cut::Close).await?;
        proxy.wait_for(Kind::Watch, 1).await?;
        let nothing = async || Ok(Looked::when(proxy.count(Kind::Patch) == 0, || "a patch".to_owned()));
        throughout(Duration::from_secs(3), "an old event changes nothing", nothing).await?;
        proxy.clear();
        // Its watch is one that the proxy made up: it is closed, and then told that it has expired.
        proxy.next(Kind::Watch, 1, Fault::Answer(Answer::status(410)));
        lag(&proxy, &past);
        proxy.cut(Kind::Watch, Cut::Close).await?;
        proxy.wait_for(Kind::List, 1).await?;
        throughout(Duration::from_secs(3), "an old list changes nothing", nothing).await?;
        proxy.clear();
        proxy.cut(Kind::Watch, Cut::Close).await?;
        crowd::annotate(t, &pods, APPROVED, "yes").await?;
        crowd::wait_for(t, "crowd", APPROVED, &crowd::all(&pods, "True"), ROLLOUT).await?;
        soak::record("past state, running host", &[("patches for old events", "0".to_owned())])
    });
}
