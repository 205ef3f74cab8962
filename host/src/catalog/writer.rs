//! The one task that owns the catalog: looks, loads, resolves, publishes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use tokio::{
    sync::{Semaphore, watch},
    task::{JoinSet, spawn_blocking},
    time::{Instant, sleep_until},
};

use self::next::Job;
use super::{
    Options, Snapshot,
    disk::{self, Kind, Listing},
    grants::Grants,
    loader::{Loader, Refusal},
    resolve::{Force, Judged, Question, Slot},
    track::{File, Key, Moment, Retry, SETTLE, SETTLE_OPEN, Touched, update},
    watcher::{Change, How, Watcher},
};
use crate::{check::MAX_TEXT, pod::Pod, sandbox::ConfigError};

mod load;
mod next;
mod publish;

/// The least time between two looks, however many events there are.
const PACE: Duration = Duration::from_millis(20);
/// How long after the first look the first snapshot waits for files that are being written: what stood still since has
/// then been read, an empty file too.
const FIRST: Duration = SETTLE_OPEN.saturating_add(SETTLE);

/// What a job brings back.
enum Done<P> {
    Plugin(Key, disk::Stamp, load::Loaded<P>),
    Judged(Question, Result<Vec<ConfigError>, Refusal>),
}

pub(super) struct Writer<L: Loader> {
    directories: Vec<PathBuf>,
    /// The same as events name them.
    absolute: Vec<PathBuf>,
    options: Options,
    loader: L,
    watcher: Watcher,
    out: watch::Sender<Arc<Snapshot<L::Plugin>>>,
    files: BTreeMap<Key, File<L::Plugin>>,
    /// What is wrong with directories, by their place.
    trouble: BTreeMap<usize, String>,
    force: BTreeMap<Slot, Force<L::Plugin>>,
    used: BTreeMap<String, Key>,
    pods: BTreeMap<(String, String), (Key, Arc<Pod>)>,
    judged: BTreeMap<Question, Judged>,
    grants: Grants,
    /// The questions that are being answered.
    asked: Vec<Question>,
    touched: Touched,
    jobs: JoinSet<Done<L::Plugin>>,
    /// The plugins that are being loaded, ...
    loading: BTreeMap<Key, Job>,
    /// ... the right to compile, which one of them has, and whether another one waits for it.
    compiler: Arc<Semaphore>,
    awaits_compiler: bool,
    /// The first look.
    started: Instant,
    looked: Instant,
    polled: Instant,
}

impl<L: Loader> Writer<L> {
    pub(super) fn new(
        directories: Vec<PathBuf>,
        options: Options,
        watched: bool,
        loader: L,
        out: watch::Sender<Arc<Snapshot<L::Plugin>>>,
    ) -> Self {
        let absolute = directories.iter().map(|d| std::path::absolute(d).unwrap_or_else(|_| d.clone())).collect();
        let now = Instant::now();
        Self {
            watcher: Watcher::new(directories.len(), watched),
            directories,
            absolute,
            options,
            loader,
            out,
            files: BTreeMap::new(),
            trouble: BTreeMap::new(),
            force: BTreeMap::new(),
            used: BTreeMap::new(),
            pods: BTreeMap::new(),
            judged: BTreeMap::new(),
            grants: Grants::default(),
            asked: Vec::new(),
            touched: Touched::default(),
            jobs: JoinSet::new(),
            loading: BTreeMap::new(),
            compiler: Arc::new(Semaphore::new(1)),
            awaits_compiler: false,
            started: now,
            looked: now,
            polled: now,
        }
    }

    /// Works until nobody listens any more.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        self.look().await?;
        self.started = self.looked;
        let mut looked = true;
        loop {
            if looked {
                self.read_documents().await?;
                self.load_next();
                self.settle();
            }
            let deadline = self.deadline();
            looked = tokio::select! {
                () = self.out.closed() => return Ok(()),
                () = next::until_free(&self.compiler), if self.awaits_compiler => true,
                Some(done) = self.jobs.join_next() => {
                    self.finish(done.context("loading a plugin failed")?);
                    true
                }
                change = self.watcher.next() => {
                    self.note(change);
                    false
                }
                () = sleep_until(deadline) => {
                    self.look().await?;
                    true
                }
            };
        }
    }

    fn note(&mut self, change: Change) {
        let mut next = Some(change);
        while let Some(change) = next {
            match change {
                Change::File(path, how) => self.touch(path, how),
                Change::Everything => self.touched.everything = true,
            }
            next = self.watcher.try_next();
        }
    }

    fn touch(&mut self, path: PathBuf, how: How) {
        let index = self.absolute.iter().position(|d| path.parent() == Some(d));
        let ours = index.zip(path.file_name()).map(|(i, name)| self.directories[i].join(name));
        self.touched.add(ours.unwrap_or(path), how);
    }

    fn deadline(&self) -> Instant {
        let poll = self.polled + self.options.poll;
        if self.touched.everything || !self.touched.files.is_empty() {
            return self.looked + PACE;
        }
        let files = self.files.values().filter_map(|f| f.deadline(self.looked)).min();
        let first = (self.out.borrow().generation == 0).then_some(self.started + FIRST).filter(|f| *f > self.looked);
        // What is overdue is looked at soon, and not at once: whatever holds it up must not make this loop spin.
        [Some(poll), files, first].into_iter().flatten().min().unwrap_or(poll).max(self.looked + PACE)
    }

    /// Lists the directories and brings the files up to date.
    async fn look(&mut self) -> anyhow::Result<()> {
        let touched = std::mem::take(&mut self.touched);
        let mut listings = self.list().await?;
        let mut fresh = false;
        for (index, listing) in listings.iter().enumerate() {
            let id = listing.as_ref().ok().map(|l| l.id);
            fresh |= self.watcher.cover(index, &self.absolute[index], id);
        }
        if fresh {
            // What happened before the watch was set is not told by it.
            listings = self.list().await?;
        }
        let moment = Moment { now: Instant::now(), wall: SystemTime::now() };
        self.looked = moment.now;
        for (index, listing) in listings.into_iter().enumerate() {
            match listing {
                Ok(listing) => {
                    self.trouble.remove(&index);
                    update(&mut self.files, (index, &self.directories[index]), &listing, &touched, moment);
                }
                Err(error) => {
                    let what = format!("cannot be read: {error}; what it last held stays in force");
                    self.trouble.insert(index, what);
                }
            }
        }
        if moment.now >= self.polled + self.options.poll {
            self.polled = moment.now;
            self.look_twice(moment.now);
        }
        Ok(())
    }

    async fn list(&self) -> anyhow::Result<Vec<std::io::Result<Listing>>> {
        let directories = self.directories.clone();
        let list = move || directories.iter().map(|d| disk::list(d)).collect();
        spawn_blocking(list).await.context("listing the directories failed")
    }

    /// What a poll adds: files whose change might have gone unseen, and answers that may be others by now.
    fn look_twice(&mut self, now: Instant) {
        for file in self.files.values_mut() {
            if file.racy {
                file.reread(now);
            }
            if file.again.as_mut().is_some_and(Retry::is_due) {
                file.digest = None;
                file.reread(now);
            }
        }
        self.grants.retry(&self.loader);
        let due = |judged: &mut Judged| match judged {
            Judged::Fault(_, retry) => retry.is_due(),
            Judged::Right | Judged::Wrong(_) => false,
        };
        let faults: Vec<_> = self.judged.iter_mut().filter_map(|(q, j)| due(j).then(|| q.clone())).collect();
        let questions = self.resolve().questions;
        for question in faults {
            if let Some(plugin) = questions.get(&question) {
                self.question(question, plugin.clone());
            }
        }
    }

    /// Reads all documents that are whole.
    async fn read_documents(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        let due = |f: &File<L::Plugin>| f.kind == Kind::Documents && f.due().is_some_and(|at| at <= now);
        let files: Vec<_> =
            self.files.iter().filter(|(_, f)| due(f)).map(|(k, f)| (k.clone(), f.path.clone(), f.stamp)).collect();
        for (key, path, stamp) in files {
            let reading = spawn_blocking(move || disk::read(&path, stamp, MAX_TEXT as u64));
            let content = reading.await.context("reading a file failed")?;
            if let Some(file) = self.files.get_mut(&key) {
                load::take_documents(file, stamp, content, self.options.pods);
            }
        }
        Ok(())
    }

    /// The plugins that a check names.
    fn needed(&self) -> BTreeSet<&str> {
        let documents = self.files.values().filter_map(|file| file.parsed.as_deref());
        documents.flat_map(|parsed| &parsed.checks).map(|check| check.plugin.as_str()).collect()
    }

    fn question(&mut self, question: Question, plugin: L::Plugin) {
        if !self.asked.contains(&question) {
            self.asked.push(question.clone());
            self.jobs.spawn(async move {
                let answer = L::validate(plugin, question.1.clone()).await;
                Done::Judged(question, answer)
            });
        }
    }

    fn finish(&mut self, done: Done<L::Plugin>) {
        match done {
            Done::Plugin(key, stamp, loaded) => {
                self.loading.remove(&key);
                if let Some(file) = self.files.get_mut(&key) {
                    load::take(file, stamp, loaded);
                }
            }
            Done::Judged(question, answer) => {
                self.asked.retain(|asked| *asked != question);
                let judged = match answer {
                    Ok(errors) if errors.is_empty() => Judged::Right,
                    Ok(errors) => Judged::Wrong(errors),
                    Err(refusal) => {
                        let last = match self.judged.get(&question) {
                            Some(Judged::Fault(_, retry)) => Some(*retry),
                            _ => None,
                        };
                        Judged::Fault(refusal.error, Retry::after(last))
                    }
                };
                self.judged.insert(question, judged);
            }
        }
    }
}
