//! Which version of each check, plugin and pod is chosen.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use super::{Answer, Chosen, Claim, Judged, Problem, Resolved, Rival, Slot, World, clash};
use crate::{
    catalog::{
        disk::Kind,
        track::{File, Key},
    },
    check::{Check, Whose},
    pod::Pod,
    sandbox::ConfigError,
};

impl<P: Clone> Resolved<P> {
    pub(super) fn problem(&mut self, file: &Path, error: &str) {
        self.problems.insert(Problem { file: file.into(), error: error.into() });
    }

    /// Finds the file of each plugin name.
    pub(super) fn bind_plugins(&mut self, world: &World<P>) {
        let mut by_name: BTreeMap<&String, Vec<&Key>> = BTreeMap::new();
        for (key, _) in world.files.iter().filter(|(_, f)| f.kind == Kind::Plugin) {
            by_name.entry(&key.name).or_default().push(key);
        }
        for (name, keys) in by_name {
            // A file that never loaded must not stand in the way of one that did.
            let works = |key: &&Key| world.files[*key].plugin.is_some();
            let used = world.used.get(name).filter(|used| keys.contains(used) && works(used));
            let used = used.or_else(|| keys.iter().copied().find(works)).unwrap_or(keys[0]);
            let stays = world.files[used].path.display();
            for key in keys.into_iter().filter(|key| *key != used) {
                let error =
                    format!("another plugin has this name, {stays}, and is the one in use; rename or remove one");
                self.problem(&world.files[key].path, &error);
            }
            self.used.insert(name.clone(), used.clone());
        }
    }

    /// Takes the pods of all files, and the last good ones of broken documents.
    pub(super) fn take_pods(&mut self, world: &World<P>) {
        let mut uids = BTreeSet::new();
        for (key, file) in world.files {
            let Some(parsed) = file.parsed.as_deref() else { continue };
            let is_broken = |(namespace, name): &(String, String)| {
                parsed.broken.iter().any(|b| match &b.whose {
                    Whose::Pod(ns, n) => (ns, n) == (namespace, name),
                    Whose::Check(_) => false,
                    Whose::Unknown => !parsed.pods.iter().any(|s| (&s.pod.namespace, &s.pod.name) == (namespace, name)),
                })
            };
            let kept = world.pods.iter().filter(|(name, (from, _))| from == key && is_broken(name));
            let kept = kept.map(|(_, (_, pod))| pod.clone());
            let new = parsed.pods.iter().filter(|seen| !seen.over).map(|seen| Arc::new(seen.pod.clone()));
            for pod in kept.chain(new) {
                self.take_pod(world, key, file, pod, &mut uids);
            }
        }
    }

    fn take_pod(&mut self, world: &World<P>, key: &Key, file: &File<P>, pod: Arc<Pod>, uids: &mut BTreeSet<String>) {
        let name = (pod.namespace.clone(), pod.name.clone());
        if let Some((first, _)) = self.pods.get(&name) {
            let first = world.files[first].path.display();
            let error = format!("pod {}/{} stands in {first} already; rename or remove one", name.0, name.1);
            return self.problem(&file.path, &error);
        }
        if !uids.insert(pod.uid.clone()) {
            let error =
                format!("pod {}/{} has the uid of another pod, {}; leave metadata.uid out", name.0, name.1, pod.uid);
            return self.problem(&file.path, &error);
        }
        let same = world.pods.get(&name).map(|(_, old)| old).filter(|old| **old == pod);
        let pod = same.cloned().unwrap_or(pod);
        self.pods.insert(name, (key.clone(), pod));
    }

    /// The new version where it can be in force, else the last good one, while its plugin is there.
    pub(super) fn choose(&mut self, world: &World<P>, claim: &mut Claim<P>) -> Option<Chosen<P>> {
        let mut waiting = false;
        let path = claim.path;
        let chosen = |check: &Check, digest, plugin, grant| Chosen {
            check: check.clone(),
            file: path.into(),
            digest,
            plugin,
            grant,
        };
        if let Some(new) = claim.new {
            match self.ask(world, new) {
                Answer::Good(digest, plugin, grant) => return Some(chosen(new, digest, plugin, grant)),
                Answer::Waiting => waiting = true,
                Answer::Bad(errors) => claim.errors.extend(errors),
            }
        }
        let old = claim.old?;
        let check = &old.live.check;
        let is_there = self.used.contains_key(&check.plugin);
        if !is_there && !waiting {
            if claim.new.is_none() {
                claim.errors.push(missing(world, &check.plugin));
            }
            return None;
        }
        if claim.new != Some(check)
            && is_there
            && let Answer::Good(digest, plugin, grant) = self.ask(world, check)
        {
            return Some(chosen(check, digest, plugin, grant));
        }
        Some(chosen(check, old.digest, old.live.plugin.clone(), old.live.grant.clone()))
    }

    /// Whether a check can be in force as written.
    fn ask(&mut self, world: &World<P>, check: &Check) -> Answer<P> {
        if check.select.namespace_labels.is_some() && !world.namespace_labels {
            return Answer::Bad(vec![format!(
                "spec.select.namespaceLabels: check {} needs them, but the host runs with --namespace and cannot see \
                 namespace labels; use select.namespaces, or run without --namespace",
                check.name
            )]);
        }
        let grant = match world.grants.of(check) {
            Ok(grant) => grant,
            Err(error) => return Answer::Bad(vec![error]),
        };
        let Some(key) = self.used.get(&check.plugin) else {
            return Answer::Bad(vec![missing(world, &check.plugin)]);
        };
        let file = &world.files[key];
        let Some((digest, plugin)) = &file.plugin else {
            if file.error.is_none() {
                return Answer::Waiting;
            }
            return Answer::Bad(vec![format!("spec.plugin: {} cannot be used; mend it", file.path.display())]);
        };
        let question = (*digest, check.config.clone());
        let judged = world.judged.get(&question);
        self.questions.insert(question, plugin.clone());
        match judged {
            None => Answer::Waiting,
            Some(Judged::Right) => Answer::Good(*digest, plugin.clone(), grant),
            // A new config and the plugin that knows it often come together.
            Some(Judged::Wrong(_)) if file.is_pending() => Answer::Waiting,
            Some(Judged::Wrong(errors)) => Answer::Bad(errors.iter().map(|e| rejected(&check.plugin, e)).collect()),
            Some(Judged::Fault(error, _)) => Answer::Bad(vec![format!("spec.config: {error}")]),
        }
    }

    /// Of the checks with one slot the one that was in force, or none.
    pub(super) fn one_of_each_slot(
        &mut self,
        world: &World<P>,
        slot: &Slot,
        mut rivals: Vec<Rival<P>>,
    ) -> Option<Chosen<P>> {
        if rivals.len() == 1 {
            return rivals.pop()?.1;
        }
        let was = world.force.get(slot).map(|f| f.live.check.name.clone());
        let first = rivals.iter().position(|(claim, chosen)| chosen.is_some() && was.as_ref() == Some(claim.name));
        let stays = first.map(|i| rivals[i].0.path);
        for (i, (claim, _)) in rivals.iter().enumerate() {
            let others = rivals.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, (c, _))| c.path);
            let names: Vec<_> =
                rivals.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, (c, _))| &**c.name).collect();
            let (a_check, gate) = (if slot.dry_run { "dry-run check" } else { "check" }, &slot.gate);
            let what = format!("{a_check} {} has the gate {gate} that {a_check} {} has", claim.name, names.join(", "));
            let error = clash(&what, others, claim.path, stays);
            self.problem(claim.path, &error);
        }
        first.and_then(|i| rivals.swap_remove(i).1)
    }
}

fn missing<P>(world: &World<P>, plugin: &str) -> String {
    let looked: Vec<_> = world.directories.iter().map(|d| d.display().to_string()).collect();
    format!("spec.plugin: {plugin} is missing; looked in {}", looked.join(", "))
}

fn rejected(plugin: &str, error: &ConfigError) -> String {
    let message = error.message.replace(['\n', '\r'], " ");
    format!("spec.config{}: {message} (says {plugin})", error.path)
}
