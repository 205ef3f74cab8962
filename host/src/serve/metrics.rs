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
    dispatch::{Call, Core, Note, NoteKind, Observer, Outcome, Patch, Spared},
    sandbox::{Evaluated, IMPORTS},
};

/// The metrics of the process. Clones share their values.
#[derive(Clone, Debug)]
pub struct Metrics {
    evaluations: Family<Answered, Counter>,
    refusals: Family<Refused, Counter>,
    evaluation: Family<ByCheck, Histogram, fn() -> Histogram>,
    spared: Family<ByCheck, Counter>,
    queue: Histogram,
    patches: Family<Written, Counter>,
    patch: Histogram,
    agreement: Histogram,
    notes: Family<Noted, Counter>,
    events_dropped: Family<Noted, Counter>,
    gates: Family<Standing, Gauge>,
    held: Family<ByCheck, Gauge>,
    stale: Family<ByCheck, Gauge>,
    quarantined: Family<ByCheck, Gauge>,
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
            spared: Family::default(),
            queue: Histogram::new(WAIT_SECONDS),
            patches: Family::default(),
            patch: Histogram::new(WAIT_SECONDS),
            agreement: Histogram::new(AGREE_SECONDS),
            notes: Family::default(),
            events_dropped: Family::default(),
            gates: Family::default(),
            held: Family::default(),
            stale: Family::default(),
            quarantined: Family::default(),
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
        let spared = "Calls that were not made because the check was in quarantine";
        r.register("evaluations_spared", spared, self.spared.clone());
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
        let quarantined = "Whether a check is in quarantine: 1, else 0";
        r.register("check_quarantined", quarantined, self.quarantined.clone());
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
        let by_check = [&self.held, &self.stale, &self.quarantined, &self.overridden, &self.differing];
        let counted = [tally.held, tally.stale, tally.quarantined, tally.overridden, tally.differs];
        for (family, counts) in by_check.into_iter().zip(counted) {
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
            self.spared.get_or_create(&ByCheck { check: call.check.clone() }).inc_by(0);
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

    fn spared(&mut self, spared: &Spared) {
        self.spared.get_or_create(&ByCheck { check: spared.check.clone() }).inc();
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
mod tests;
