//! What the host leaves alone: conditions of others, and pods that only share a name.

use std::time::Duration;

use gatehost_tests::{
    objects::{APPROVED, approval, approval_with, condition, gated_workload, set_condition, status_of, uid},
    trial::{Trial, run},
    wait::{Seen, throughout},
};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::json;

const FOREIGN: &str = "other.example.org/state";

#[test]
fn conditions_of_others_survive_a_hundred_flips() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        // All pods of the Deployment turn False at once, as no budget would let them.
        t.file("approved.yaml", approval_with("annotation.wasm", "yes", json!({ "maxUnready": "100%" })));
        t.start_host(&[]).await?;
        // 25 pods that flip 4 times each: within the burst that one gate is answered at once.
        t.create(&gated_workload("Deployment", "web", 25, &[APPROVED])).await?;
        let pods = t.wait_for_containers("app=web", 25).await?;
        for pod in &pods {
            set_condition(&t.pods(), &pod.name_any(), &uid(pod)?, FOREIGN, "True").await?;
        }
        let before: Vec<_> = t.wait_for_status("app=web", 25, FOREIGN, "True").await?;
        for word in ["yes", "no", "yes", "no"] {
            for pod in &pods {
                t.annotate(&pod.name_any(), APPROVED, Some(word)).await?;
            }
            let status = if word == "yes" { "True" } else { "False" };
            t.wait_for_status("app=web", 25, APPROVED, status).await?;
            t.wait_for_ready("app=web", 25, status).await?;
        }
        for pod in before {
            let now = t.pods().get(&pod.name_any()).await?;
            for kind in [FOREIGN, "ContainersReady", "Initialized", "PodScheduled"] {
                assert_eq!(condition(&now, kind), condition(&pod, kind));
            }
        }
        Ok(())
    });
}

#[test]
fn a_pod_made_again_under_its_name_never_gets_the_verdict_on_the_old_one() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.start_host(&[]).await?;
        t.create(&gated_workload("StatefulSet", "db", 1, &[APPROVED])).await?;
        let mut old = uid(&t.wait_for_containers("app=db", 1).await?[0])?;
        for _ in 0..5 {
            // The verdict on the old pod is on its way while the pod goes.
            t.annotate("db-0", APPROVED, Some("yes")).await?;
            t.pods().delete("db-0", &DeleteParams::default()).await?;
            let new = t.wait_for_pods("app=db", 1, "new", |pod| pod.metadata.uid.as_ref() != Some(&old)).await?;
            old = uid(&new[0])?;
            t.wait_for_containers("app=db", 1).await?;
            throughout(Duration::from_secs(1), "the new pod is not approved", async || {
                let pod = t.pods().get("db-0").await?;
                Ok(Seen::when(status_of(&pod, APPROVED) != "True", || format!("{:?}", pod.status)))
            })
            .await?;
            t.wait_for_status("app=db", 1, APPROVED, "False").await?;
        }
        t.annotate("db-0", APPROVED, Some("yes")).await?;
        t.wait_for_ready("app=db", 1, "True").await?;
        Ok(())
    });
}
