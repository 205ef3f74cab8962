//! Break glass: what a host does when somebody sets a gate by hand for a while.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    objects::{APPROVED, approval, condition, gated_pod, gated_workload, status_of, uid},
    trial::{Trial, run},
    wait::{SOON, Seen, throughout, until},
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{core::v1::Pod, events::v1::Event};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::overriding::{ANNOTATION, set, set_web};

/// A host whose check says False, with `spec` besides, and its pod `web`.
async fn closed(t: &mut Trial, spec: Value, args: &[&str]) -> Result<()> {
    t.plugin("annotation.wasm", "annotation.wasm")?;
    let mut check: Value = serde_json::from_str(&approval("annotation.wasm", "yes"))?;
    for (key, value) in spec.as_object().context("no object")? {
        check["spec"][key] = value.clone();
    }
    t.file("approved.yaml", check.to_string());
    t.create(&gated_pod("web", &[APPROVED])).await?;
    t.start_host(args).await?;
    t.wait_for_containers("app=web", 1).await?;
    t.wait_for_status("app=web", 1, APPROVED, "False").await?;
    Ok(())
}

fn annotation(uid: &str, status: &str, lasts: SignedDuration) -> Result<String> {
    let until = format!("{:.0}", Timestamp::now().checked_add(lasts)?);
    let one = json!({ "gate": APPROVED, "status": status, "until": until, "reason": "by hand" });
    Ok(json!({ "uid": uid, "overrides": [one] }).to_string())
}

fn reason_of(pod: &Pod) -> &str {
    condition(pod, APPROVED).and_then(|c| c.reason.as_deref()).unwrap_or_default()
}

async fn wait_for_event(t: &Trial, reason: &str) -> Result<String> {
    let events = t.api::<Event>();
    until(SOON, &format!("there is an Event {reason}"), async || {
        let all = events.list(&ListParams::default()).await?.items;
        let found = all.iter().find(|event| event.reason.as_deref() == Some(reason));
        Ok(found.map_or_else(
            || Seen::NotYet(format!("{:?}", all.iter().map(|e| e.reason.clone()).collect::<Vec<_>>())),
            |event| Seen::Yes(event.note.clone().unwrap_or_default()),
        ))
    })
    .await
}

/// That an override has no effect, and why is told in an Event.
async fn refused(t: &Trial) -> Result<String> {
    let note = wait_for_event(t, "OverrideRefused").await?;
    throughout(Duration::from_secs(1), "the check still decides", async || {
        let pod = t.pods().get("web").await?;
        let holds = status_of(&pod, APPROVED) == "False" && reason_of(&pod) != "Overridden";
        Ok(Seen::when(holds, || format!("{:?}", condition(&pod, APPROVED))))
    })
    .await?;
    Ok(note)
}

#[test]
fn a_host_obeys_says_so_and_lets_the_check_decide_again_when_it_is_cleared() {
    run(async |t: &mut Trial| {
        closed(t, json!({}), &[]).await?;
        let (code, out, err) = set_web(t, &format!("{APPROVED}=True"))?;
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("Overridden") && out.contains("cache is down"), "{out}");
        let pods = t.wait_for_ready("app=web", 1, "True").await?;
        let annotations = pods[0].metadata.annotations.clone().context("no annotation")?;
        let left: Value = serde_json::from_str(&annotations[ANNOTATION])?;
        let until = left["overrides"][0]["until"].as_str().context("no end")?;
        let message = condition(&pods[0], APPROVED).and_then(|c| c.message.clone()).unwrap_or_default();
        assert!(message.contains("cache is down") && message.contains(until), "{message}");
        wait_for_event(t, "Overridden").await?;

        let (code, out, err) = set(t, &["pod", "web", "--clear", "-o", "json"])?;
        assert_eq!(code, 0, "{out}{err}");
        let document: Value = serde_json::from_str(&out)?;
        assert_eq!((&document["followed"], &document["gates"][0]["type"]), (&json!(true), &json!(APPROVED)));
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;
        t.wait_for_ready("app=web", 1, "False").await?;
        assert!(!t.pods().get("web").await?.metadata.annotations.unwrap_or_default().contains_key(ANNOTATION));
        Ok(())
    });
}

#[test]
fn an_override_ends_by_itself() {
    run(async |t: &mut Trial| {
        closed(t, json!({}), &[]).await?;
        let args = ["pod", "web", &format!("{APPROVED}=True"), "--for", "8s", "--reason", "a moment"];
        let (code, out, err) = set(t, &args)?;
        assert_eq!(code, 0, "{out}{err}");
        t.wait_for_pods("app=web", 1, "decided by its check", |pod| {
            status_of(pod, APPROVED) == "False" && reason_of(pod) != "Overridden"
        })
        .await?;
        Ok(())
    });
}

#[test]
fn an_annotation_with_another_pods_uid_is_refused() {
    run(async |t: &mut Trial| {
        closed(t, json!({}), &[]).await?;
        let hour = SignedDuration::from_hours(1);
        t.annotate("web", ANNOTATION, Some(&annotation("another", "True", hour)?)).await?;
        refused(t).await?;
        // As it comes in a pod template.
        let mut workload = gated_workload("Deployment", "many", 2, &[APPROVED]);
        workload["spec"]["template"]["metadata"]["annotations"] = json!({ ANNOTATION: annotation("x", "True", hour)? });
        t.create(&workload).await?;
        t.wait_for_status("app=many", 2, APPROVED, "False").await?;
        Ok(())
    });
}

#[test]
fn an_end_further_away_than_the_host_allows_is_refused_and_the_command_says_so() {
    run(async |t: &mut Trial| {
        closed(t, json!({}), &["--max-override", "10m"]).await?;
        let (code, out, err) = set_web(t, &format!("{APPROVED}=True"))?;
        assert_eq!(code, 1, "{out}{err}");
        assert!(err.contains("the newest refusal of a host"), "{err}");
        refused(t).await?;
        Ok(())
    });
}

#[test]
fn a_check_may_refuse_to_be_overridden() {
    run(async |t: &mut Trial| {
        closed(t, json!({ "override": false }), &[]).await?;
        let pod = t.pods().get("web").await?;
        let text = annotation(&uid(&pod)?, "True", SignedDuration::from_mins(5))?;
        t.annotate("web", ANNOTATION, Some(&text)).await?;
        refused(t).await?;
        Ok(())
    });
}
