#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use gatehost_sdk::{Status, parse, serde_json::json};

use super::*;

fn config(value: Value) -> Config {
    let config: Config = parse(&value.to_string()).unwrap();
    assert_eq!(config.errors(), []);
    config
}

fn available() -> Config {
    config(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "db", "condition": { "type": "Available" } }))
}

fn deployment(status: &str, seen: u64) -> Value {
    let conditions = json!([
        { "type": "Progressing", "status": "True" },
        { "type": "Available", "status": status, "reason": "MinimumReplicasUnavailable" },
    ]);
    json!({
        "metadata": { "name": "db", "generation": 2 },
        "status": { "observedGeneration": seen, "conditions": conditions },
    })
}

fn verdict(config: &Config, objects: &[Value]) -> Verdict {
    decide(config, "shop", objects).unwrap()
}

fn reason(config: &Config, objects: &[Value]) -> (Status, String) {
    let verdict = verdict(config, objects);
    (verdict.status, verdict.reason)
}

fn unmet(reason: &str) -> (Status, String) {
    (Status::Unmet, reason.to_owned())
}

fn met() -> (Status, String) {
    (Status::Met, "ObjectReady".to_owned())
}

fn fault(config: &Config, objects: &[Value]) -> String {
    format!("{:?}", decide(config, "shop", objects).unwrap_err())
}

fn mistakes(value: Value) -> Vec<String> {
    match parse::<Config>(&value.to_string()) {
        Ok(config) => config.errors().into_iter().map(|error| error.path).collect(),
        Err(error) => vec![error.path],
    }
}

#[test]
fn the_schema_has_the_fields_of_the_config() {
    gatehost_sdk::testing::assert_schema::<Config>(include_str!("schema.json"));
}

#[test]
fn a_gate_waits_for_the_condition_of_another_object() {
    let config = available();
    let missing = Verdict::unmet("ObjectMissing").message("there is no Deployment db in shop");
    assert_eq!(verdict(&config, &[]), missing);
    let differs = "Deployment db in shop: db: condition Available is False, not True (MinimumReplicasUnavailable)";
    assert_eq!(verdict(&config, &[deployment("False", 2)]), Verdict::unmet("ConditionDiffers").message(differs));
    let met = Verdict::met("ObjectReady").message("Deployment db in shop: condition Available is True");
    assert_eq!(verdict(&config, &[deployment("True", 2)]), met);
    let none = json!({ "metadata": { "name": "db" }, "status": {} });
    assert_eq!(reason(&config, &[none]), unmet("ConditionMissing"));
}

#[test]
fn a_condition_that_is_older_than_the_spec_does_not_count() {
    assert_eq!(reason(&available(), &[deployment("True", 1)]), unmet("StatusOutdated"));
}

#[test]
fn a_condition_may_have_to_be_false() {
    let condition = json!({ "type": "Failed", "status": "False" });
    let config = config(json!({ "apiVersion": "a/v1", "kind": "A", "name": "a", "condition": condition }));
    let object = |status| json!({ "status": { "conditions": [{ "type": "Failed", "status": status }] } });
    assert_eq!(reason(&config, &[object("False")]), met());
    assert_eq!(reason(&config, &[object("True")]), unmet("ConditionDiffers"));
}

#[test]
fn an_object_may_just_have_to_be_there() {
    let config = config(json!({ "apiVersion": "v1", "kind": "Namespace", "namespace": "", "name": "shop" }));
    let expected = Verdict::met("ObjectReady").message("there is Namespace shop");
    assert_eq!(decide(&config, "", &[json!({})]).unwrap(), expected);
}

#[test]
fn a_field_compares_as_text_number_or_boolean() {
    let object = json!({ "status": { "phase": "Ready", "ready": 3, "share": 0.5, "open": true, "none": null } });
    for (field, expected) in [
        (json!({ "pointer": "/status/phase", "equals": "Ready" }), met()),
        (json!({ "pointer": "/status/phase", "equals": "ready" }), unmet("FieldDiffers")),
        (json!({ "pointer": "/status/phase", "notEquals": "Failed" }), met()),
        (json!({ "pointer": "/status/phase", "notEquals": "Ready" }), unmet("FieldDiffers")),
        (json!({ "pointer": "/status/ready", "equals": 3.0 }), met()),
        (json!({ "pointer": "/status/ready", "equals": "3" }), unmet("FieldDiffers")),
        (json!({ "pointer": "/status/ready", "greaterOrEqual": 3, "lessThan": 4 }), met()),
        (json!({ "pointer": "/status/ready", "greaterThan": 3 }), unmet("FieldDiffers")),
        (json!({ "pointer": "/status/ready", "lessOrEqual": 2 }), unmet("FieldDiffers")),
        (json!({ "pointer": "/status/share", "lessThan": 1 }), met()),
        (json!({ "pointer": "/status/open", "equals": true }), met()),
        (json!({ "pointer": "/status/none", "notEquals": 1 }), unmet("FieldMissing")),
        (json!({ "pointer": "/status/gone", "lessThan": 1 }), unmet("FieldMissing")),
    ] {
        let config = config(json!({ "apiVersion": "a/v1", "kind": "A", "name": "a", "field": field }));
        assert_eq!(reason(&config, std::slice::from_ref(&object)), expected, "{field}");
    }
}

#[test]
fn what_cannot_be_compared_is_a_fault_and_never_false() {
    let object = json!({ "metadata": { "name": "a" }, "status": { "phase": "Ready", "list": [{ "n": "x" }] } });
    let with =
        |name: &str, value: Value| config(json!({ "apiVersion": "a/v1", "kind": "A", "name": "a", name: value }));
    let number = with("field", json!({ "pointer": "/status/phase", "lessThan": 3 }));
    assert!(fault(&number, std::slice::from_ref(&object)).contains("BadConfig, reason: \"NotANumber\""));
    let list = with("count", json!({ "pointer": "/status/phase", "atLeast": 1 }));
    assert!(fault(&list, std::slice::from_ref(&object)).contains("BadConfig, reason: \"NotAList\""));
    let only = json!({ "pointer": "/n", "greaterThan": 1 });
    let entry = with("count", json!({ "pointer": "/status/list", "where": only, "atLeast": 1 }));
    assert!(fault(&entry, &[object]).contains("BadConfig, reason: \"NotANumber\""));
}

#[test]
fn of_several_objects_enough_have_to_be_right() {
    let config = config(json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "labels": "app=db", "atLeast": 2,
        "condition": { "type": "Available" },
    }));
    let (yes, no) = (deployment("True", 2), deployment("False", 2));
    assert_eq!(reason(&config, &[]), unmet("ObjectMissing"));
    assert_eq!(reason(&config, &[yes.clone(), no.clone(), yes.clone()]), met());
    let few = "fewer than 2 Deployment with app=db in shop are as they have to be; \
               db: condition Available is False, not True (MinimumReplicasUnavailable)";
    assert_eq!(verdict(&config, &[yes.clone(), no]), Verdict::unmet("TooFew").message(few));
    assert_eq!(verdict(&config, &[yes]).message, "fewer than 2 Deployment with app=db in shop are as they have to be");
}

fn slice(name: &str, endpoints: &[(&str, bool)]) -> Value {
    let endpoint =
        |(uid, ready): &(&str, bool)| json!({ "conditions": { "ready": ready }, "targetRef": { "uid": uid } });
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    json!({ "metadata": { "name": name }, "endpoints": endpoints })
}

#[test]
fn ready_endpoints_are_counted_over_all_slices_and_each_pod_once() {
    let config = config(json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "labels": "kubernetes.io/service-name=db",
        "count": {
            "pointer": "/endpoints", "where": { "pointer": "/conditions/ready", "equals": true },
            "distinct": "/targetRef/uid", "atLeast": 2,
        },
    }));
    let (one, other) = (slice("a", &[("1", true), ("2", false)]), slice("b", &[("3", true)]));
    assert_eq!(reason(&config, &[one.clone(), other]), met());
    // The same pod, once for each family of addresses.
    assert_eq!(reason(&config, &[one.clone(), slice("c", &[("1", true)])]), unmet("TooFew"));
    assert_eq!(reason(&config, &[json!({ "endpoints": null }), json!({})]), unmet("TooFew"));
    let message = verdict(&config, &[one]).message;
    let which = "EndpointSlice with kubernetes.io/service-name=db in shop";
    assert_eq!(message, format!("{which}: /endpoints has fewer than 2 such entries"));
}

#[test]
fn what_is_counted_in_has_to_be_right_itself() {
    let config = config(json!({
        "apiVersion": "a/v1", "kind": "A", "name": "a", "condition": { "type": "Ready" },
        "count": { "pointer": "/status/members", "atLeast": 1 },
    }));
    let object =
        |ready| json!({ "status": { "members": ["x"], "conditions": [{ "type": "Ready", "status": ready }] } });
    assert_eq!(reason(&config, &[object("True")]), met());
    assert_eq!(reason(&config, &[object("False")]), unmet("ConditionDiffers"));
}

#[test]
fn every_mistake_of_a_config_is_named_with_its_place() {
    let of = |more: Value| {
        let mut config = json!({ "apiVersion": "a/v1", "kind": "A", "name": "a" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        mistakes(config)
    };
    assert_eq!(of(json!({})), Vec::<String>::new());
    assert_eq!(of(json!({ "apiVersion": "", "kind": "", "name": "" })), ["/apiVersion", "/kind", "/name"]);
    assert_eq!(of(json!({ "apiVersion": "v1", "kind": "Secret" })), ["/kind"]);
    assert_eq!(mistakes(json!({ "apiVersion": "a/v1", "kind": "A" })), [""]);
    assert_eq!(of(json!({ "labels": "app=db" })), ["/labels"]);
    assert_eq!(mistakes(json!({ "apiVersion": "a/v1", "kind": "A", "labels": "app=(" })), ["/labels"]);
    assert_eq!(of(json!({ "atLeast": 2 })), ["/atLeast"]);
    assert_eq!(of(json!({ "atLeast": 0 })), ["/atLeast"]);
    assert_eq!(of(json!({ "condition": { "type": "", "status": "true" } })), ["/condition/type", "/condition/status"]);
    assert_eq!(of(json!({ "condition": { "type": "Ready", "status": true } })), ["/condition/status"]);
    assert_eq!(of(json!({ "field": { "pointer": "/a" } })), ["/field"]);
    for pointer in ["", "status", "/a~2", "/a~"] {
        assert_eq!(of(json!({ "field": { "pointer": pointer, "equals": 1 } })), ["/field/pointer"], "{pointer}");
    }
    assert_eq!(of(json!({ "field": { "pointer": "/a", "equals": null } })), ["/field/equals"]);
    assert_eq!(of(json!({ "field": { "pointer": "/a", "lessThan": "3" } })), ["/field/lessThan"]);
    assert_eq!(of(json!({ "field": { "pointer": "/a", "equal": 1 } })), ["/field/equal"]);
    let count = json!({ "pointer": "a", "distinct": "b", "where": { "pointer": "/c" }, "atLeast": 0 });
    assert_eq!(of(json!({ "count": count })), ["/count/pointer", "/count/distinct", "/count/where", "/count/atLeast"]);
    assert_eq!(of(json!({ "nme": "b" })), ["/nme"]);
}
