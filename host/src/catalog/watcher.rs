//! Wakes the catalog when something happens in a directory.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind, RenameMode},
};
use tokio::sync::mpsc;

/// What happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// It appeared or went.
    Touched,
    /// Its mode, owner or times changed.
    Attributes,
    /// It was written to or cut, and its writer has it open.
    Written,
    /// A writer closed it.
    Closed,
    /// It was renamed into place: it is whole.
    Renamed,
}

/// How many events wait at most; beyond it, everything counts as changed.
const QUEUE: usize = 1024;

/// What happened.
#[derive(Debug)]
pub(super) enum Change {
    /// Something happened to a file.
    File(PathBuf, How),
    /// Events were lost.
    Everything,
}

/// Watches directories, never files: an editor, a mounted `ConfigMap` and `mv` all replace the file.
pub(super) struct Watcher {
    notify: Option<RecommendedWatcher>,
    /// Which directory is watched under each name: one that was replaced has to be watched anew.
    watched: Vec<Option<(u64, u64)>>,
    changes: mpsc::Receiver<Change>,
    /// Kept where there is no watch, so that the channel stays open.
    _sender: mpsc::Sender<Change>,
    lost: Arc<AtomicBool>,
    told: bool,
}

impl Watcher {
    /// `wanted` is whether to watch at all.
    pub(super) fn new(directories: usize, wanted: bool) -> Self {
        let (sender, changes) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicBool::new(false));
        let mut watcher = Self {
            notify: None,
            watched: vec![None; directories],
            changes,
            _sender: sender.clone(),
            lost: lost.clone(),
            told: false,
        };
        if wanted {
            let handler = move |event: notify::Result<Event>| {
                for change in changes_of(event) {
                    if sender.try_send(change).is_err() {
                        lost.store(true, Ordering::Relaxed);
                    }
                }
            };
            match notify::recommended_watcher(handler) {
                Ok(notify) => watcher.notify = Some(notify),
                Err(error) => watcher.poll_only(&error),
            }
        }
        watcher
    }

    /// Watches a directory that is now this one; true where the watch is new, and events may have been missed.
    pub(super) fn cover(&mut self, index: usize, directory: &Path, id: Option<(u64, u64)>) -> bool {
        if self.notify.is_none() || self.watched[index] == id {
            return false;
        }
        let had = self.watched[index].is_some();
        let Some(notify) = &mut self.notify else { return false };
        if had {
            // A directory that is gone took its watch with it.
            let _ = notify.unwatch(directory);
        }
        self.watched[index] = None;
        if id.is_none() {
            return false;
        }
        match notify.watch(directory, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.watched[index] = id;
                true
            }
            Err(error) => {
                self.poll_only(&error);
                false
            }
        }
    }

    /// The next change.
    pub(super) async fn next(&mut self) -> Change {
        let change = self.changes.recv().await;
        if self.lost.swap(false, Ordering::Relaxed) { Change::Everything } else { change.unwrap_or(Change::Everything) }
    }

    /// A change that already happened.
    pub(super) fn try_next(&mut self) -> Option<Change> {
        self.changes.try_recv().ok()
    }

    fn poll_only(&mut self, error: &notify::Error) {
        if !self.told {
            self.told = true;
            tracing::warn!(%error, "a directory cannot be watched; changes are seen at the next poll");
        }
    }
}

fn changes_of(event: notify::Result<Event>) -> Vec<Change> {
    let Ok(event) = event else { return vec![Change::Everything] };
    if event.need_rescan() {
        return vec![Change::Everything];
    }
    let how = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => How::Closed,
        // Reading, our own included, changes nothing. A rename was told for each of its names already.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => return vec![],
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => How::Renamed,
        EventKind::Modify(ModifyKind::Metadata(_)) => How::Attributes,
        EventKind::Modify(ModifyKind::Data(_)) => How::Written,
        _ => How::Touched,
    };
    event.paths.into_iter().map(|path| Change::File(path, how)).collect()
}
