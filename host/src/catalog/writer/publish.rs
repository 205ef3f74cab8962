//! What the writer publishes, and when.

use std::{collections::BTreeMap, sync::Arc};

use tokio::time::Instant;

use super::{FIRST, Writer};
use crate::catalog::{
    Live, Problem, Snapshot,
    disk::Kind,
    loader::Loader,
    resolve::{Force, Resolved, World, resolve},
    track::{Digest, File, Key},
};

impl<L: Loader> Writer<L> {
    pub(super) fn resolve(&self) -> Resolved<L::Plugin> {
        resolve(&World {
            directories: &self.directories,
            files: &self.files,
            force: &self.force,
            used: &self.used,
            pods: &self.pods,
            judged: &self.judged,
            grants: &self.grants,
            namespace_labels: self.options.namespace_labels,
        })
    }

    /// Asks what has to be asked, and publishes what has changed.
    pub(super) fn settle(&mut self) {
        let documents = self.files.values().filter_map(|file| file.parsed.as_deref());
        let checks = documents.flat_map(|parsed| &parsed.checks).chain(self.force.values().map(|f| &f.live.check));
        self.grants.follow(&self.loader, checks);
        let mut resolved = self.resolve();
        for (question, plugin) in std::mem::take(&mut resolved.questions) {
            if !self.judged.contains_key(&question) {
                self.question(question, plugin);
            }
        }
        let now = Instant::now();
        for file in self.files.values() {
            let error = file.error.as_ref().map(|e| match file.plugin {
                Some(_) => format!("{e}; the last good version stays in use"),
                None => e.clone(),
            });
            let told = error.into_iter().chain(file.hindrance(now).map(str::to_owned));
            resolved.problems.extend(told.map(|error| Problem { file: file.path.clone(), error }));
        }
        let trouble = self.trouble.iter();
        resolved
            .problems
            .extend(trouble.map(|(i, e)| Problem { file: self.directories[*i].clone(), error: e.clone() }));
        let first = self.out.borrow().generation == 0;
        // A plugin that no check names holds nobody up; in `dev` all that is wrong is told at once.
        let needed = self.needed();
        let counts = |key: &Key, file: &File<L::Plugin>| {
            self.options.pods || file.kind == Kind::Documents || needed.contains(key.name.as_str())
        };
        // What has failed once is told; that it is tried again must not keep the others waiting, or files that never load
        // would keep a host from beginning.
        let files = || self.files.iter().filter(|(key, file)| counts(key, file) && file.again.is_none());
        let whole = files().all(|(_, f)| !f.is_pending()) || now >= self.started + FIRST;
        let loads = files().any(|(key, _)| self.loading.contains_key(key));
        let busy = loads || files().any(|(_, f)| f.due().is_some_and(|at| at <= now));
        let judging = self.asked.iter().any(|question| !self.judged.contains_key(question));
        let loaded = whole && !busy && !judging;
        if !first || loaded {
            self.publish(resolved);
        }
    }

    fn publish(&mut self, resolved: Resolved<L::Plugin>) {
        let Resolved { checks, problems, warnings, pods, used, .. } = resolved;
        let last = self.out.borrow().clone();
        let generation = last.generation + 1;
        let mut force = BTreeMap::new();
        for (slot, chosen) in checks {
            let old = self.force.get(&slot);
            let same = old.filter(|f| f.live.check == chosen.check && f.digest == chosen.digest);
            let live = match same {
                Some(old) if old.live.file == chosen.file => old.live.clone(),
                _ => Arc::new(Live {
                    check: chosen.check,
                    file: chosen.file,
                    generation: same.map_or(generation, |old| old.live.generation),
                    plugin: chosen.plugin,
                    grant: chosen.grant,
                }),
            };
            force.insert(slot, Force { live, digest: chosen.digest });
        }
        (self.force, self.pods, self.used) = (force, pods, used);
        let those = |dry_run: bool| {
            let those = self.force.iter().filter(move |(slot, _)| slot.dry_run == dry_run);
            those.map(|(slot, force)| (slot.gate.clone(), force.live.clone())).collect()
        };
        let snapshot = Snapshot {
            generation,
            checks: those(false),
            dry_runs: those(true),
            problems: problems.into_iter().map(Problem::printable).collect(),
            warnings: warnings.into_iter().map(Problem::printable).collect(),
            pods: self.pods.values().map(|(_, pod)| pod.clone()).collect(),
        };
        self.forget();
        if last.generation == 0 || differs(&last, &snapshot) {
            self.out.send_replace(Arc::new(snapshot));
        }
    }

    /// Drops answers about plugins that no file and no check holds any more.
    fn forget(&mut self) {
        let held: Vec<Digest> = self
            .files
            .values()
            .filter_map(|f| f.plugin.as_ref().map(|p| p.0))
            .chain(self.force.values().map(|f| f.digest))
            .collect();
        let configs: Vec<&str> = self
            .files
            .values()
            .filter_map(|f| f.parsed.as_deref())
            .flat_map(|p| p.checks.iter().map(|c| &*c.config))
            .chain(self.force.values().map(|f| &*f.live.check.config))
            .collect();
        self.judged.retain(|(digest, config), _| held.contains(digest) && configs.contains(&&**config));
    }
}

fn differs<P>(a: &Snapshot<P>, b: &Snapshot<P>) -> bool {
    type Checks<P> = BTreeMap<Arc<str>, Arc<Live<P>>>;
    let same = |a: &Checks<P>, b: &Checks<P>| {
        a.len() == b.len() && a.iter().zip(b).all(|((x, l), (y, r))| x == y && Arc::ptr_eq(l, r))
    };
    !same(&a.checks, &b.checks)
        || !same(&a.dry_runs, &b.dry_runs)
        || (&a.problems, &a.warnings, &a.pods) != (&b.problems, &b.warnings, &b.pods)
}
