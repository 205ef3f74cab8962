#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};

use super::*;
use crate::{cluster::Budget, pod::Seen};

/// 2026-11-23T16:13:42Z.
const NOW: i64 = 1_795_450_422_000;
const AGO_10S: &str = "2026-11-23T16:13:32Z";
const AGO_2M: &str = "2026-11-23T16:11:42Z";
const WARM: &str = "example.com/warm";

fn condition(kind: &str, status: &str) -> Value {
    json!({ "type": kind, "status": status, "lastTransitionTime": AGO_2M })
}

fn with(kind: &str, status: &str, more: Value) -> Value {
    let mut condition = condition(kind, status);
    condition.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    condition
}

/// A running pod whose containers are ready and that has the gate [`WARM`].
fn pod(ready: &str, more: &[Value]) -> Value {
    let mut conditions = vec![condition("Ready", ready), condition("ContainersReady", "True")];
    conditions.extend_from_slice(more);
    json!({
        "metadata": { "name": "web-0", "namespace": "shop", "uid": "u-1", "generation": 2, "creationTimestamp": AGO_2M },
        "spec": { "nodeName": "node-7", "readinessGates": [{ "conditionType": WARM }] },
        "status": { "phase": "Running", "conditions": conditions },
    })
}

fn inspected(pod: Value) -> Inspected {
    Inspected { seen: serde_json::from_value::<Seen>(pod).unwrap(), ..Inspected::default() }
}

fn report(pod: Value) -> Report {
    diagnose(&inspected(pod), NOW)
}

fn kinds(report: &Report) -> Vec<Kind> {
    report.findings.iter().map(|f| f.kind).collect()
}

/// The only finding.
fn only(pod: Value) -> Finding {
    let report = report(pod);
    assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    report.findings[0].clone()
}

#[test]
fn a_ready_pod_has_nothing_wrong_with_it() {
    let report = report(pod("True", &[with(WARM, "True", json!({ "observedGeneration": 2 }))]));
    assert!(report.ready && !report.gates[0].blocks);
    assert_eq!(kinds(&report), []);
}

#[test]
fn a_gate_that_is_false_is_shown_with_its_reason_and_is_no_finding_of_its_own() {
    let cold = with(WARM, "False", json!({ "reason": "Cold", "message": "3 of 9 keys" }));
    let report = report(pod("False", &[cold]));
    assert!(!report.ready && report.gates[0].blocks);
    let condition = report.gates[0].condition.as_ref().unwrap();
    assert_eq!((condition.reason.as_str(), condition.message.as_str()), ("Cold", "3 of 9 keys"));
    assert_eq!(condition.since, Some(NOW - 120_000));
    assert_eq!(kinds(&report), []);
}

#[test]
fn a_missing_condition_is_of_the_gate_and_names_both_causes() {
    let found = only(pod("False", &[]));
    assert_eq!((found.kind, found.gate.as_deref()), (Kind::ConditionMissing, Some(WARM)));
    assert!(found.message.contains("no check answers it, or no host runs"), "{found:?}");
}

#[test]
fn where_the_host_wrote_another_gate_a_missing_condition_is_a_missing_check() {
    let mut cold = pod("False", &[condition(WARM, "False")]);
    cold["spec"]["readinessGates"] = json!([{ "conditionType": WARM }, { "conditionType": "other.io/x" }]);
    let mut read = inspected(cold);
    read.writers = [(WARM.to_owned(), "gatehost".to_owned())].into();
    let report = diagnose(&read, NOW);
    assert_eq!(report.gates[0].condition.as_ref().unwrap().writer.as_deref(), Some("gatehost"));
    assert_eq!(kinds(&report), [Kind::ConditionMissing]);
    assert!(report.findings[0].message.contains("a host answers example.com/warm"), "{:?}", report.findings);
}

#[test]
fn a_condition_of_a_gates_domain_that_no_gate_names_is_told_and_those_of_others_are_not() {
    let stray = |kind: &str| kinds(&report(pod("False", &[condition(WARM, "False"), condition(kind, "True")])));
    assert_eq!(stray("example.com/other"), [Kind::NoSuchGate]);
    assert_eq!(stray("cloud.example.net/lb"), []);
    assert_eq!(stray("PodScheduled"), []);
    let mut read = inspected(pod("False", &[condition(WARM, "False"), condition("far.io/x", "True")]));
    read.writers = [("far.io/x".to_owned(), "gatehost".to_owned())].into();
    assert_eq!(kinds(&diagnose(&read, NOW)), [Kind::NoSuchGate]);
}

#[test]
fn a_misspelt_condition_names_the_gate_that_was_meant() {
    let report = report(pod("False", &[condition("exmaple.com/warm", "True")]));
    assert_eq!(kinds(&report), [Kind::ConditionMissing, Kind::NoSuchGate]);
    assert!(report.findings[1].message.contains("which has example.com/warm"), "{:?}", report.findings);
}

#[test]
fn an_older_observed_generation_is_stale_and_none_is_not() {
    let judged = |generation: Value| with(WARM, "False", json!({ "observedGeneration": generation }));
    let found = only(pod("False", &[judged(json!(1))]));
    assert_eq!(found.kind, Kind::StaleGeneration);
    assert!(found.message.contains("generation 1") && found.message.contains("at 2 now"), "{found:?}");
    for fresh in [json!(2), Value::Null] {
        assert_eq!(kinds(&report(pod("False", &[judged(fresh)]))), []);
    }
}

#[test]
fn a_status_that_is_none_is_invalid_and_blocks() {
    let found = only(pod("False", &[condition(WARM, "Maybe")]));
    assert_eq!(found.kind, Kind::InvalidStatus);
    assert!(report(pod("False", &[condition(WARM, "true")])).gates[0].blocks);
}

#[test]
fn ready_that_does_not_follow_is_told_with_how_long() {
    let found = only(pod("False", &[condition(WARM, "True")]));
    assert_eq!(found.kind, Kind::ReadyDisagrees);
    assert!(found.message.starts_with("Ready disagrees for 2m: the containers are ready"), "{found:?}");
    assert!(found.next.contains("kubectl get node node-7"), "{found:?}");
    let just = with(WARM, "True", json!({ "lastTransitionTime": AGO_10S }));
    let found = only(pod("False", &[just]));
    assert!(found.message.contains(" for 10s:") && found.next.contains("look again"), "{found:?}");
}

#[test]
fn ready_that_stays_against_a_gate_is_told_with_the_gate() {
    let found = only(pod("True", &[condition(WARM, "False")]));
    assert_eq!(found.message, "Ready disagrees for 2m: it is True, but example.com/warm is not");
    let report = report(pod("True", &[]));
    assert!(report.ready);
    assert_eq!(kinds(&report), [Kind::ReadyDisagrees, Kind::ConditionMissing]);
}

#[test]
fn containers_that_are_not_ready_come_before_the_gates() {
    let mut crashed = pod("False", &[condition(WARM, "False")]);
    crashed["status"]["conditions"][1]["status"] = json!("False");
    let app = json!({ "name": "app", "ready": false, "restartCount": 3, "state": { "waiting": {} } });
    crashed["status"]["containerStatuses"] = json!([app, { "name": "side", "ready": true }]);
    let found = only(crashed);
    assert_eq!(found.kind, Kind::ContainersNotReady);
    assert!(found.message.contains("app (waiting, 3 restarts);"), "{found:?}");
}

#[test]
fn a_pod_without_a_node_says_what_the_scheduler_says() {
    let mut pending = pod("False", &[condition(WARM, "False")]);
    pending["spec"]["nodeName"] = Value::Null;
    pending["status"]["phase"] = json!("Pending");
    let scheduled = with("PodScheduled", "False", json!({ "message": "0/2 nodes are available" }));
    pending["status"]["conditions"] = json!([scheduled]);
    let report = report(pending);
    assert_eq!(kinds(&report), [Kind::NotScheduled, Kind::ConditionMissing]);
    assert!(report.findings[0].message.ends_with("0/2 nodes are available") && report.kubelet.ready.is_none());
}

#[test]
fn a_pod_that_is_over_is_only_told_to_be() {
    let mut going = pod("False", &[condition(WARM, "True")]);
    going["metadata"]["deletionTimestamp"] = json!(AGO_10S);
    assert_eq!(only(going).kind, Kind::Ended);
    let mut done = pod("False", &[condition(WARM, "True")]);
    done["status"]["phase"] = json!("Succeeded");
    assert!(only(done).message.contains("(Succeeded)"));
}

#[test]
fn a_pod_without_gates_is_told_to_have_none() {
    let mut bare = pod("True", &[]);
    bare["spec"]["readinessGates"] = Value::Null;
    assert_eq!(only(bare).kind, Kind::NoGates);
}

#[test]
fn a_gate_of_kubernetes_is_never_ours() {
    let mut reserved = pod("False", &[]);
    reserved["spec"]["readinessGates"] = json!([{ "conditionType": "foo.k8s.io/bar" }]);
    assert_eq!(kinds(&report(reserved)), [Kind::ReservedGate, Kind::ConditionMissing]);
}

#[test]
fn a_budget_matters_only_while_the_pod_is_not_ready() {
    let blocks = Budget { name: "web".into(), healthy: 1, desired: 2, counted: true, ..Budget::default() };
    let with_budget = |pod| diagnose(&Inspected { budgets: vec![blocks.clone()], ..inspected(pod) }, NOW);
    let report = with_budget(pod("False", &[condition(WARM, "False")]));
    assert_eq!(kinds(&report), [Kind::BlocksEviction]);
    assert!(report.findings[0].message.contains("example.com/warm is not True"), "{:?}", report.findings);
    assert_eq!(kinds(&with_budget(pod("True", &[condition(WARM, "True")]))), []);
}

#[test]
fn a_held_condition_is_explained_even_where_the_pod_is_ready() {
    let held = with(WARM, "True", json!({ "reason": "HeldByBudget", "message": "since 16:00" }));
    let found = only(pod("True", &[held]));
    assert_eq!((found.kind, found.gate.as_deref()), (Kind::HeldByBudget, Some(WARM)));
}

#[test]
fn the_latest_events_and_what_could_not_be_read_are_kept() {
    let mut read = inspected(pod("True", &[condition(WARM, "True")]));
    read.events = (0..9).map(|at| Told { at: Some(at), ..Told::default() }).collect();
    read.unread = vec!["no budgets".to_owned()];
    let report = diagnose(&read, NOW);
    assert_eq!(report.events.iter().map(|e| e.at.unwrap()).collect::<Vec<_>>(), [4, 5, 6, 7, 8]);
    assert_eq!(report.notes, ["no budgets"]);
}

#[test]
fn the_document_has_exactly_the_promised_keys() {
    let mut read = inspected(pod("False", &[with(WARM, "False", json!({ "reason": "Cold", "message": "m" }))]));
    read.events = vec![Told { at: Some(NOW), kind: "Normal".into(), count: 1, ..Told::default() }];
    read.budgets = vec![Budget { name: "web".into(), ..Budget::default() }];
    let document = serde_json::to_value(diagnose(&read, NOW)).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(
        keys(&document),
        "created events findings gates generation kubelet namespace node notes overrides phase pod ready uid"
    );
    assert_eq!(keys(&document["gates"][0]), "blocks condition type");
    assert_eq!(keys(&document["gates"][0]["condition"]), "message observedGeneration reason since status writer");
    assert_eq!(document["gates"][0]["condition"]["since"], AGO_2M);
    assert_eq!(keys(&document["kubelet"]), "containersReady ready");
    assert_eq!(keys(&document["findings"][0]), "gate kind message next");
    assert_eq!(document["findings"][0]["kind"], "BlocksEviction");
    assert_eq!(keys(&document["events"][0]), "at count message reason type");
}
