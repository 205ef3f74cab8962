#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use gatehost_sdk::{Container, ContainerRole, ContainerState, PodCondition, Status, serde_json::json};

use super::*;

/// 2026-11-23T15:04:05Z.
const NOW: u64 = 1_795_446_245_000;

fn config(expression: &str) -> Config {
    Config { expression: expression.into(), ..Config::default() }
}

fn with_object(expression: &str) -> Config {
    let (api_version, kind, name) = ("apps/v1".into(), "Deployment".into(), "db".into());
    Config { object: Some(Reference { api_version, kind, namespace: None, name }), ..config(expression) }
}

fn pod() -> Value {
    let started = Some(NOW - 60_000);
    let container = |name: &str, role| {
        let state = ContainerState::Running;
        Container { name: name.into(), role, state, ready: true, restarts: 2, started_at_ms: started }
    };
    let all = [container("proxy", ContainerRole::Sidecar), container("web", ContainerRole::App)];
    let (status, reason, message) = ("True".into(), String::new(), String::new());
    let ready = PodCondition { status, reason, message, last_transition_ms: started, observed_generation: Some(3) };
    json!({
        "metadata": {
            "name": "web-0", "namespace": "shop", "labels": { "app": "web", "tier/x": "1" },
            "annotations": { "example.com/weight": "7" }, "creationTimestamp": clock::rfc3339(NOW - 600_000),
            "generation": 3,
        },
        "spec": {},
        "status": {
            "phase": "Running",
            "conditions": [shape::condition("ContainersReady", &ready)],
            "containerStatuses": shape::containers(&all, true),
            "initContainerStatuses": shape::containers(&all, false),
        },
    })
}

fn answer(config: &Config, object: Option<Value>) -> Result<Verdict, Fault> {
    decide(config, &config.compile().unwrap(), pod(), object, NOW)
}

fn is_true(expression: &str) -> bool {
    answer(&config(expression), None).unwrap().status == Status::Met
}

fn mistakes(config: &Config) -> Vec<(String, String)> {
    config.errors().into_iter().map(|e| (e.path, e.message)).collect()
}

fn mistake(expression: &str) -> String {
    let all = mistakes(&config(expression));
    assert_eq!(all.len(), 1, "{expression:?}: {all:?}");
    assert_eq!(all[0].0, "/expression");
    all[0].1.clone()
}

fn fault(expression: &str) -> String {
    format!("{:?}", answer(&config(expression), None).unwrap_err())
}

#[test]
fn the_schema_has_the_fields_of_the_config() {
    gatehost_sdk::testing::assert_schema::<Config>(include_str!("schema.json"));
}

#[test]
fn an_expression_sees_the_pod_as_kubernetes_shows_it() {
    for expression in [
        r#"pod.metadata.labels["app"] == "web" && pod.metadata.labels["tier/x"] == "1""#,
        r#"int(pod.metadata.annotations["example.com/weight"]) > 5"#,
        r#"pod.status.conditions.exists(c, c.type == "ContainersReady" && c.status == "True")"#,
        "pod.status.containerStatuses.all(c, c.ready && c.restartCount < 3)",
        r#"pod.status.containerStatuses.map(c, c.name) == ["web"]"#,
        r#"pod.status.initContainerStatuses[0].name == "proxy" && has(pod.status.initContainerStatuses[0].state.running)"#,
        "!has(pod.status.podIP) && !has(pod.spec.nodeName) && has(pod.status.phase)",
        "pod.metadata.generation == 3 && pod.metadata.generation + 1 == 4",
        r#"pod.metadata.name.startsWith("web-") && pod.metadata.name.matches("^web-[0-9]+$")"#,
        r#"matches(pod.metadata.namespace, "shop|mall")"#,
        r#"pod.?spec.?nodeName.orValue("none") == "none" && optional.of(1).hasValue()"#,
    ] {
        assert_eq!(mistakes(&config(expression)), [], "{expression}");
        assert!(is_true(expression), "{expression}");
    }
}

#[test]
fn now_is_a_timestamp_that_the_pods_times_compare_with() {
    assert!(is_true(r#"now == timestamp("2026-11-23T15:04:05Z")"#));
    assert!(is_true(r#"now - timestamp(pod.metadata.creationTimestamp) == duration("10m")"#));
    assert!(!is_true(r#"now - timestamp(pod.status.conditions[0].lastTransitionTime) > duration("1m")"#));
    assert!(is_true(r#"now.getHours("Europe/Berlin") == 16"#));
}

#[test]
fn a_false_expression_is_unmet_with_its_message() {
    let mut config = config(r#"pod.status.phase == "Pending""#);
    assert_eq!(answer(&config, None).unwrap(), Verdict::unmet("ExpressionFalse").message("the expression is false"));
    config.message = Some("the phase has to be Pending".into());
    let expected = Verdict::unmet("ExpressionFalse").message("the phase has to be Pending");
    assert_eq!(answer(&config, None).unwrap(), expected);
}

#[test]
fn an_object_is_null_where_there_is_none() {
    let config = with_object("object != null && object.status.availableReplicas >= 2");
    assert_eq!(mistakes(&config), []);
    let met = |object| answer(&config, object).unwrap().status == Status::Met;
    assert!(met(Some(json!({ "status": { "availableReplicas": 2 } }))));
    assert!(!met(Some(json!({ "status": { "availableReplicas": 1 } }))) && !met(None));
    let config = with_object("object.?status.availableReplicas.orValue(0) > 0 || object == null");
    assert_eq!(answer(&config, None).unwrap().status, Status::Met);
}

#[test]
fn what_cannot_be_evaluated_is_a_fault_and_never_false() {
    for (expression, expected) in [
        (r#"pod.metadata.labels["none"] == "a""#, "NoSuchKey"),
        (r#"pod.metadata.labels.none.deeper == "a""#, "NoSuchKey"),
        ("pod.status.containerStatuses[7].ready", "NoSuchKey"),
        ("pod.status.podIP == '10.0.0.1'", "NoSuchKey"),
        ("pod.metadata.name > 1", "TypeMismatch"),
        ("pod.metadata.generation + pod.metadata.name == 1", "TypeMismatch"),
        ("pod.metadata.name && true", "TypeMismatch"),
        ("pod.metadata.generation", "NotBoolean"),
        ("pod.metadata.generation / (pod.metadata.generation - 3) == 1", "EvaluationFailed"),
        ("int(pod.metadata.name) == 1", "EvaluationFailed"),
    ] {
        let fault = fault(expression);
        assert!(
            fault.contains(&format!("kind: FaultKind::BadConfig, reason: \"{expected}\"")),
            "{expression}: {fault}"
        );
    }
    assert!(fault("pod.metadata.labels.none == ''").contains("there is no none; has() tells whether there is"));
    assert!(fault("pod.metadata.generation").contains("gives a value of type int, not true or false"));
}

#[test]
fn a_fault_is_the_same_from_call_to_call() {
    for expression in ["pod == 1 || pod.metadata", "{pod.metadata.labels: 1} == {}", "pod.metadata > pod.status"] {
        let first = fault(expression);
        assert!((0..20).all(|_| fault(expression) == first), "{first}");
    }
}

#[test]
fn a_parse_error_has_its_place_and_its_text() {
    assert_eq!(
        mistake("pod.status.phase ==\n  == 'Running'"),
        "line 2, column 3, at \"== 'Running'\": unexpected token"
    );
    assert!(mistake("'open").starts_with("line 1, column 1, at \"'open\": "), "{}", mistake("'open"));
    assert!(mistake("").starts_with("line 1, column 1, at the end: "), "{}", mistake(""));
    assert_eq!(mistake(&"a".repeat(4097)), "has 4097 bytes; an expression has at most 4096");
    assert!(mistake(&format!("{}{}", "[".repeat(200), "]".repeat(200))).contains("recursion limit"));
    for deep in ["1 + ".repeat(1000) + "1 > 0", "a".to_owned() + &".a".repeat(1000)] {
        assert_eq!(mistake(&deep), "is nested too deep; there are at most 32 levels");
    }
    assert!(is_true(&("true && ".repeat(400) + "true")));
}

#[test]
fn what_does_not_exist_is_told_at_load() {
    assert_eq!(mistake("pdo.status.phase == 'a'"), "there is no variable pdo; there are pod, now and object");
    assert!(mistake("pod.spec.containers.size() > 1").starts_with("pod.spec.containers is no field that plugins see"));
    assert!(mistake("pod.metdata.name == 'a'").starts_with("pod.metdata.name is no field"));
    assert_eq!(mistake("pod.metadata.name.beginsWith('a')"), "there is no function beginsWith");
    assert_eq!(mistake("length(pod.metadata.name) == 3"), "there is no function length");
    assert!(mistake("pod.metadata.name.matches('(')").starts_with("\"(\" is no regular expression: "));
    assert_eq!(mistake("[pod.metadata.name]"), "gives a list or a map, not true or false");
    assert_eq!(mistake("1 + 1"), "gives a value of type int, not true or false");
    assert_eq!(mistake("'true'"), "gives a value of type string, not true or false");
    assert_eq!(mistake("1 / 0 == 1"), "divides by 0");
    assert_eq!(mistakes(&config("[1, 2].exists(n, n == 2) && type(1) == int")), []);
}

#[test]
fn an_object_has_to_be_named_and_used() {
    let all = mistakes(&config("object.status.ready"));
    assert_eq!(all[0].0, "/expression");
    assert!(all[0].1.contains("say in object which one is meant"));
    assert_eq!(mistakes(&with_object("true"))[0].0, "/object");
    let mut wrong = with_object("object != null");
    wrong.object = Some(Reference { api_version: "v1".into(), kind: "Secret".into(), ..Reference::default() });
    let paths: Vec<_> = mistakes(&wrong).into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/object/kind", "/object/name"]);
}

#[test]
fn only_what_is_mentioned_is_read() {
    let fields =
        |expression: &str| Mentions::of(&config(expression).compile().unwrap()).fields.into_iter().collect::<Vec<_>>();
    assert_eq!(
        fields("pod.metadata.labels.app == 'web' && has(pod.status.podIP)"),
        ["metadata.labels", "status.podIP"]
    );
    assert_eq!(fields("pod.metadata['annotations']['a/b'] == 'c'"), ["metadata.annotations"]);
    assert_eq!(fields("pod.status != null").len(), 5);
    assert_eq!(fields("pod != null").len(), shape::FIELDS.len());
    assert_eq!(fields("['status'].exists(part, pod[part] != null)").len(), shape::FIELDS.len());
    assert!(fields("now > now").is_empty());
}

#[test]
fn both_parsers_of_the_library_agree() {
    for expression in [
        "pod.metadata.labels['a'] == \"b\" && !(pod.status.phase in ['Running', 'Pending']) || 1 + 2 * -3 < 4u",
        "pod.status.conditions.exists_one(c, has(c.reason) ? c.reason == r'\\d' : c.status != 'x')",
        "{'a': [1, 2.5, b'x', null]}.all(k, k.size() == 1) && [1].map(x, x > 0, x * 2).filter(y, y == 2) == []",
        "a && b && c && d && e || f || g || h",
    ] {
        let pratt = cel::parser::PrattParser::new().parse(expression).unwrap();
        let other = cel::parser::Parser::new().parse(expression).unwrap();
        assert_eq!(without_ids(&format!("{pratt:?}")), without_ids(&format!("{other:?}")), "{expression}");
    }
}

/// Nodes are numbered in the order in which a parser meets them.
fn without_ids(text: &str) -> String {
    let mut parts = text.split("id: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |all, part| all + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}
