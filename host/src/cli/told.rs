//! Who is told of what dispatch does, in `run`.

use std::time::Duration;

use super::journal::Journal;
use crate::{
    cluster::Recorder,
    dispatch::{Call, Core, Note, NoteKind, Observer, Outcome, Patch, Spared},
    sandbox::Evaluated,
    serve::Metrics,
};

/// Metrics, the log and Events. Of what a dry run pretends to write, which the writer itself logs, they are told nothing.
pub(super) struct Told {
    pub(super) metrics: Metrics,
    pub(super) journal: Journal,
    /// Nothing in a dry run.
    pub(super) recorder: Option<Recorder>,
    pub(super) dry_run: bool,
}

impl Observer for Told {
    fn answered(&mut self, call: &Call, ended: &Evaluated, took: Duration) {
        self.metrics.answered(call, ended, took);
        self.journal.answered(call, ended, took);
    }

    fn wrote(&mut self, patch: &Patch, outcome: &Outcome, took: Duration) {
        if !self.dry_run {
            self.metrics.wrote(patch, outcome, took);
            self.journal.wrote(patch, outcome, took);
        }
    }

    fn noted(&mut self, note: &Note) {
        if self.dry_run && matches!(note.kind, NoteKind::Turned(_)) {
            return;
        }
        self.metrics.noted(note);
        self.journal.noted(note);
        if let Some(recorder) = &self.recorder {
            recorder.record(note);
        }
    }

    fn spared(&mut self, spared: &Spared) {
        self.metrics.spared(spared);
    }

    fn changed(&mut self, core: &Core) {
        self.metrics.changed(core);
        self.journal.changed(core);
    }

    fn again(&self) -> Option<tokio::time::Instant> {
        self.metrics.again()
    }
}
