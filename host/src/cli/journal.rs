//! What `run` logs: one line for each note of dispatch, refused write and problem of the catalog, and no line twice.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use tokio::sync::watch;

use crate::{
    catalog::{Problem, Snapshot},
    dispatch::{Call, Core, Note, NoteKind, Observer, Outcome, Patch},
    sandbox::{Evaluated, LogRate},
    serve::Metrics,
};

/// How many bytes of faults of one check are logged a second, in the long run: a plugin that finds a new reason at each
/// call must not fill the disk.
const FAULTS: u32 = 8 << 10;

/// Logs what dispatch does.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Pods whose write was refused or failed and has not succeeded since, with what was said.
    unwritten: HashMap<Arc<str>, String>,
    /// The checks that select no pod, as of the core's revision.
    unused: BTreeSet<Arc<str>>,
    /// How much may be said of the faults of each check.
    faults: HashMap<Arc<str>, LogRate>,
    revision: u64,
    /// How many entries make a look at what can be forgotten worthwhile.
    limit: usize,
}

impl Observer for Journal {
    /// A fault is told by its note: once for each kind.
    fn answered(&mut self, _: &Call, _: &Evaluated, _: Duration) {}

    fn wrote(&mut self, patch: &Patch, outcome: &Outcome, _: Duration) {
        let pod = format_args!("{}/{}", patch.namespace, patch.name);
        match outcome {
            Outcome::Written(_) => {
                if self.unwritten.remove(&patch.uid).is_some() {
                    tracing::info!(%pod, "writes succeed again");
                }
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

    fn noted(&mut self, note: &Note) {
        let Note { gate, check, kind, message, .. } = note;
        let pod = format_args!("{}/{}", note.namespace, note.name);
        let (gate, check, reason) = (gate.as_deref(), check.as_deref(), kind.reason());
        match kind {
            NoteKind::Turned(to) => {
                tracing::info!(gate, %pod, to = to.as_str(), check, detail = message, "transition");
            }
            NoteKind::Fault if !self.may_tell(note) => {}
            NoteKind::Fault => tracing::warn!(gate, %pod, check, detail = message, "fault"),
            kind if kind.is_warning() => tracing::warn!(gate, %pod, check, reason, detail = message, "attention"),
            _ => tracing::info!(gate, %pod, check, reason, detail = message, "note"),
        }
    }

    fn changed(&mut self, core: &Core) {
        if core.revision() != self.revision {
            self.revision = core.revision();
            let unused = core.unused();
            for check in unused.difference(&self.unused) {
                tracing::warn!(%check, "selects no pod that has its gate: see its spec.select");
            }
            self.unused = unused;
            let checks: HashSet<_> = core.gates().filter_map(|gate| gate.check).collect();
            self.faults.retain(|check, _| checks.contains(check));
        }
        if self.unwritten.len() <= self.limit {
            return;
        }
        // Pods come and go; what is kept stays in proportion to those that are there.
        let live: HashSet<_> = core.gates().map(|gate| gate.uid).collect();
        self.unwritten.retain(|uid, _| live.contains(uid));
        self.limit = 2 * live.len() + 1024;
    }
}

impl Journal {
    /// Whether a fault of a check is told. Those that are not are counted, and that is told.
    fn may_tell(&mut self, note: &Note) -> bool {
        let Some(check) = &note.check else { return true };
        let (rate, now) = (self.faults.entry(check.clone()).or_insert_with(|| LogRate::new(FAULTS)), Instant::now());
        let admitted = rate.admits(note.message.len(), now);
        if let Some((faults, _)) = rate.left_out(now) {
            tracing::warn!(%check, faults, "left out: more faults than are logged; the metrics count them all");
        }
        admitted
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
    use crate::{cli::logging::Lines, decide::Status};

    fn note(kind: NoteKind, message: &str) -> Note {
        Note {
            namespace: "shop".into(),
            name: "web-0".into(),
            uid: "u".into(),
            gate: Some("example.com/warm".into()),
            check: Some("warm".into()),
            kind,
            message: message.to_owned(),
        }
    }

    fn patch() -> Patch {
        let (namespace, name) = ("shop".into(), "web-0".into());
        Patch { id: 1, namespace, name, uid: "u".into(), version: None, conditions: Vec::new() }
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
    fn each_note_is_one_line_at_its_level() {
        let lines = logged(|journal| {
            journal.noted(&note(NoteKind::Turned(Status::True), "Warm: 3 of 3"));
            journal.noted(&note(NoteKind::Fault, "Deadline: 2 s"));
            journal.noted(&note(NoteKind::HeldByBudget, "would be False"));
            journal.noted(&note(NoteKind::Restarted, "app"));
            journal.noted(&Note { gate: None, check: None, ..note(NoteKind::ReadyDisagrees, "for 30 s") });
        });
        assert_eq!(lines.len(), 5, "{lines:#?}");
        let expected: [&[&str]; 5] = [
            &["INFO transition gate=\"example.com/warm\" pod=shop/web-0 to=\"True\" check=\"warm\"", "Warm: 3 of 3"],
            &["WARN fault", "check=\"warm\"", "Deadline: 2 s"],
            &["WARN attention", "reason=\"HeldByBudget\"", "would be False"],
            &["INFO note", "reason=\"Restarted\""],
            &["WARN attention pod=shop/web-0 reason=\"ReadyDisagrees\""],
        ];
        for (line, parts) in lines.iter().zip(expected) {
            assert!(parts.iter().all(|part| line.contains(part)), "not {parts:?}: {line}");
        }
    }

    #[test]
    fn faults_without_end_are_told_at_a_rate_and_counted_for_each_check_alone() {
        let lines = logged(|journal| {
            for n in 0..10_000 {
                journal.noted(&note(NoteKind::Fault, &format!("Reason{n}: {}", "x".repeat(900))));
            }
            journal.noted(&Note { check: Some("other".into()), ..note(NoteKind::Fault, "Deadline: 2 s") });
        });
        let of = |part: &str| lines.iter().filter(|line| line.contains(part)).count();
        assert!((50..1000).contains(&of("Reason")), "{} lines", lines.len());
        assert_eq!((of("left out"), of("check=\"other\"")), (1, 1));
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
    fn a_refusal_is_told_once_until_it_changes() {
        let refused = |by: &str| Outcome::Refused(by.to_owned());
        let lines = logged(|journal| {
            for outcome in [refused("policy a"), refused("policy a"), refused("policy b"), Outcome::Written(None)] {
                journal.wrote(&patch(), &outcome, Duration::ZERO);
            }
        });
        let starts: Vec<_> = lines.iter().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
        assert_eq!(starts, ["refused", "refused", "writes"], "{lines:#?}");
    }
}
