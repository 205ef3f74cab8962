//! The API server has forgotten where a watch stood.

use std::time::Duration;

use anyhow::Result;
use gatehost_tests::{
    crowd,
    objects::APPROVED,
    proxy::{Answer, Cut, Fault, Kind},
    soak,
    trial::{Trial, run},
};
use kube::api::DeleteParams;

use super::{Crowd, seconds, since_list};

/// How long after the list every condition is to be right.
const RIGHT: Duration = Duration::from_secs(5);

/// Ends the watch with `expire`; meanwhile pods change, go and come, unseen by any watch.
async fn forgets(t: &mut Trial, form: &str, expire: impl AsyncFnOnce(&Crowd) -> Result<()>) -> Result<()> {
    let mut crowd = Crowd::start(t, soak::scale(60, 1000)).await?;
    // Pods change while the list is on its way, so that only it can tell of them.
    crowd.proxy.all(Kind::List, Fault::Wait);
    expire(&crowd).await?;
    crowd.proxy.wait_for(Kind::List, 1).await?;
    let mut changed = crowd.approve(t, 0..5).await?;
    for pod in crowd.pods.split_off(crowd.pods.len() - 5) {
        t.pods().delete(&pod, &DeleteParams::default()).await?;
        crowd.wanted.remove(&pod);
    }
    let fresh = crowd::gather(t, "fresh", 3, APPROVED).await?;
    changed.extend(fresh.iter().cloned());
    crowd.proxy.clear();

    crowd.wait_until_right(t, Duration::from_secs(20)).await?;
    crowd::wait_for(t, "fresh", APPROVED, &crowd::all(&fresh, "False"), RIGHT).await?;
    let took = since_list(&crowd.proxy)?;
    assert!(took < RIGHT, "right {took:?} after the list");
    crowd.only_these_are_patched(Duration::from_secs(3), &changed).await?;
    let lists = crowd.proxy.seen(Kind::List);
    let begun = lists.iter().filter(|seen| !seen.query.contains("continue=")).count();
    assert_eq!(begun, 1, "one list is enough");
    soak::record(
        &format!("watch 410 {form}"),
        &[
            ("gates", crowd.wanted.len().to_string()),
            ("right after the list", seconds(took)),
            ("changed", changed.len().to_string()),
            ("patches", crowd.proxy.count(Kind::Patch).to_string()),
        ],
    )
}

#[test]
fn after_a_410_inside_the_watch_every_condition_is_right_within_5_s_of_the_list_and_nothing_is_patched_in_vain() {
    run(async |t: &mut Trial| {
        forgets(t, "inside the stream", async |crowd| {
            crowd.proxy.expire_watches();
            Ok(())
        })
        .await
    });
}

#[test]
fn after_a_410_as_a_status_every_condition_is_right_within_5_s_of_the_list_and_nothing_is_patched_in_vain() {
    run(async |t: &mut Trial| {
        forgets(t, "as a status", async |crowd| {
            crowd.proxy.next(Kind::Watch, 1, Fault::Answer(Answer::status(410)));
            crowd.proxy.cut(Kind::Watch, Cut::Close).await
        })
        .await
    });
}
