//! The moment for which a plugin asks.

use gatehost_tests::{
    objects::{APPROVED, condition, gated_pod},
    trial::{Trial, run},
};
use serde_json::json;

#[test]
fn a_pod_is_ready_when_it_has_settled_and_not_before() {
    run(async |t: &mut Trial| {
        t.plugin("settle.wasm", "settle.wasm")?;
        // The period alone would come an hour too late.
        let spec = json!({
            "gate": APPROVED, "plugin": "settle.wasm", "config": { "seconds": 4 }, "periodSeconds": 3600,
        });
        let metadata = json!({ "name": "settled" });
        let check =
            json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": metadata, "spec": spec });
        t.file("settled.yaml", check.to_string());
        t.start_host(&[]).await?;
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;
        let pod = t.wait_for_ready("app=web", 1, "True").await?.remove(0);
        let since = |kind: &str| condition(&pod, kind).and_then(|c| c.last_transition_time.clone()).map(|time| time.0);
        let (ready, settled) = (since("ContainersReady").unwrap(), since(APPROVED).unwrap());
        let took = settled.duration_since(ready).as_secs();
        assert!((4..=8).contains(&took), "4 s were asked for and it took {took} s");
        Ok(())
    });
}
