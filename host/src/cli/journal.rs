//! What `run` logs: one line for each transition, fault, refused write and problem of the catalog, and no line twice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use tokio::sync::watch;

use crate::{
    catalog::{Problem, Snapshot},
    decide::{Fault, Verdict},
    dispatch::{Call, Core, GateKey, Note, Observer, Outcome, Patch},
    serve::Metrics,
};

/// Logs what dispatch does.
#[derive(Debug, Default)]
pub(super) struct Journal {
    gates: HashMap<GateKey, Known>,
    /// Pods whose write was refused or failed and has not succeeded since, with what was said.
    unwritten: HashMap<Arc<str>, String>,
    /// How many entries make a look at what can be forgotten worthwhile.
    limit: usize,
}

/// What has been told of a gate.
#[derive(Debug)]
struct Known {
    check: Arc<str>,
    /// The status that stands, as far as it is known; the empty text where none does.
    status: Arc<str>,
    fault: Option<Box<str>>,
}

impl Observer for Journal {
    fn answered(&mut self, call: &Call, answer: &Result<Verdict, Fault>, _: Duration) {
        let known = self.gates.entry(call.key.clone()).or_insert_with(|| {
            let pod = call.pod.open();
            let status = pod.condition(&call.key.gate).map(|standing| standing.status.as_str()).unwrap_or_default();
            Known { check: call.check.clone(), status: status.into(), fault: None }
        });
        known.check = call.check.clone();
        match answer {
            Ok(_) => known.fault = None,
            Err(fault) if known.fault.as_deref() == Some(fault.reason.as_str()) => {}
            Err(fault) => {
                known.fault = Some(fault.reason.as_str().into());
                let pod = call.pod.open();
                tracing::warn!(
                    gate = %call.key.gate,
                    pod = %format_args!("{}/{}", pod.namespace, pod.name),
                    check = %call.check,
                    kind = ?fault.kind,
                    reason = fault.reason,
                    detail = fault.message,
                    "fault"
                );
            }
        }
    }

    fn wrote(&mut self, patch: &Patch, outcome: &Outcome, _: Duration) {
        let pod = format_args!("{}/{}", patch.namespace, patch.name);
        match outcome {
            Outcome::Written(_) => {
                if self.unwritten.remove(&patch.uid).is_some() {
                    tracing::info!(%pod, "writes succeed again");
                }
                self.transitions(patch);
            }
            Outcome::Replaced => {
                self.unwritten.remove(&patch.uid);
                tracing::debug!(%pod, "the pod is gone; its verdicts are dropped");
            }
            Outcome::Conflict => tracing::debug!(%pod, "the pod has changed meanwhile; nothing was written"),
            Outcome::Refused(error) => self.unwritten(patch, error, "refused write"),
            Outcome::Failed { error, .. } => self.unwritten(patch, error, "failed write"),
        }
    }

    fn noted(&mut self, _: &Note) {}

    fn changed(&mut self, core: &Core) {
        let size = self.gates.len() + self.unwritten.len();
        if size <= self.limit {
            return;
        }
        // Gates come and go; what is kept stays in proportion to those that are there.
        let live: HashSet<_> = core.gates().map(|gate| (gate.uid, gate.gate)).collect();
        self.gates.retain(|key, _| live.contains(&(&key.uid, &key.gate)));
        let pods: HashSet<_> = live.iter().map(|(uid, _)| *uid).collect();
        self.unwritten.retain(|uid, _| pods.contains(uid));
        self.limit = 2 * live.len() + 1024;
    }
}

impl Journal {
    fn transitions(&mut self, patch: &Patch) {
        for (gate, condition) in &patch.conditions {
            let key = GateKey { uid: patch.uid.clone(), gate: gate.clone(), dry_run: false };
            let to = condition.status.as_str();
            let known = self.gates.get_mut(&key);
            // Only a change of status has a new time of transition.
            if condition.last_transition.is_some() {
                let (from, check) = known.as_ref().map_or(("", ""), |known| (&*known.status, &*known.check));
                tracing::info!(
                    %gate,
                    pod = %format_args!("{}/{}", patch.namespace, patch.name),
                    // Ours has not changed, so somebody else wrote another one, and it is set right.
                    from = if from == to { "another writer's" } else if from.is_empty() { "none" } else { from },
                    to,
                    reason = condition.reason,
                    check,
                    "transition"
                );
            }
            if let Some(known) = known
                && *known.status != *to
            {
                known.status = to.into();
            }
        }
    }

    fn unwritten(&mut self, patch: &Patch, error: &str, what: &'static str) {
        let told = self.unwritten.insert(patch.uid.clone(), error.to_owned());
        if told.as_deref() != Some(error) {
            let pod = format_args!("{}/{}", patch.namespace, patch.name);
            tracing::warn!(%pod, error, "{what}; it is tried again");
        }
    }
}

/// Logs and counts what happens in the catalog: each generation, and each problem once.
pub(super) async fn follow(mut catalog: watch::Receiver<Arc<Snapshot>>, metrics: Metrics) -> anyhow::Result<()> {
    let mut problems: Vec<Problem> = Vec::new();
    let mut warnings = Vec::new();
    loop {
        let snapshot = catalog.wait_for(|s| s.generation > 0).await.context("the catalog ended")?.clone();
        warn(&snapshot, &mut warnings);
        let fresh: Vec<_> = snapshot.problems.iter().filter(|problem| !problems.contains(problem)).collect();
        metrics.catalog(snapshot.generation, snapshot.problems.len(), fresh.len());
        for Problem { file, error } in fresh {
            tracing::warn!(file = %file.display(), error, "problem");
        }
        let broken: HashSet<_> = snapshot.problems.iter().map(|problem| &problem.file).collect();
        for mended in problems.iter().filter(|problem| !broken.contains(&problem.file)) {
            tracing::info!(file = %mended.file.display(), "mended");
        }
        let (generation, checks) = (snapshot.generation, snapshot.checks.len());
        if checks == 0 {
            tracing::warn!(generation, "no usable check: every gate stays as it is until a directory holds one");
        } else {
            let names: Vec<_> = snapshot.checks.values().map(|live| &*live.check.name).collect();
            tracing::info!(generation, checks, names = names.join(","), "catalog");
        }
        problems.clone_from(&snapshot.problems);
        catalog.changed().await.context("the catalog ended")?;
    }
}

/// Logs each warning of the catalog once: for `dev`, which shows everything else in another way.
pub(super) async fn follow_warnings(mut catalog: watch::Receiver<Arc<Snapshot>>) -> anyhow::Result<()> {
    let mut told = Vec::new();
    loop {
        let snapshot = catalog.borrow_and_update().clone();
        warn(&snapshot, &mut told);
        catalog.changed().await.context("the catalog ended")?;
    }
}

fn warn(snapshot: &Snapshot, told: &mut Vec<Problem>) {
    for Problem { file, error } in snapshot.warnings.iter().filter(|warning| !told.contains(warning)) {
        tracing::warn!(file = %file.display(), warning = error, "in force, and likely a mistake");
    }
    told.clone_from(&snapshot.warnings);
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::{
        cli::logging::Lines,
        decide::{Condition, FaultKind, Status},
        pod::{self, Packed, Pod},
    };

    const GATE: &str = "example.com/warm";

    fn call() -> Call {
        let standing = pod::Condition { status: "False".into(), ..pod::Condition::default() };
        let conditions = vec![(GATE.to_owned(), standing)];
        let pod = Pod { namespace: "shop".into(), name: "web-0".into(), conditions, ..Pod::default() };
        let key = GateKey { uid: "u".into(), gate: GATE.into(), dry_run: false };
        let (pod, waited) = (Packed::new(&pod), Duration::ZERO);
        Call { id: 1, key, check: "warm".into(), generation: 1, pod, now: 0, waited }
    }

    fn patch(status: Status, last_transition: Option<i64>) -> Patch {
        let (reason, message) = ("Warm".to_owned(), String::new());
        let condition = Condition { status, reason, message, last_transition, observed_generation: None };
        let (namespace, name) = ("shop".into(), "web-0".into());
        Patch { id: 1, namespace, name, uid: "u".into(), version: None, conditions: vec![(GATE.into(), condition)] }
    }

    /// The lines that are logged.
    fn logged(work: impl FnOnce(&mut Journal)) -> Vec<String> {
        let (sender, mut lines) = unbounded_channel();
        let format = tracing_subscriber::fmt().with_ansi(false).without_time().with_target(false);
        let subscriber = format.with_writer(move || Lines(sender.clone())).finish();
        tracing::subscriber::with_default(subscriber, || work(&mut Journal::default()));
        std::iter::from_fn(|| lines.try_recv().ok()).collect()
    }

    #[test]
    fn a_transition_tells_what_stood_before_and_a_message_alone_is_none() {
        let verdict =
            Verdict { status: Status::True, reason: "Warm".into(), message: String::new(), recheck_after: None };
        let lines = logged(|journal| {
            journal.answered(&call(), &Ok(verdict), Duration::ZERO);
            journal.wrote(&patch(Status::True, Some(1_000)), &Outcome::Written(None), Duration::ZERO);
            journal.wrote(&patch(Status::True, None), &Outcome::Written(None), Duration::ZERO);
            journal.wrote(&patch(Status::Unknown, Some(2_000)), &Outcome::Written(None), Duration::ZERO);
        });
        assert_eq!(lines.len(), 2, "{lines:#?}");
        for part in
            ["transition", "gate=example.com/warm", "pod=shop/web-0", "from=\"False\"", "to=\"True\"", "check=\"warm\""]
        {
            assert!(lines[0].contains(part), "no {part} in {lines:#?}");
        }
        assert!(lines[1].contains("from=\"True\" to=\"Unknown\""), "{lines:#?}");
    }

    #[test]
    fn a_warning_is_told_once_until_it_is_another() {
        let warning = |error: &str| Problem { file: "a.yaml".into(), error: error.to_owned() };
        let snapshot = |warnings| Snapshot { warnings, ..Snapshot::default() };
        let lines = logged(|_| {
            let mut told = Vec::new();
            warn(&snapshot(vec![warning("a has no domain")]), &mut told);
            warn(&snapshot(vec![warning("a has no domain"), warning("b has no domain")]), &mut told);
            warn(&snapshot(vec![]), &mut told);
            warn(&snapshot(vec![warning("a has no domain")]), &mut told);
        });
        let told: Vec<_> = lines.iter().map(|line| line.contains("a has no domain")).collect();
        assert_eq!(told, [true, false, true], "{lines:?}");
        assert!(lines[0].contains("WARN") && lines[0].contains("file=a.yaml"), "{lines:?}");
    }

    #[test]
    fn a_fault_and_a_refusal_are_told_once_until_they_change() {
        let fault = |reason: &str| {
            Err(Fault { kind: FaultKind::Trap, reason: reason.into(), message: String::new(), retry_after: None })
        };
        let refused = |by: &str| Outcome::Refused(by.to_owned());
        let lines = logged(|journal| {
            for reason in ["Trap", "Trap", "Deadline"] {
                journal.answered(&call(), &fault(reason), Duration::ZERO);
            }
            for outcome in [refused("policy a"), refused("policy a"), refused("policy b"), Outcome::Written(None)] {
                journal.wrote(&patch(Status::True, None), &outcome, Duration::ZERO);
            }
        });
        let starts: Vec<_> = lines.iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(starts, ["fault", "fault", "refused", "refused", "writes"], "{lines:#?}");
    }
}
