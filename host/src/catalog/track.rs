//! Which files there are, and which of them are whole and have to be read.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use super::{
    disk::{Entry, Kind, Listing, Stamp, kind},
    watcher::How,
};
use crate::check::Parsed;

/// How long a file has to be left alone before it counts as whole, or as gone.
pub(super) const SETTLE: Duration = Duration::from_millis(150);
/// How long instead where its writer has it open, or may have: one that is cut and written anew can be empty for long.
pub(super) const SETTLE_OPEN: Duration = Duration::from_secs(2);
/// How long a file may be written to before that is told.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a link may point to nothing before that is told.
const GRACE: Duration = Duration::from_secs(1);

/// SHA-256 of a file.
pub(super) type Digest = [u8; 32];

/// A file's place: the directory's place among the arguments, and its name. Earlier directories come first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) directory: usize,
    pub(super) name: String,
}

/// A file and what became of it.
#[derive(Debug)]
pub(super) struct File<P> {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) stamp: Stamp,
    /// When it was last seen to change.
    since: Instant,
    /// It was renamed into place or left alone for long: no need to wait.
    whole: bool,
    /// Its writer has it open, as far as events told.
    open: bool,
    /// It has to be read, from when on; whether its stamp differs from what was read.
    unread: Option<Unread>,
    /// A later change might not show in the stamp.
    pub(super) racy: bool,
    missing: Option<Instant>,
    dangling: Option<Instant>,
    /// Of a plugin: how far loading it has come.
    pub(super) step: Step,
    /// The bytes that were read last.
    pub(super) digest: Option<Digest>,
    /// Why these are not in use.
    pub(super) error: Option<String>,
    /// The same bytes may fare better another time.
    pub(super) again: Option<Retry>,
    /// Of a plugin: the last good one.
    pub(super) plugin: Option<(Digest, P)>,
    /// Of documents: what the file says.
    pub(super) parsed: Option<Arc<Parsed>>,
}

/// What has to be done next to load a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its bytes have to be read.
    Read,
    /// Its code may be in a cache.
    Find(Bytes),
    /// Its code is in none.
    Compile(Bytes),
}

/// What a file of this stamp holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) digest: Digest,
    /// A later change might not show in the stamp.
    pub(super) racy: bool,
}

/// When what failed is tried again: after 1, 2, 4 .. 64 polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    tries: u32,
    polls: u32,
}

impl Retry {
    /// It failed, perhaps not for the first time.
    pub(super) fn after(last: Option<Self>) -> Self {
        let tries = last.map_or(0, |last| (last.tries + 1).min(6));
        Self { tries, polls: 1 << tries }
    }

    /// One poll later: whether to try now.
    pub(super) fn is_due(&mut self) -> bool {
        self.polls = self.polls.saturating_sub(1);
        self.polls == 0
    }
}

#[derive(Clone, Copy, Debug)]
struct Unread {
    from: Instant,
    changed: bool,
}

/// What happened to files since the last look.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// By path, the last thing that tells something of its content.
    pub(super) files: BTreeMap<PathBuf, How>,
    pub(super) everything: bool,
}

impl Touched {
    pub(super) fn add(&mut self, path: PathBuf, how: How) {
        if how == How::Attributes {
            self.files.entry(path).or_insert(how);
        } else {
            self.files.insert(path, how);
        }
    }
}

/// The two clocks at a look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) wall: SystemTime,
}

impl<P> File<P> {
    fn new(path: PathBuf, kind: Kind, stamp: Stamp, now: Instant) -> Self {
        Self {
            path,
            kind,
            stamp,
            since: now,
            whole: false,
            open: false,
            unread: Some(Unread { from: now, changed: true }),
            racy: false,
            missing: None,
            dangling: None,
            step: Step::Read,
            digest: None,
            error: None,
            again: None,
            plugin: None,
            parsed: None,
        }
    }

    /// When it may be read; nothing where it need not be.
    pub(super) fn due(&self) -> Option<Instant> {
        self.unread?;
        if self.missing.is_some() || self.dangling.is_some() {
            return None;
        }
        let settle = match self.open {
            _ if self.whole => Duration::ZERO,
            true => SETTLE_OPEN,
            // It may have been cut since the event that told of a close.
            _ if self.stamp.is_empty() => SETTLE_OPEN,
            false => SETTLE,
        };
        Some(self.since + settle)
    }

    /// Its bytes changed and are not in use yet.
    pub(super) fn is_pending(&self) -> bool {
        self.unread.is_some_and(|u| u.changed)
    }

    /// It has to be read although nothing seems to have changed.
    pub(super) fn reread(&mut self, now: Instant) {
        self.unread.get_or_insert(Unread { from: now, changed: false });
    }

    /// It changed while it was read.
    pub(super) fn torn(&mut self, now: Instant) {
        self.since = now;
        self.whole = false;
        self.step = Step::Read;
        self.unread.get_or_insert(Unread { from: now, changed: true }).changed = true;
    }

    /// It was read as of this stamp.
    pub(super) fn was_read(&mut self, stamp: Stamp, racy: bool) {
        self.racy = racy;
        self.step = Step::Read;
        if self.stamp == stamp {
            self.unread = None;
        }
    }

    /// The next step, where it still is what was read as of this stamp.
    pub(super) fn go_on(&mut self, stamp: Stamp, step: Step) {
        self.step = if self.stamp == stamp { step } else { Step::Read };
    }

    /// Takes in what events said of its new state.
    fn hear(&mut self, how: Option<How>, moment: Moment) {
        self.whole = how == Some(How::Renamed) || (how.is_none() && self.stamp.is_old(moment.wall));
        match how {
            Some(How::Written) => self.open = true,
            Some(How::Closed | How::Renamed | How::Touched) => self.open = false,
            Some(How::Attributes) | None => {}
        }
    }

    /// What keeps it from being read.
    pub(super) fn hindrance(&self, now: Instant) -> Option<&'static str> {
        if self.dangling.is_some_and(|d| now >= d + GRACE) {
            return Some("this link points to nothing; remove it, or create what it points to");
        }
        // What only has to be read once more waits for nobody but this host.
        let waiting = self.unread.is_some_and(|u| u.changed && now >= u.from + PATIENCE) && !self.whole;
        waiting.then_some("it is still being written; it is taken once it has not changed for a moment")
    }

    /// When it has to be looked at again, after the last look.
    pub(super) fn deadline(&self, looked: Instant) -> Option<Instant> {
        let dangling = self.dangling.filter(|d| looked < *d + GRACE).map(|_| looked + SETTLE);
        let times = [self.due(), self.missing.map(|m| m + SETTLE), dangling];
        times.into_iter().flatten().filter(|at| *at > looked).min()
    }

    fn saw(&mut self, stamp: Stamp, touched: Option<How>, moment: Moment, everything: bool) {
        let changed = stamp != self.stamp;
        self.missing = None;
        self.dangling = None;
        if changed || touched.is_some() {
            self.since = moment.now;
            self.stamp = stamp;
            self.step = Step::Read;
            self.hear(touched, moment);
        }
        if changed {
            self.again = None;
        }
        if changed || touched.is_some() || everything {
            let unread = self.unread.get_or_insert(Unread { from: moment.now, changed: false });
            unread.changed |= changed;
        }
    }
}

/// Brings the files up to what a directory holds.
pub(super) fn update<P>(
    files: &mut BTreeMap<Key, File<P>>,
    (directory, path): (usize, &PathBuf),
    listing: &Listing,
    touched: &Touched,
    moment: Moment,
) {
    let settled: Vec<Stamp> = files.values().filter(|f| f.unread.is_none()).map(|f| f.stamp).collect();
    for (name, entry) in &listing.entries {
        let Some(kind) = kind(name) else { continue };
        let (key, path) = (Key { directory, name: name.clone() }, path.join(name));
        let how = touched.files.get(&path).copied();
        match (entry, files.get_mut(&key)) {
            (Entry::File(stamp), Some(file)) => file.saw(*stamp, how, moment, touched.everything),
            (Entry::File(stamp), None) => {
                let mut file = File::new(path, kind, *stamp, moment.now);
                file.hear(how, moment);
                file.whole |= settled.iter().any(|s| s.is_same_content(stamp));
                files.insert(key, file);
            }
            (Entry::Dangling, Some(file)) => {
                file.missing = None;
                file.dangling.get_or_insert(moment.now);
            }
            (Entry::Dangling, None) => {
                let mut file = File::new(path, kind, Stamp::default(), moment.now);
                file.dangling = Some(moment.now);
                files.insert(key, file);
            }
        }
    }
    let is_here = |key: &Key| key.directory != directory || listing.entries.contains_key(&key.name);
    let here: Vec<Stamp> = files.iter().filter(|(key, _)| is_here(key)).map(|(_, f)| f.stamp).collect();
    files.retain(|key, file| {
        if is_here(key) {
            return true;
        }
        // Renamed, or gone for good: an editor that removes and writes anew is given the time to do so.
        let moved = here.iter().any(|s| s.is_same_content(&file.stamp));
        let gone = *file.missing.get_or_insert(moment.now);
        !moved && moment.now < gone + SETTLE
    });
}
