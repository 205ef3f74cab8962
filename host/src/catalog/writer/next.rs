//! Which plugins are loaded next: several at once, and of those that have to be compiled one.

use tokio::{sync::Semaphore, time::Instant};

use super::{
    Done, Writer,
    load::{self, Loaded},
};
use crate::catalog::{
    disk::{Kind, Stamp},
    loader::Loader,
    track::{Digest, File, Key, Step},
};

/// How many plugins are loaded at once. Whatever one of them waits for, the others go on: reading and finding code in a
/// cache takes moments, a plugin that does not describe itself has 5 s, and compiling may take minutes.
const AT_ONCE: usize = 4;

/// What goes first has the least: what has not failed yet, as each try may take seconds, and of that what a check waits
/// for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    has_failed: bool,
    is_idle: bool,
}

/// A plugin that is being loaded.
#[derive(Debug)]
pub(super) struct Job {
    rank: Rank,
    compiles: bool,
    /// What is made into a plugin, once that is known.
    digest: Option<Digest>,
}

/// Waits until nobody compiles.
pub(super) async fn until_free(compiler: &Semaphore) {
    // It is never closed.
    drop(compiler.acquire().await);
}

impl<L: Loader> Writer<L> {
    /// Goes on with plugins that are whole.
    pub(super) fn load_next(&mut self) {
        self.awaits_compiler = false;
        let now = Instant::now();
        let needed = self.needed();
        let due = |f: &File<L::Plugin>| f.kind == Kind::Plugin && f.due().is_some_and(|at| at <= now);
        let rank = |key: &Key, file: &File<L::Plugin>| Rank {
            has_failed: file.again.is_some(),
            is_idle: !needed.contains(key.name.as_str()),
        };
        let idle = self.files.iter().filter(|(key, file)| due(file) && !self.loading.contains_key(*key));
        let mut next: Vec<_> = idle.map(|(key, file)| (rank(key, file), key.clone())).collect();
        next.sort();
        for (rank, key) in next {
            if self.loading.len() >= AT_ONCE {
                break;
            }
            self.load_one(key, rank);
        }
    }

    fn load_one(&mut self, key: Key, rank: Rank) {
        let Some(file) = self.files.get(&key) else { return };
        let (stamp, step, path) = (file.stamp, file.step, file.path.clone());
        if let Step::Find(bytes) | Step::Compile(bytes) = step {
            // The same bytes are made into a plugin once: whoever has them too waits for it, or shares it.
            if self.loading.values().any(|job| job.digest == Some(bytes.digest)) {
                return;
            }
            if let Some(plugin) = self.known(bytes.digest) {
                if let Some(file) = self.files.get_mut(&key) {
                    load::take(file, stamp, Loaded::Made(bytes, Ok(plugin)));
                }
                return;
            }
        }
        let loader = self.loader.clone();
        match step {
            Step::Read => {
                self.begin(key, Job { rank, compiles: false, digest: None }, stamp, load::read::<L>(path, stamp));
            }
            Step::Find(bytes) => {
                let job = Job { rank, compiles: false, digest: Some(bytes.digest) };
                self.begin(key, job, stamp, load::find(loader, bytes));
            }
            // What goes first and may have to be compiled is waited for: that takes moments, and compiling minutes.
            Step::Compile(_) if self.loading.values().any(|job| !job.compiles && job.rank < rank) => {}
            Step::Compile(bytes) => match self.compiler.clone().try_acquire_owned() {
                Ok(turn) => {
                    let job = Job { rank, compiles: true, digest: Some(bytes.digest) };
                    self.begin(key, job, stamp, load::compile(loader, path, stamp, bytes, turn));
                }
                Err(_) => self.awaits_compiler = true,
            },
        }
    }

    fn begin(
        &mut self,
        key: Key,
        job: Job,
        stamp: Stamp,
        work: impl Future<Output = Loaded<L::Plugin>> + Send + 'static,
    ) {
        self.loading.insert(key.clone(), job);
        self.jobs.spawn(async move { Done::Plugin(key, stamp, work.await) });
    }

    /// The plugin that was made of these bytes.
    fn known(&self, digest: Digest) -> Option<L::Plugin> {
        let plugins = self.files.values().filter_map(|file| file.plugin.as_ref());
        plugins.filter(|(known, _)| *known == digest).map(|(_, plugin)| plugin.clone()).next()
    }
}
