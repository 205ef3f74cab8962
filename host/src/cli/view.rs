//! What `dev` shows: the gates as rows, and what is wrong in the directories.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc::UnboundedSender, watch},
    time::Instant,
};

use crate::{
    catalog::{Problem, Snapshot},
    decide::Status,
    dispatch::{Call, Core, GateView, Note, Observer, Outcome, Patch},
    sandbox::Evaluated,
};

/// One gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) gate: String,
    /// Nothing where no check answers or none has answered yet.
    pub(super) status: Option<Status>,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) check: Option<String>,
    /// The file of the plugin.
    pub(super) plugin: Option<String>,
    /// When the status last changed, in Unix milliseconds.
    pub(super) since: Option<i64>,
    /// What the dry-run check of this gate would decide.
    pub(super) dry_run: Option<DryRun>,
    /// The last answer was a fault, which reason and message tell of; the status is what stands all the same.
    pub(super) fault: bool,
}

/// What a dry-run check would decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DryRun {
    pub(super) check: String,
    /// Nothing before its first answer.
    pub(super) status: Option<Status>,
    pub(super) reason: String,
    pub(super) message: String,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct View {
    /// The catalog's.
    pub(super) generation: u64,
    /// How many checks are in force.
    pub(super) checks: usize,
    /// Sorted by namespace, pod and gate.
    pub(super) rows: Vec<Row>,
    pub(super) problems: Vec<Problem>,
    /// See [`Core::settled`].
    pub(super) settled: bool,
}

impl View {
    pub(super) fn new(core: &Core, snapshot: &Snapshot) -> Self {
        let mut rows: Vec<_> = core.gates().map(|gate| Row::new(&gate, snapshot)).collect();
        rows.sort_by(|a, b| a.key().cmp(&b.key()));
        Self {
            generation: snapshot.generation,
            checks: snapshot.checks.len(),
            rows,
            problems: snapshot.problems.clone(),
            settled: core.settled(),
        }
    }

    /// How many gates have a status.
    pub(super) fn count(&self, status: Option<Status>) -> usize {
        self.rows.iter().filter(|row| row.status == status).count()
    }
}

impl Row {
    fn new(gate: &GateView<'_>, snapshot: &Snapshot) -> Self {
        let pod = gate.pod.open();
        let since = pod.condition(gate.gate).and_then(|standing| standing.last_transition);
        let live = snapshot.checks.get(gate.gate);
        let mut row = Self {
            namespace: pod.namespace,
            pod: pod.name,
            gate: gate.gate.to_string(),
            check: gate.check.map(ToString::to_string),
            plugin: gate.check.and(live).map(|live| live.check.plugin.clone()),
            ..Self::default()
        };
        row.dry_run = gate.dry_run.map(|(check, condition)| DryRun {
            check: check.to_string(),
            status: condition.map(|condition| condition.status),
            reason: condition.map(|condition| condition.reason.clone()).unwrap_or_default(),
            message: condition.map(|condition| condition.message.clone()).unwrap_or_default(),
        });
        if let Some(condition) = gate.condition {
            row.status = Some(condition.status);
            row.reason.clone_from(&condition.reason);
            row.message.clone_from(&condition.message);
            row.since = since;
        }
        match (gate.check, gate.fault) {
            (None, _) => {
                row.message = "no check answers this gate".into();
                if let Some(stands) = row.status.take() {
                    row.message = format!("{}; {} stays as it was written", row.message, stands.as_str());
                }
                row.reason.clear();
                row.since = None;
            }
            (Some(_), Some(fault)) => {
                row.reason.clone_from(&fault.reason);
                row.message.clone_from(&fault.message);
                row.fault = true;
            }
            (Some(_), None) if row.status.is_none() => row.message = "not answered yet".into(),
            (Some(_), None) => {}
        }
        row
    }

    /// Whether the dry-run check would decide differently.
    pub(super) fn differs(&self) -> bool {
        self.dry_run.as_ref().is_some_and(|dry| dry.status.is_some() && dry.status != self.status)
    }

    /// What tells rows apart and sorts them.
    pub(super) fn key(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.pod, &self.gate)
    }
}

/// Sends a view whenever one differs from the one before. At most a tenth of the time goes into making them, so that
/// changes in quick succession are shown together.
#[derive(Debug)]
pub(super) struct Viewer {
    catalog: watch::Receiver<Arc<Snapshot>>,
    views: UnboundedSender<View>,
    last: View,
    /// When the next one may be made.
    look_after: Option<Instant>,
    /// Something happened since the last one was made.
    unseen: bool,
}

impl Viewer {
    pub(super) fn new(catalog: watch::Receiver<Arc<Snapshot>>, views: UnboundedSender<View>) -> Self {
        Self { catalog, views, last: View::default(), look_after: None, unseen: false }
    }
}

impl Observer for Viewer {
    fn answered(&mut self, _: &Call, _: &Evaluated, _: Duration) {}

    fn wrote(&mut self, _: &Patch, _: &Outcome, _: Duration) {}

    fn noted(&mut self, _: &Note) {}

    fn changed(&mut self, core: &Core) {
        let begin = Instant::now();
        self.unseen = self.look_after.is_some_and(|after| begin < after);
        if self.unseen {
            return;
        }
        let view = View::new(core, &self.catalog.borrow());
        if view != self.last {
            self.last = view.clone();
            // A screen that is gone shows nothing any more; the command is about to end.
            let _ = self.views.send(view);
        }
        // A view walks over all gates: with a thousand of them, one for each answer would take longer than all answers.
        self.look_after = Some(begin + 10 * begin.elapsed());
    }

    fn again(&self) -> Option<Instant> {
        self.look_after.filter(|_| self.unseen)
    }
}
