//! The pure parts under arbitrary inputs: nobody's document, words or clock makes them break their rules.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use gatehost::{
    check::{OnFault, Policy},
    decide::{
        Asked, Blame, Condition, Fault, FaultKind, Memory, Now, Status, Verdict, identity::Past, sanitize, transition,
    },
};
use gatehost_tests::fuzzing::pure as fuzzing;
use proptest::prelude::*;
use serde_json::{Value, json};

mod pure {
    mod overrides;
    mod selector;
}

const GOOD: &str = "\
apiVersion: gatehost.dev/v1alpha1
kind: Check
metadata: {name: cache-warm}
spec:
  gate: example.com/cache-warm
  plugin: http.wasm
  config: {port: 8080, path: /warm}
  periodSeconds: 30
  timeoutSeconds: 2
  initialDelaySeconds: 5
  failureThreshold: 4
  startWhen: scheduled
  onFault: \"False\"
  maxStaleSeconds: 600
  maxUnready: 40%
  maxFlapsPerMinute: 60
  dryRun: true
  select: {namespaces: [shop], labels: 'app in (web,api),!old'}
";

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::True), Just(Status::False), Just(Status::Unknown)]
}

fn answer() -> impl Strategy<Value = Result<Verdict, Fault>> {
    let delay = || proptest::option::of((0..u32::MAX).prop_map(sanitize::delay));
    prop_oneof![
        (status(), ".{0,9}", ".{0,9}", delay()).prop_map(|(status, reason, message, recheck_after)| {
            Ok(Verdict { status, reason: sanitize::reason(&reason), message, recheck_after })
        }),
        (".{0,9}", delay()).prop_map(|(message, retry_after)| {
            Err(Fault { kind: FaultKind::Trap, blame: Blame::Code, reason: "Trap".into(), message, retry_after })
        }),
    ]
}

/// JSON with the keys that pods and checks have, so that arbitrary values stand where others are expected.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        "[a-zA-Z./]{1,12}".prop_map(Value::from),
        Just(json!("2026-01-01T00:00:00Z")),
    ];
    let key = proptest::sample::select(vec![
        "metadata",
        "spec",
        "status",
        "name",
        "namespace",
        "uid",
        "labels",
        "annotations",
        "conditions",
        "type",
        "readinessGates",
        "conditionType",
        "containerStatuses",
        "state",
        "running",
        "startedAt",
        "restartCount",
        "ownerReferences",
        "controller",
        "generation",
        "creationTimestamp",
        "phase",
        "podIP",
        "gate",
        "plugin",
        "config",
        "initialDelaySeconds",
        "successThreshold",
        "startWhen",
        "onFault",
        "maxStaleSeconds",
        "mode",
        "maxUnready",
        "maxFlapsPerMinute",
        "override",
        "select",
        "namespaces",
        "namespaceLabels",
    ]);
    leaf.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Value>()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_told_of_in_single_lines(text in "\\PC{0,200}|[-a:{}\\[\\]&*!|>'\"#%@`, \n\t]{0,60}") {
        fuzzing::check(text.as_bytes());
    }

    #[test]
    fn a_check_with_a_few_bytes_changed_is_right_or_told_of(at in 0..GOOD.len(), len in 0..4_usize, to in "\\PC{0,6}|\n|0") {
        let mut text = GOOD.to_owned();
        text.replace_range(at..(at + len).min(GOOD.len()), &to);
        fuzzing::check(text.as_bytes());
    }

    #[test]
    fn a_document_with_anything_anywhere_is_right_or_told_of(name in "[a-z]{1,5}", tree in tree()) {
        for kind in ["Check", "Pod"] {
            let mut document = json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": kind, "metadata": { "name": name } });
            document["spec"] = tree.clone();
            document["status"] = tree.clone();
            fuzzing::check(document.to_string().as_bytes());
            fuzzing::check(json!({ "kind": kind, "metadata": tree }).to_string().as_bytes());
        }
    }

    #[test]
    fn of_any_pod_that_is_read_only_what_plugins_see_is_kept(mut tree in tree()) {
        if let Some(object) = tree.as_object_mut() {
            object.entry("metadata").or_insert_with(|| json!({ "name": "web-0" }));
        }
        fuzzing::pod(tree.to_string().as_bytes());
    }

    #[test]
    fn any_words_are_fit_for_a_condition(words in "\\PC{0,300}|[\\x00-\\x7f\u{202e}\u{200b}é]{0,1500}|[A-Za-z0-9_,: -]{0,140}|[A-Za-z][A-Za-z0-9_,:]{0,9}") {
        fuzzing::verdict(words.as_bytes());
    }

    #[test]
    fn no_gate_turns_true_but_by_a_met_verdict_and_no_answer_is_backed_off(
        answers in prop::collection::vec((answer(), 0..100_u64), 1..40), period in 1..100_u64, thresholds in 1..4_u32,
        on_fault in prop_oneof![Just(OnFault::Hold), Just(OnFault::False), Just(OnFault::Unknown)],
        stale in proptest::option::of(1..200_u64), began in proptest::option::of(status()), generation in 0..9_u64,
    ) {
        let policy = Policy {
            period: Duration::from_secs(period),
            success_threshold: thresholds,
            failure_threshold: thresholds,
            on_fault,
            max_stale: stale.map(Duration::from_secs),
            ..Policy::default()
        };
        let mut memory = Memory::new(Past { verdict: began.is_some(), void: false, was_true: began.is_some() });
        let mut standing = began.map(|status| Condition {
            status,
            reason: "Before".into(),
            message: String::new(),
            last_transition: None,
            observed_generation: None,
        });
        let mut now = Now { mono: Duration::ZERO, wall: 1_700_000_000_000 };
        for (answer, after) in answers {
            now.mono += Duration::from_secs(after);
            now.wall += i64::try_from(after * 1000).unwrap();
            let met = answer.as_ref().is_ok_and(|verdict| verdict.status == Status::True);
            let named = answer.as_ref().map_or(None, |verdict| verdict.recheck_after);
            let is_fault = answer.is_err();
            let before = standing.as_ref().map(|condition| condition.status);
            let wait = memory.take(answer, &Asked { policy: &policy, standing: standing.as_ref(), spread: 1.0, rises: false, generation, now });
            prop_assert!(wait <= Duration::from_hours(1).max(policy.period));
            if is_fault {
                prop_assert!(wait <= policy.period.max(Duration::from_secs(30)));
            } else {
                prop_assert_eq!(wait, named.unwrap_or(policy.period));
            }
            if let Some(opinion) = memory.opinion.as_deref() {
                let turns = opinion.status == Status::True && before != Some(Status::True);
                prop_assert!(!turns || met, "{opinion:?} without a met verdict");
                prop_assert_eq!(opinion.observed_generation, Some(generation).filter(|g| *g > 0));
                standing = Some(opinion.clone());
                memory.wrote();
            }
        }
    }

    #[test]
    fn the_time_of_a_transition_moves_with_the_status_and_never_back(
        old in proptest::option::of((status(), proptest::option::of(0..4_102_444_800_i64))), new in status(),
        now in 0..4_102_444_800_000_i64
    ) {
        let standing = old.map(|(status, seconds)| Condition {
            status,
            reason: String::new(),
            message: String::new(),
            last_transition: seconds.map(|s| s * 1000),
            observed_generation: None,
        });
        let moved = transition(new, standing.as_ref(), now);
        prop_assert_eq!(moved.is_some(), standing.as_ref().is_none_or(|old| old.status != new));
        if let Some(at) = moved {
            prop_assert_eq!(at % 1000, 0, "Kubernetes records whole seconds");
            let before = standing.and_then(|old| old.last_transition).unwrap_or(0);
            prop_assert_eq!(at, before.max(now - now % 1000));
        }
    }
}
