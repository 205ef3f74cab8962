//! What is counted. Labels hold names of checks, which come from the operator's files, and words from closed sets:
//! nothing that a plugin says and nothing that grows with the pods.

use std::{
    collections::HashSet,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use tokio::time::Instant;

use super::labels::{AGREE_SECONDS, Answered, ByCheck, CALL_SECONDS, Noted, Refused, Standing, WAIT_SECONDS, Written};
use crate::{
    decide::Status,
    dispatch::{Call, Core, Note, NoteKind, Observer, Outcome, Patch},
    sandbox::{Evaluated, IMPORTS},
};

/// The metrics of the process. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    evaluations: Family<Answered, Counter>,
    refusals: Family<Refused, Counter>,
    evaluation: Family<ByCheck, Histogram, fn() -> Histogram>,
    queue: Histogram,
    patches: Family<Written, Counter>,
    patch: Histogram,
    agreement: Histogram,
    notes: Family<Noted, Counter>,
    events_dropped: Family<Noted, Counter>,
    gates: Family<Standing, Gauge>,
    held: Family<ByCheck, Gauge>,
    stale: Family<ByCheck, Gauge>,
    overridden: Family<ByCheck, Gauge>,
    differing: Family<ByCheck, Gauge>,
    /// What `gates` holds, so that checks that are gone can be taken out.
    counted: HashSet<Standing>,
    /// The checks that have been asked: what was never refused is 0, so that a rate can be taken of the first.
    asked: HashSet<Arc<str>>,
    /// The checks that have been counted in any way.
    checks: HashSet<Arc<str>>,
    /// When `gates` may be counted anew.
    count_after: Option<Instant>,
    /// Whether something has changed since.
    uncounted: bool,
    generation: Gauge<u64, AtomicU64>,
    problems: Gauge<u64, AtomicU64>,
    load_failures: Counter,
    watch_age: Gauge<f64, AtomicU64>,
    object_watches: Gauge<u64, AtomicU64>,
    objects: Gauge<u64, AtomicU64>,
}

impl Metrics {
    /// All metrics at zero, and the registry that shows them.
    pub fn new() -> (Self, Registry) {
        let metrics = Self {
            evaluations: Family::default(),
            refusals: Family::default(),
            evaluation: Family::new_with_constructor(|| Histogram::new(CALL_SECONDS)),
            queue: Histogram::new(WAIT_SECONDS),
            patches: Family::default(),
            patch: Histogram::new(WAIT_SECONDS),
            agreement: Histogram::new(AGREE_SECONDS),
            notes: Family::default(),
            events_dropped: Family::default(),
            gates: Family::default(),
            held: Family::default(),
            stale: Family::default(),
            overridden: Family::default(),
            differing: Family::default(),
            counted: HashSet::new(),
            asked: HashSet::new(),
            checks: HashSet::new(),
            count_after: None,
            uncounted: false,
            generation: Gauge::default(),
            problems: Gauge::default(),
            load_failures: Counter::default(),
            watch_age: Gauge::default(),
            object_watches: Gauge::default(),
            objects: Gauge::default(),
        };
        // A result that never happened is 0, so that a rate can be taken of the first.
        for result in ["written", "replaced", "conflict", "refused", "failed"] {
            metrics.patches.get_or_create(&Written { result }).inc_by(0);
        }
        for kind in NoteKind::ALL {
            metrics.notes.get_or_create(&Noted { reason: kind.reason() }).inc_by(0);
        }
        for reason in ["overflow", "limited", "refused", "failed"] {
            metrics.events_dropped.get_or_create(&Noted { reason }).inc_by(0);
        }
        let registry = metrics.registry();
        (metrics, registry)
    }

    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("gatehost");
        let r = &mut registry;
        r.register("build", "The version that runs", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        r.register("evaluations", "Calls of plugins that ended, by what they answered", self.evaluations.clone());
        seconds(r, "evaluation", "How long calls of plugins took, from being let in", self.evaluation.clone());
        r.register("refusals", "What plugins asked for in vain, by check and import", self.refusals.clone());
        seconds(r, "queue", "How long gates were due before their call was let in", self.queue.clone());
        r.register("patches", "Writes of conditions, by what came of them", self.patches.clone());
        seconds(r, "patch", "How long writes of conditions took", self.patch.clone());
        let agreement = "How long kubelet's Ready took to agree with a pod's gates, while its containers were ready";
        seconds(r, "ready_agreement", agreement, self.agreement.clone());
        r.register("gate_events", "What happened to gates, by kind; the reasons of Events", self.notes.clone());
        r.register("events_dropped", "Events that were not written, by why", self.events_dropped.clone());
        r.register("gates", "Gates by check and by the status that stands on the pod", self.gates.clone());
        r.register("gates_held", "Gates that would turn from True and are held, by check", self.held.clone());
        r.register("gates_stale", "Gates without a verdict for 5 minutes, by check", self.stale.clone());
        r.register("gates_overridden", "Gates that are overridden, by check", self.overridden.clone());
        let differing = "Gates that a dry-run check would decide differently, by dry-run check";
        r.register("dry_run_differing_gates", differing, self.differing.clone());
        r.register("catalog_generation", "Changes of the directories that were published", self.generation.clone());
        r.register(
            "catalog_problems",
            "Files and documents with something wrong; the last good version may be in force",
            self.problems.clone(),
        );
        r.register("catalog_load_failures", "Files and documents that could not be loaded", self.load_failures.clone());
        seconds(r, "watch_age", "How long ago the quietest watch heard from the API server", self.watch_age.clone());
        r.register("object_watches", "Watches of objects that checks read", self.object_watches.clone());
        r.register("objects", "Objects that these watches hold", self.objects.clone());
        registry
    }

    /// A snapshot was published, with so many problems, so many of which are new.
    pub fn catalog(&self, generation: u64, problems: usize, new: usize) {
        self.generation.set(generation);
        self.problems.set(problems as u64);
        self.load_failures.inc_by(new as u64);
    }

    /// An Event was not written, for this reason.
    pub fn event_dropped(&self, reason: &'static str) {
        self.events_dropped.get_or_create(&Noted { reason }).inc();
    }

    pub(super) fn watch_age(&self, age: Duration) {
        self.watch_age.set(age.as_secs_f64());
    }

    /// So many watches of objects hold so many of them.
    pub fn objects(&self, watches: usize, objects: usize) {
        self.object_watches.set(watches as u64);
        self.objects.set(objects as u64);
    }

    pub(super) fn agreement(&self) -> Histogram {
        self.agreement.clone()
    }

    fn count(&mut self, core: &Core) {
        let tally = core.tally();
        let mut counted = HashSet::with_capacity(tally.standing.len());
        for ((check, status), n) in tally.standing {
            let standing = Standing { check, status: status.map_or("none", label) };
            self.gates.get_or_create(&standing).set(i64::try_from(n).unwrap_or(i64::MAX));
            counted.insert(standing);
        }
        for gone in self.counted.difference(&counted) {
            self.gates.remove(gone);
        }
        self.counted = counted;
        let by_check = [&self.held, &self.stale, &self.overridden, &self.differing];
        for (family, counts) in by_check.into_iter().zip([tally.held, tally.stale, tally.overridden, tally.differs]) {
            // Set before others are taken out, so that no scrape sees a gap.
            let gone: Vec<_> = self.checks.iter().filter(|check| !counts.contains_key(*check)).cloned().collect();
            self.checks.extend(counts.keys().cloned());
            for (check, n) in counts {
                family.get_or_create(&ByCheck { check }).set(i64::try_from(n).unwrap_or(i64::MAX));
            }
            for check in gone {
                family.remove(&ByCheck { check });
            }
        }
    }
}

impl Observer for Metrics {
    fn answered(&mut self, call: &Call, ended: &Evaluated, took: Duration) {
        let result = ended.answer.as_ref().map_or("fault", |verdict| label(verdict.status));
        self.evaluations.get_or_create(&Answered { check: call.check.clone(), result }).inc();
        self.evaluation.get_or_create(&ByCheck { check: call.check.clone() }).observe(took.as_secs_f64());
        self.queue.observe(call.waited.as_secs_f64());
        if self.asked.insert(call.check.clone()) {
            for import in IMPORTS {
                self.refusals.get_or_create(&Refused { check: call.check.clone(), import }).inc_by(0);
            }
        }
        for refusal in &ended.refusals {
            self.refusals.get_or_create(&Refused { check: call.check.clone(), import: refusal.import }).inc();
        }
    }

    fn wrote(&mut self, _: &Patch, outcome: &Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Written(_) => "written",
            Outcome::Replaced => "replaced",
            Outcome::Conflict => "conflict",
            Outcome::Refused(_) => "refused",
            Outcome::Failed { .. } => "failed",
        };
        self.patches.get_or_create(&Written { result }).inc();
        self.patch.observe(took.as_secs_f64());
    }

    fn noted(&mut self, note: &Note) {
        self.notes.get_or_create(&Noted { reason: note.kind.reason() }).inc();
    }

    fn changed(&mut self, core: &Core) {
        let begin = Instant::now();
        self.uncounted = self.count_after.is_some_and(|after| begin < after);
        if self.uncounted {
            return;
        }
        self.count(core);
        // Counting walks over all gates: at most a hundredth of the time goes into it.
        self.count_after = Some(begin + 100 * begin.elapsed());
    }

    fn again(&self) -> Option<Instant> {
        self.count_after.filter(|_| self.uncounted)
    }
}

fn label(status: Status) -> &'static str {
    match status {
        Status::True => "true",
        Status::False => "false",
        Status::Unknown => "unknown",
    }
}

fn seconds(registry: &mut Registry, name: &str, help: &str, metric: impl prometheus_client::registry::Metric) {
    registry.register_with_unit(name, help, Unit::Seconds, metric);
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;
    use crate::{
        decide::{Fault, FaultKind, Verdict},
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
        assert!(
            text.contains(&format!("gatehost_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"))),
            "{text}"
        );
        assert!(text.contains("gatehost_patches_total{result=\"refused\"} 0"), "{text}");
    }

    #[test]
    fn answers_are_counted_by_check_and_result() {
        let (mut metrics, registry) = Metrics::new();
        let fault = Fault { kind: FaultKind::Trap, reason: "T".into(), message: String::new(), retry_after: None };
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
}
