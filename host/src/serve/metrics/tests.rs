//! What a scrape shows, and when it is counted.

use prometheus_client::encoding::text::encode;

use super::*;
use crate::{
    decide::{Blame, Fault, FaultKind, Verdict},
    dispatch::{GateKey, Now, Options},
    pod::{Packed, Pod, Seen},
    sandbox::Kept,
};

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    encode(&mut text, registry).unwrap();
    text
}

fn call() -> Call {
    let pod = Packed::new(&Pod::default());
    let key = GateKey { uid: "u".into(), gate: "example.com/warm".into(), dry_run: false };
    Call {
        id: 1,
        key,
        check: "warm".into(),
        generation: 1,
        pod,
        now: 0,
        waited: Duration::from_millis(2),
        kept: Kept::default(),
    }
}

fn ended(answer: Result<Verdict, Fault>) -> Evaluated {
    Evaluated { answer, keep: None, refusals: vec![], reads: vec![] }
}

fn met() -> Verdict {
    Verdict { status: Status::True, reason: String::new(), message: String::new(), recheck_after: None }
}

#[test]
fn the_names_and_units_are_those_that_the_readme_lists() {
    let (mut metrics, registry) = Metrics::new();
    // Families with labels show themselves once they have a value.
    metrics.answered(&call(), &ended(Ok(met())), Duration::ZERO);
    metrics.gates.get_or_create(&Standing { check: "warm".into(), status: "true" }).set(1);
    let text = text(&registry);
    let families: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(
        families,
        [
            "gatehost_build info",
            "gatehost_evaluations counter",
            "gatehost_evaluation_seconds histogram",
            "gatehost_evaluations_spared counter",
            "gatehost_refusals counter",
            "gatehost_queue_seconds histogram",
            "gatehost_patches counter",
            "gatehost_patch_seconds histogram",
            "gatehost_ready_agreement_seconds histogram",
            "gatehost_gate_events counter",
            "gatehost_events_dropped counter",
            "gatehost_gates gauge",
            "gatehost_catalog_generation gauge",
            "gatehost_catalog_problems gauge",
            "gatehost_catalog_load_failures counter",
            "gatehost_watch_age_seconds gauge",
            "gatehost_object_watches gauge",
            "gatehost_objects gauge",
        ]
    );
    assert!(text.contains(&format!("gatehost_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains("gatehost_patches_total{result=\"refused\"} 0"), "{text}");
}

#[test]
fn answers_are_counted_by_check_and_result() {
    let (mut metrics, registry) = Metrics::new();
    let fault = Fault {
        kind: FaultKind::Trap,
        blame: Blame::Code,
        reason: "T".into(),
        message: String::new(),
        retry_after: None,
    };
    metrics.answered(&call(), &ended(Ok(met())), Duration::from_millis(1));
    metrics.answered(&call(), &ended(Err(fault)), Duration::from_millis(1));
    let text = text(&registry);
    assert!(text.contains("gatehost_evaluations_total{check=\"warm\",result=\"true\"} 1"), "{text}");
    assert!(text.contains("gatehost_evaluations_total{check=\"warm\",result=\"fault\"} 1"), "{text}");
    assert!(text.contains("gatehost_evaluation_seconds_count{check=\"warm\"} 2"), "{text}");
    assert!(text.contains("gatehost_queue_seconds_count 2"), "{text}");
}

#[test]
fn what_happened_and_what_nobody_was_told_of_is_counted_from_zero() {
    let (mut metrics, registry) = Metrics::new();
    metrics.noted(&Note {
        namespace: "shop".into(),
        name: "p".into(),
        uid: "u".into(),
        gate: None,
        check: None,
        kind: NoteKind::Turned(Status::False),
        message: String::new(),
    });
    metrics.event_dropped("limited");
    let text = text(&registry);
    for line in [
        "gatehost_gate_events_total{reason=\"GateFalse\"} 1",
        "gatehost_gate_events_total{reason=\"HeldByBudget\"} 0",
        "gatehost_events_dropped_total{reason=\"limited\"} 1",
        "gatehost_events_dropped_total{reason=\"refused\"} 0",
    ] {
        assert!(text.contains(line), "no {line} in {text}");
    }
}

#[test]
fn a_change_that_is_not_counted_at_once_asks_to_be_counted() {
    let (mut metrics, _registry) = Metrics::new();
    let core = Core::new(Options::default());
    metrics.changed(&core);
    assert_eq!(metrics.again(), None);
    let pause_ends = Instant::now() + Duration::from_mins(1);
    metrics.count_after = Some(pause_ends);
    metrics.changed(&core);
    assert_eq!(metrics.again(), Some(pause_ends));
    metrics.count_after = Some(Instant::now());
    metrics.changed(&core);
    assert_eq!(metrics.again(), None);
}

#[test]
fn a_check_that_is_gone_leaves_no_gates_behind() {
    use crate::{
        check::{Policy, Selection},
        dispatch::{Event, Rule, Rules},
    };
    let (mut metrics, registry) = Metrics::new();
    let (mut core, now) = (Core::new(Options::default()), Now::default());
    let (select, policy) = (Selection::default(), Policy::default());
    let rule = Rule { check: "warm".into(), generation: 1, select, policy, memory: None };
    core.handle(
        Event::Rules(Rules { live: [("example.com/warm".into(), rule.into())].into(), ..Rules::default() }),
        now,
    );
    let pod = Pod { uid: "u".into(), gates: vec!["example.com/warm".into()], ..Pod::default() };
    core.handle(Event::Pod(0, Box::new(Seen { pod, ..Seen::default() })), now);
    metrics.count(&core);
    assert!(text(&registry).contains("gatehost_gates{check=\"warm\",status=\"none\"} 1"));
    core.handle(Event::Rules(Rules::default()), now);
    metrics.count(&core);
    assert!(!text(&registry).contains("gatehost_gates{"));
}
