//! Instances that serve one call after the other: what outlives a call, and what ends an instance.

use std::{collections::BTreeSet, time::Duration};

use gatehost::{
    check,
    decide::FaultKind,
    pod::{Packed, Pod},
    sandbox::{Evaluation, Grant, Plugin, Sandbox},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{ENOUGH, NOW, guest, question};

/// A check that reuses instances, and its plugin.
#[derive(Clone)]
struct Asker {
    sandbox: Sandbox,
    plugin: Plugin,
    grant: Grant,
    namespace: String,
}

impl Asker {
    async fn new(spec: Value) -> Self {
        let sandbox = Sandbox::new().unwrap();
        let plugin = sandbox.load(guest("count")).await.unwrap();
        let grant = grant(&sandbox, spec);
        Self { sandbox, plugin, grant, namespace: "shop".into() }
    }

    /// How many calls its instance has served, with this one; or the kind of the fault.
    async fn ask(&self, config: &str) -> Result<u32, FaultKind> {
        self.told(config, NOW, ENOUGH).await.map(|told| told.parse().unwrap())
    }

    async fn told(&self, config: &str, now: i64, timeout: Duration) -> Result<String, FaultKind> {
        let pod = Packed::new(&Pod { namespace: self.namespace.clone(), name: "web-0".into(), ..Pod::default() });
        let evaluation = Evaluation { pod, now, grant: self.grant.clone(), ..question(config, timeout) };
        self.plugin.evaluate(evaluation).await.answer.map(|verdict| verdict.message).map_err(|fault| fault.kind)
    }

    fn within(&self, namespace: &str) -> Self {
        Self { namespace: namespace.into(), ..self.clone() }
    }
}

fn grant(sandbox: &Sandbox, mut spec: Value) -> Grant {
    spec["gate"] = json!("example.com/counts");
    spec["plugin"] = json!("count.wasm");
    let document = json!({
        "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": "counts" }, "spec": spec,
    });
    let parsed = check::parse(&document.to_string(), false);
    assert!(parsed.broken.is_empty(), "{:?}", parsed.broken);
    sandbox.grant_to(&parsed.checks[0]).unwrap()
}

#[tokio::test]
async fn an_instance_serves_one_call_unless_the_check_says_otherwise() {
    for spec in [json!({}), json!({ "instances": "fresh" })] {
        let asker = Asker::new(spec).await;
        for _ in 0..3 {
            assert_eq!(asker.ask("").await, Ok(1));
        }
    }
}

#[tokio::test]
async fn a_reused_instance_serves_pods_of_one_namespace_and_of_all_where_the_check_lifts_that() {
    let asker = Asker::new(json!({ "instances": "reuse" })).await;
    let other = asker.within("billing");
    for n in 1..=3 {
        assert_eq!((asker.ask("").await, other.ask("").await), (Ok(n), Ok(n)));
    }
    let asker = Asker::new(json!({ "instances": "reuse", "reuse": { "acrossNamespaces": true } })).await;
    assert_eq!((asker.ask("").await, asker.within("billing").ask("").await), (Ok(1), Ok(2)));
}

#[tokio::test]
async fn instances_are_shared_neither_between_checks_nor_with_a_replaced_plugin() {
    let asker = Asker::new(json!({ "instances": "reuse" })).await;
    let other = Asker { grant: grant(&asker.sandbox, json!({ "instances": "reuse" })), ..asker.clone() };
    assert_eq!((asker.ask("").await, asker.ask("").await, other.ask("").await), (Ok(1), Ok(2), Ok(1)));
    let replaced = Asker { plugin: asker.sandbox.load(guest("count")).await.unwrap(), ..asker.clone() };
    assert_eq!(replaced.ask("").await, Ok(1));
    // What belonged to the one before is gone.
    assert_eq!(asker.ask("").await, Ok(1));
}

#[tokio::test]
async fn an_instance_serves_one_call_at_a_time() {
    let asker = Asker::new(json!({ "instances": "reuse" })).await;
    let mut calls = JoinSet::new();
    for _ in 0..2 {
        let asker = asker.clone();
        calls.spawn(async move { asker.ask("sleep 1000").await.unwrap() });
    }
    // Each has an instance of its own: a check has two turns at least.
    assert_eq!(calls.join_all().await.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([1]));
    assert_eq!(asker.ask("").await, Ok(2));
}

#[tokio::test]
async fn an_instance_ends_after_as_many_calls_as_the_check_says() {
    let asker = Asker::new(json!({ "instances": "reuse", "reuse": { "maxCalls": 3 } })).await;
    for n in [1, 2, 3, 1, 2] {
        assert_eq!(asker.ask("").await, Ok(n));
    }
    // More than a call may have handles: none of an earlier call is left.
    let asker = Asker::new(json!({ "instances": "reuse", "reuse": { "maxCalls": 5000 } })).await;
    for n in 1..=1500 {
        assert_eq!(asker.ask("").await, Ok(n));
    }
}

#[tokio::test]
async fn an_instance_ends_after_any_fault() {
    let asker = Asker::new(json!({ "instances": "reuse" })).await;
    for (end, kind) in [("fault", FaultKind::Internal), ("trap", FaultKind::Trap)] {
        assert_eq!((asker.ask("").await, asker.ask("").await), (Ok(1), Ok(2)), "before {end}");
        assert_eq!(asker.ask(end).await, Err(kind));
    }
    for end in ["spin", "sleep 60000"] {
        assert_eq!((asker.ask("").await, asker.ask("").await), (Ok(1), Ok(2)), "before {end}");
        let late = asker.told(end, NOW, Duration::from_millis(300)).await;
        assert_eq!(late, Err(FaultKind::Deadline));
    }
    assert_eq!(asker.ask("").await, Ok(1));
}

#[tokio::test]
async fn an_instance_ends_when_its_memory_has_grown_past_what_the_check_says() {
    let asker = Asker::new(json!({ "instances": "reuse", "reuse": { "maxMemory": "8Mi" } })).await;
    assert_eq!((asker.ask("").await, asker.ask("grow 2").await, asker.ask("").await), (Ok(1), Ok(2), Ok(3)));
    assert_eq!((asker.ask("grow 7").await, asker.ask("").await), (Ok(4), Ok(1)));
    // The limit of a call counts what was there before it.
    let asker = Asker::new(json!({
        "instances": "reuse", "reuse": { "maxMemory": "64Mi" }, "limits": { "memory": "16Mi" },
    }))
    .await;
    assert_eq!((asker.ask("grow 10").await, asker.ask("grow 10").await), (Ok(1), Err(FaultKind::Limit)));
}

#[tokio::test]
async fn what_a_guest_leaves_open_ends_its_instance() {
    let asker = Asker::new(json!({ "instances": "reuse" })).await;
    assert_eq!((asker.ask("").await, asker.ask("").await), (Ok(1), Ok(2)));
    // The C library keeps the stream that it printed to.
    assert_eq!((asker.ask("print").await, asker.ask("").await), (Ok(3), Ok(1)));
}

#[tokio::test]
async fn deadline_data_and_clocks_are_each_calls_own() {
    let asker = Asker::new(json!({ "instances": "reuse" })).await;
    // Together they are more than one call may hand over, and take longer than one may.
    for n in 1..=4 {
        assert_eq!(asker.ask("hand 900000").await, Ok(n));
    }
    for n in 5..=8 {
        let told = asker.told("sleep 200", NOW, Duration::from_millis(600)).await;
        assert!(told.is_ok_and(|told| told == n.to_string()) || n > 5, "call {n}");
    }
    let asker = Asker::new(json!({ "instances": "reuse" })).await;
    for (n, now) in [(1, NOW), (2, NOW + 3_600_000), (3, NOW - 1000)] {
        assert_eq!(asker.told("clocks", now, ENOUGH).await, Ok(format!("{n} {now} 0")));
    }
}
