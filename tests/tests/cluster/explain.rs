//! `gatehost explain`: why a pod is not Ready, told from the API alone.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    gatehost_binary,
    objects::{APPROVED, approval, gated_pod, set_condition, uid},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use k8s_openapi::api::{core::v1::Pod, policy::v1::PodDisruptionBudget};
use kube::api::{EvictParams, Patch, PatchParams};
use serde_json::{Value, json};

const OTHER: &str = "example.com/other";

/// What the command prints, and its exit code.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn document(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("no document: {}{}", self.out, self.err))
    }

    /// The kinds of its findings.
    fn kinds(&self) -> Result<Vec<String>> {
        let document = self.document()?;
        let findings = document["findings"].as_array().context("no findings")?;
        Ok(findings.iter().map(|f| f["kind"].as_str().unwrap_or_default().to_owned()).collect())
    }
}

fn gatehost(kubeconfig: &Path, args: &[&str]) -> Result<Said> {
    let mut command = Command::new(gatehost_binary()?);
    command.env_clear().env("KUBECONFIG", kubeconfig).arg("explain").args(args);
    let Output { status, stdout, stderr } = command.output()?;
    let code = status.code().context("killed")?;
    Ok(Said { code, out: String::from_utf8(stdout)?, err: String::from_utf8(stderr)? })
}

/// As somebody who may do everything.
fn explain(t: &Trial, args: &[&str]) -> Result<Said> {
    gatehost(&t.plane.admin_kubeconfig(), &[&["-n", &t.namespace], args].concat())
}

async fn uid_of(t: &Trial, name: &str) -> Result<String> {
    uid(&t.pods().get(name).await?)
}

#[test]
fn a_pod_that_waits_for_its_gate_is_1_and_once_it_is_ready_0() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.start_host(&[]).await?;
        t.create(&gated_pod("web", &[APPROVED, OTHER])).await?;
        t.wait_for_containers("app=web", 1).await?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;
        t.wait_for_ready("app=web", 1, "False").await?;

        let said = explain(t, &["pod", "web", "-o", "json"])?;
        assert_eq!(said.code, 1, "{}", said.err);
        let document = said.document()?;
        let [approved, other] = [&document["gates"][0], &document["gates"][1]];
        assert_eq!((&approved["type"], &approved["blocks"]), (&json!(APPROVED), &json!(true)));
        let condition = &approved["condition"];
        assert_eq!((&condition["status"], &condition["writer"]), (&json!("False"), &json!("gatehost")));
        assert!(condition["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{document:#}");
        assert_eq!((&other["type"], &other["condition"]), (&json!(OTHER), &Value::Null));
        assert_eq!(said.kinds()?, ["ConditionMissing"], "{document:#}");
        assert_eq!(document["kubelet"]["ready"]["reason"], "ReadinessGatesNotReady");

        let said = explain(t, &["pod/web"])?;
        assert_eq!(said.code, 1);
        let message = condition["message"].as_str().context("no message")?;
        for part in [&format!("pod {}/web is not Ready\n", t.namespace), message, "has no condition", "no check for"] {
            assert!(said.out.contains(part), "{part:?} is not in\n{}", said.out);
        }
        assert!(!said.out.contains('\u{1b}'), "colours without a terminal: {:?}", said.out);

        t.annotate("web", APPROVED, Some("yes")).await?;
        set_condition(&t.pods(), "web", &uid_of(t, "web").await?, OTHER, "True").await?;
        t.wait_for_ready("app=web", 1, "True").await?;
        let said = explain(t, &["pod", "web"])?;
        assert_eq!(said.code, 0, "{}{}", said.out, said.err);
        assert!(said.out.starts_with(&format!("pod {}/web is Ready\n", t.namespace)), "{}", said.out);
        Ok(())
    });
}

#[test]
fn a_stale_generation_a_wrong_status_and_a_condition_without_a_gate_are_told() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.wait_for_containers("app=web", 1).await?;
        let stray = json!({ "type": OTHER, "status": "True" });
        let maybe = json!({ "type": APPROVED, "status": "Maybe", "observedGeneration": 1 });
        let status = Patch::Strategic(json!({ "status": { "conditions": [maybe, stray] } }));
        t.pods().patch_status("web", &PatchParams::default(), &status).await?;
        let said = explain(t, &["pod", "web", "-o", "json"])?;
        assert_eq!((said.code, said.kinds()?), (1, vec!["InvalidStatus".to_owned(), "NoSuchGate".to_owned()]));

        // A change of the spec, and so of the generation.
        let image =
            Patch::Strategic(json!({ "spec": { "containers": [{ "name": "app", "image": "example.com/app:2" }] } }));
        t.pods().patch("web", &PatchParams::default(), &image).await?;
        let said = explain(t, &["pod", "web", "-o", "json"])?;
        assert!(said.kinds()?.contains(&"StaleGeneration".to_owned()), "{}", said.out);
        Ok(())
    });
}

#[test]
fn a_budget_that_blocks_the_eviction_is_told_and_the_cure_that_it_names_works() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": { "name": "web" },
            "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": "web" } } },
        });
        t.create(&budget).await?;
        t.wait_for_containers("app=web", 1).await?;
        set_condition(&t.pods(), "web", &uid_of(t, "web").await?, APPROVED, "False").await?;
        // A pod whose phase is still Pending may always be evicted.
        let runs = |pod: &Pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"));
        t.wait_for_pods("app=web", 1, "running", runs).await?;
        wait_until_counted(t).await?;

        let said = explain(t, &["pod", "web", "-o", "json"])?;
        assert_eq!((said.code, said.kinds()?), (1, vec!["BlocksEviction".to_owned()]), "{}", said.out);
        let refused = t.pods().evict("web", &EvictParams::default()).await;
        assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 429), "{refused:?}");

        let document = said.document()?;
        let next = document["findings"][0]["next"].as_str().context("no next")?;
        assert!(next.contains("unhealthyPodEvictionPolicy: AlwaysAllow"), "{next}");
        let cure = Patch::Merge(json!({ "spec": { "unhealthyPodEvictionPolicy": "AlwaysAllow" } }));
        t.api::<PodDisruptionBudget>().patch("web", &PatchParams::default(), &cure).await?;
        assert_eq!(explain(t, &["pod", "web", "-o", "json"])?.kinds()?, [""; 0]);
        t.pods().evict("web", &EvictParams::default()).await?;
        Ok(())
    });
}

async fn wait_until_counted(t: &Trial) -> Result<()> {
    until(SOON, "the budget counts its pod", async || {
        let status = t.api::<PodDisruptionBudget>().get("web").await?.status.unwrap_or_default();
        let counted = status.expected_pods == 1 && status.desired_healthy == 1 && status.current_healthy == 0;
        Ok(Seen::when(counted, || format!("{status:?}")))
    })
    .await
}

#[test]
fn a_user_who_may_only_look_at_pods_is_told_what_was_not_read() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.wait_for_containers("app=web", 1).await?;
        let account = format!("{}:weak", t.namespace);
        t.kubectl(&["create", "serviceaccount", "weak"])?;
        let weak = t.scratch("weak").join("kubeconfig");
        t.plane.write_kubeconfig_for(&t.namespace, "weak", &weak).await?;

        let nothing = gatehost(&weak, &["pod", "web", "-n", &t.namespace])?;
        assert_eq!((nothing.code, nothing.out.as_str(), nothing.err.lines().count()), (2, "", 1), "{}", nothing.err);
        assert!(nothing.err.ends_with("; grant get on pods\n"), "{}", nothing.err);

        t.kubectl(&["create", "role", "weak", "--verb=get", "--resource=pods"])?;
        t.kubectl(&["create", "rolebinding", "weak", "--role=weak", &format!("--serviceaccount={account}")])?;
        let said = until(SOON, "the role is in force", async || {
            let said = gatehost(&weak, &["pod", "web", "-n", &t.namespace, "-o", "json"])?;
            Ok(if said.code == 2 { Seen::NotYet(said.err) } else { Seen::Yes(said) })
        })
        .await?;
        assert_eq!((said.code, said.kinds()?), (1, vec!["ConditionMissing".to_owned()]));
        let document = said.document()?;
        let notes = document["notes"].as_array().context("no notes")?;
        for grant in ["; grant list on policy/poddisruptionbudgets", "; grant list on events"] {
            let told = notes.iter().any(|note| note.as_str().is_some_and(|note| note.ends_with(grant)));
            assert!(told, "{document:#}");
        }
        Ok(())
    });
}

#[test]
fn the_namespace_is_the_contexts_unless_given_and_what_cannot_be_told_is_2() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.wait_for_containers("app=web", 1).await?;
        set_condition(&t.pods(), "web", &uid_of(t, "web").await?, APPROVED, "True").await?;
        t.wait_for_ready("app=web", 1, "True").await?;
        let own = t.scratch("own").join("kubeconfig");
        let mut config: Value = serde_json::from_slice(&std::fs::read(t.plane.admin_kubeconfig())?)?;
        config["contexts"][0]["context"]["namespace"] = json!(t.namespace);
        std::fs::write(&own, config.to_string())?;
        assert_eq!(gatehost(&own, &["pod", "web"])?.code, 0);

        for (args, told) in [
            (&["pod", "none"][..], "no pod none in namespace"),
            (&["pod", "web", "-n", "default"], "no pod web in namespace default"),
            (&["pod", "web", "--context", "none"], "no context \"none\": it has test"),
            (&["pod", "web", "--kubeconfig", "/nonexistent"], "/nonexistent: not usable as a kubeconfig"),
            (&["deployment/web"], "write gatehost explain [OPTIONS] pod NAME"),
            (&["pod", "web", "web-1"], "one pod at a time"),
        ] {
            let said = gatehost(&own, args)?;
            assert_eq!((said.code, said.out.as_str(), said.err.lines().count()), (2, "", 1), "{args:?}: {}", said.err);
            assert!(said.err.starts_with("gatehost: ") && said.err.contains(told), "{args:?}: {}", said.err);
        }
        Ok(())
    });
}

#[test]
fn the_events_of_gatehost_on_the_pod_are_shown_and_those_of_others_are_not() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.wait_for_containers("app=web", 1).await?;
        let uid = uid_of(t, "web").await?;
        let event = |name: &str, controller: &str, uid: &str, time: &str| {
            json!({
                "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": { "name": name },
                "eventTime": time, "reportingController": controller, "reportingInstance": "one", "action": "Decide",
                "type": "Normal", "reason": "GateFalse", "note": name,
                "regarding": { "apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": t.namespace, "uid": uid },
            })
        };
        t.create(&event("late", "gatehost.dev/gatehost", &uid, "2026-01-01T00:00:02.000000Z")).await?;
        t.create(&event("early", "gatehost.dev/gatehost", &uid, "2026-01-01T00:00:01.000000Z")).await?;
        t.create(&event("other", "example.com/other", &uid, "2026-01-01T00:00:03.000000Z")).await?;
        t.create(&event("old-pod", "gatehost.dev/gatehost", "u-0", "2026-01-01T00:00:03.000000Z")).await?;
        let document = explain(t, &["pod", "web", "-o", "json"])?.document()?;
        let events = document["events"].as_array().context("no events")?;
        let told: Vec<_> = events.iter().map(|e| (e["message"].as_str(), e["at"].as_str())).collect();
        let [early, late] = [Some("2026-01-01T00:00:01Z"), Some("2026-01-01T00:00:02Z")];
        assert_eq!(told, [(Some("early"), early), (Some("late"), late)], "{document:#}");
        assert_eq!(document["notes"], json!([]));
        Ok(())
    });
}

#[test]
fn a_ready_that_no_kubelet_keeps_is_told_to_disagree() {
    run(async |t: &mut Trial| {
        // A node that is none: nobody but this test writes the pod's status.
        let mut pod = gated_pod("web", &[APPROVED]);
        pod["spec"]["nodeName"] = json!("nowhere");
        pod["spec"]["tolerations"] = json!([{ "operator": "Exists" }]);
        t.create(&pod).await?;
        let past = (jiff::Timestamp::now() - Duration::from_mins(5)).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let condition =
            |kind: &str, status: &str| json!({ "type": kind, "status": status, "lastTransitionTime": past });
        let conditions =
            [condition("ContainersReady", "True"), condition(APPROVED, "True"), condition("Ready", "False")];
        let status = Patch::Strategic(json!({ "status": { "phase": "Running", "conditions": conditions } }));
        t.pods().patch_status("web", &PatchParams::default(), &status).await?;
        let said = explain(t, &["pod", "web"])?;
        assert_eq!(said.code, 1, "{}", said.err);
        assert!(said.out.contains("! Ready disagrees for 5m: the containers are ready"), "{}", said.out);
        assert!(said.out.contains("kubectl get node nowhere"), "{}", said.out);
        Ok(())
    });
}
