//! What Kubernetes does with readiness gates: the ground that the host stands on.

use gatehost_tests::{
    endpoints::wait_for_endpoint,
    objects::{gated_pod, gated_workload, service, set_condition, status_of, uid},
    trial::{Trial, run},
};
use kube::{ResourceExt as _, api::DeleteParams};

const GATE: &str = "example.com/approved";

#[test]
fn kubelet_makes_a_pod_ready_only_when_its_gate_is_met() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[GATE])).await?;
        let pods = t.wait_for_containers("app=web", 1).await?;
        assert_eq!(status_of(&pods[0], "Ready"), "False");
        let uid = uid(&pods[0])?;
        for status in ["True", "False", "True", "Unknown"] {
            set_condition(&t.pods(), "web", &uid, GATE, status).await?;
            let ready = if status == "True" { "True" } else { "False" };
            let pods = t.wait_for_ready("app=web", 1, ready).await?;
            assert_eq!(status_of(&pods[0], GATE), status);
        }
        Ok(())
    });
}

#[test]
fn a_patch_for_a_pod_that_was_replaced_is_refused_by_its_uid() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[GATE])).await?;
        let old = uid(&t.wait_for_containers("app=web", 1).await?[0])?;
        t.kubectl(&["delete", "pod", "web", "--wait"])?;
        let gone = set_condition(&t.pods(), "web", &old, GATE, "True").await.unwrap_err();
        assert!(matches!(gone, kube::Error::Api(ref status) if status.code == 404), "{gone:?}");
        t.create(&gated_pod("web", &[GATE])).await?;
        let refused = set_condition(&t.pods(), "web", &old, GATE, "True").await.unwrap_err();
        let kube::Error::Api(status) = refused else { panic!("{refused:?}") };
        assert_eq!(status.code, 422);
        let causes = status.details.iter().flat_map(|details| &details.causes);
        assert_eq!(causes.map(|cause| cause.field.as_str()).collect::<Vec<_>>(), ["metadata.uid"]);
        let new = &t.wait_for_containers("app=web", 1).await?[0];
        assert_eq!(status_of(new, GATE), "-");
        t.pods().delete("web", &DeleteParams::default()).await?;
        Ok(())
    });
}

#[test]
fn an_endpoint_is_ready_and_serving_only_while_the_gate_is_met() {
    run(async |t: &mut Trial| {
        t.create(&service("web")).await?;
        t.create(&gated_workload("Deployment", "web", 3, &[GATE])).await?;
        let pods = t.wait_for_containers("app=web", 3).await?;
        let (first, second) = (pods[0].name_any(), pods[1].name_any());
        set_condition(&t.pods(), &first, &uid(&pods[0])?, GATE, "True").await?;
        wait_for_endpoint(t, "web", &first, (true, true)).await?;
        wait_for_endpoint(t, "web", &second, (false, false)).await?;
        set_condition(&t.pods(), &first, &uid(&pods[0])?, GATE, "False").await?;
        wait_for_endpoint(t, "web", &first, (false, false)).await?;
        Ok(())
    });
}
