//! What the directories hold: the live set of checks and plugins.
//!
//! ```text
//!   watch ──► track ──► load ──► resolve ──► publish
//!   an event  which     bytes    which       a snapshot,
//!   or the    files are become   checks are  if it differs
//!   poll      whole     plugins  in force
//! ```
//!
//! One task, the writer, owns everything; the others see immutable snapshots. A few plugins are loaded at once, so that
//! none waits for another one that is slow; only compiling is one at a time, and nothing whose code is in a cache waits
//! for it. The same bytes are made into a plugin once.
//!
//! # What is in force
//! - A file counts as whole once it was renamed into place, or has not changed for 150 ms (2 s while its writer has it
//!   open, or while it is empty), and did not change while it was read. The same bytes are never loaded twice in a row.
//! - A broken replacement of a plugin or a check, a config that the plugin rejects included, is a problem; the last
//!   good version stays in force. A file that is removed is gone: its checks decide no more, and a check whose plugin
//!   is removed decides no more either. A directory that cannot be read keeps what it last held.
//! - A gate may have one live check and one dry-run check. Of two of a kind with one gate, or two checks with one name,
//!   the one that was in force stays; where none was, none is. Of two plugins
//!   with one name the one that was in use stays; where none was, the first directory as given whose file loads has
//!   it.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::sync::watch;

use crate::{
    check::Check,
    decide::sanitize,
    pod::Pod,
    sandbox::{Grant, Plugin, Sandbox},
};

mod disk;
mod grants;
mod loader;
mod resolve;
#[cfg(test)]
mod tests;
mod track;
mod watcher;
mod writer;

pub(crate) use loader::one_line;

/// One consistent state of the directories. A new one is published when anything in it changed.
#[derive(Debug)]
pub struct Snapshot<P = Plugin> {
    /// 0 before the first scan; grows by one with each snapshot that is published.
    pub generation: u64,
    /// The checks in force, by the gate type that they answer.
    pub checks: BTreeMap<Arc<str>, Arc<Live<P>>>,
    /// The dry-run checks in force, by the gate type that they answer: asked beside the live check, never written.
    pub dry_runs: BTreeMap<Arc<str>, Arc<Live<P>>>,
    /// What is wrong, sorted by file. A file whose last good version stays in service is listed here too.
    pub problems: Vec<Problem>,
    /// What is in force and yet likely a mistake, sorted by file. Each is logged once by the catalog.
    pub warnings: Vec<Problem>,
    /// The pods that the directories hold, finished ones left out; always empty but in `dev`.
    pub pods: Vec<Arc<Pod>>,
}

impl<P> Default for Snapshot<P> {
    fn default() -> Self {
        let (checks, dry_runs) = (BTreeMap::new(), BTreeMap::new());
        Self { generation: 0, checks, dry_runs, problems: vec![], warnings: vec![], pods: vec![] }
    }
}

/// A check in force.
#[derive(Debug)]
pub struct Live<P = Plugin> {
    /// The document.
    pub check: Check,
    /// The file it stands in.
    pub file: PathBuf,
    /// The generation of the snapshot in which this check, its config or its plugin last changed.
    pub generation: u64,
    /// The code that answers.
    pub plugin: P,
    /// What it may reach.
    pub grant: Grant,
}

/// The longest error of a problem, in bytes.
const ERROR_MAX: usize = 4096;

/// Something in the directories that is not in force, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, or the directory, with its characters that do not print left out.
    pub file: PathBuf,
    /// What is wrong and the mend, in one printable line of at most 4 KiB.
    pub error: String,
}

impl Problem {
    /// The same without what a terminal would obey: names and words in files are a stranger's.
    fn printable(self) -> Self {
        let file = match self.file.to_str() {
            Some(name) if name.chars().all(sanitize::prints) => self.file,
            _ => sanitize::text(&self.file.to_string_lossy(), usize::MAX).into(),
        };
        Self { file, error: sanitize::text(&self.error, ERROR_MAX) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.error)
    }
}

/// How the directories are read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether documents of kind Pod are read.
    pub pods: bool,
    /// How often the directories are looked at without a reason; heals what the watch missed.
    pub poll: Duration,
    /// Whether the labels of namespaces can be seen: where not, a check that selects by them is a problem.
    pub namespace_labels: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { pods: false, poll: Duration::from_secs(10), namespace_labels: true }
    }
}

/// The live set of checks and plugins.
#[derive(Debug)]
pub struct Catalog;

impl Catalog {
    /// Starts to watch directories. The receiver holds the newest snapshot, of generation 0 until everything found by
    /// the first scan is loaded: wait with `wait_for(|s| s.generation > 0)`. The future does the work; it runs until
    /// all receivers are dropped.
    ///
    /// # Errors
    /// When a directory is missing or cannot be listed: the error names it.
    pub fn start(
        directories: Vec<PathBuf>,
        options: Options,
        sandbox: Sandbox,
    ) -> anyhow::Result<(watch::Receiver<Arc<Snapshot>>, impl Future<Output = anyhow::Result<()>> + Send + 'static)>
    {
        start(directories, options, true, sandbox)
    }
}

type Started<P, F> = (watch::Receiver<Arc<Snapshot<P>>>, F);

/// As [`Catalog::start`], with any loader, and without the watch where `watched` is not set.
fn start<L: loader::Loader>(
    directories: Vec<PathBuf>,
    options: Options,
    watched: bool,
    loader: L,
) -> anyhow::Result<Started<L::Plugin, impl Future<Output = anyhow::Result<()>> + Send + 'static>> {
    for directory in &directories {
        disk::list(directory).with_context(|| {
            format!("{}: this directory cannot be read; create it or name another", directory.display())
        })?;
    }
    let (sender, receiver) = watch::channel(Arc::default());
    let writer = writer::Writer::new(directories, options, watched, loader, sender);
    Ok((receiver, writer.run()))
}
