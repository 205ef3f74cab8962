//! From what the files say to what is in force. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Live, Problem,
    grants::Grants,
    track::{Digest, File, Key, Retry},
};
use crate::{
    check::{Check, Parsed, Whose},
    pod::Pod,
    sandbox::{ConfigError, Grant},
};

mod choose;

/// What one check can have: a gate, live or in dry run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) gate: Arc<str>,
    pub(super) dry_run: bool,
}

impl Slot {
    fn of(check: &Check) -> Self {
        Self { gate: check.gate.clone(), dry_run: check.dry_run }
    }
}

/// A check in force and the digest of its plugin.
#[derive(Debug)]
pub(super) struct Force<P> {
    pub(super) live: Arc<Live<P>>,
    pub(super) digest: Digest,
}

/// What a plugin said of a config.
#[derive(Clone, Debug)]
pub(super) enum Judged {
    Right,
    Wrong(Vec<ConfigError>),
    /// It could not tell: one line.
    Fault(String, Retry),
}

/// A question to a plugin: its digest, and the config.
pub(super) type Question = (Digest, Arc<str>);

/// All that decides what is in force.
pub(super) struct World<'a, P> {
    pub(super) directories: &'a [PathBuf],
    pub(super) files: &'a BTreeMap<Key, File<P>>,
    /// The checks in force until now.
    pub(super) force: &'a BTreeMap<Slot, Force<P>>,
    /// The plugin files in use until now, by name.
    pub(super) used: &'a BTreeMap<String, Key>,
    /// The pods until now.
    pub(super) pods: &'a BTreeMap<(String, String), (Key, Arc<Pod>)>,
    pub(super) judged: &'a BTreeMap<Question, Judged>,
    /// What checks may reach.
    pub(super) grants: &'a Grants,
    /// Whether the labels of namespaces can be seen.
    pub(super) namespace_labels: bool,
}

/// What follows from it.
#[derive(Debug)]
pub(super) struct Resolved<P> {
    pub(super) checks: BTreeMap<Slot, Chosen<P>>,
    pub(super) problems: BTreeSet<Problem>,
    pub(super) warnings: BTreeSet<Problem>,
    pub(super) pods: BTreeMap<(String, String), (Key, Arc<Pod>)>,
    pub(super) used: BTreeMap<String, Key>,
    /// The questions that matter, with who has to answer them.
    pub(super) questions: BTreeMap<Question, P>,
}

/// A check that is to be in force.
#[derive(Clone, Debug)]
pub(super) struct Chosen<P> {
    pub(super) check: Check,
    pub(super) file: PathBuf,
    pub(super) digest: Digest,
    pub(super) plugin: P,
    pub(super) grant: Grant,
}

/// A document that wants to be in force, and the version of it that is.
struct Claim<'a, P> {
    key: &'a Key,
    path: &'a Path,
    name: &'a Arc<str>,
    /// Nothing where the document is broken.
    new: Option<&'a Check>,
    old: Option<&'a Force<P>>,
    /// What is to be told of it if an old version stays.
    errors: Vec<String>,
}

/// A claim, and what it comes to if nobody else has its slot.
type Rival<'a, P> = (Claim<'a, P>, Option<Chosen<P>>);

enum Answer<P> {
    Good(Digest, P, Grant),
    /// Its plugin or the plugin's answer is on its way.
    Waiting,
    /// One line each.
    Bad(Vec<String>),
}

/// Decides what is in force.
pub(super) fn resolve<P: Clone>(world: &World<P>) -> Resolved<P> {
    let mut out = Resolved {
        checks: BTreeMap::new(),
        problems: BTreeSet::new(),
        warnings: BTreeSet::new(),
        pods: BTreeMap::new(),
        used: BTreeMap::new(),
        questions: BTreeMap::new(),
    };
    out.bind_plugins(world);
    out.take_pods(world);
    let claims = one_of_each_name(claims(world, &mut out), &mut out);
    let mut by_slot: BTreeMap<Slot, Vec<Rival<P>>> = BTreeMap::new();
    for mut claim in claims {
        let chosen = out.choose(world, &mut claim);
        let stays = if chosen.is_some() { "; the last good version stays in force" } else { "" };
        // What does not name its line names its check, where the file holds several.
        let several = world.files[claim.key].parsed.as_deref().is_some_and(|p| p.checks.len() + p.broken.len() > 1);
        for error in &claim.errors {
            let whose =
                if several && !error.starts_with("line ") { format!("check {}: ", claim.name) } else { String::new() };
            out.problem(claim.path, &format!("{whose}{error}{stays}"));
        }
        if let Some(check) = chosen.as_ref().map(|c| &c.check).or(claim.new) {
            by_slot.entry(Slot::of(check)).or_default().push((claim, chosen));
        }
    }
    for (slot, rivals) in by_slot {
        if let Some(chosen) = out.one_of_each_slot(world, &slot, rivals) {
            out.checks.insert(slot, chosen);
        }
    }
    out
}

/// Every check that a file holds or held and is not said to be gone.
fn claims<'a, P: Clone>(world: &World<'a, P>, out: &mut Resolved<P>) -> Vec<Claim<'a, P>> {
    let (files, force) = (world.files, world.force);
    let documents = || files.iter().filter_map(|(key, f)| f.parsed.as_deref().map(|p| (key, f.path.as_path(), p)));
    let names: Vec<&Arc<str>> = documents().flat_map(|(.., p)| p.checks.iter().map(|c| &c.name)).collect();
    let mut claims = Vec::new();
    for (key, path, parsed) in documents() {
        let ours = |name: &str| force.values().find(|f| *f.live.check.name == *name && f.live.file == path);
        for check in &parsed.checks {
            let alone = names.iter().filter(|n| ***n == check.name).count() == 1;
            // A document that moved to another file is still the same one.
            let moved = || force.values().find(|f| f.live.check.name == check.name).filter(|_| alone);
            let old = ours(&check.name).or_else(moved);
            claims.push(Claim { key, path, name: &check.name, new: Some(check), old, errors: vec![] });
        }
        out.warnings.extend(parsed.warnings.iter().map(|w| Problem { file: path.into(), error: w.clone() }));
        claims.extend(broken_claims(key, path, parsed, force, out));
    }
    claims
}

/// The last good versions of what is broken now.
fn broken_claims<'a, P: Clone>(
    key: &'a Key,
    path: &'a Path,
    parsed: &'a Parsed,
    force: &'a BTreeMap<Slot, Force<P>>,
    out: &mut Resolved<P>,
) -> Vec<Claim<'a, P>> {
    let mut claims: Vec<Claim<P>> = Vec::new();
    for broken in &parsed.broken {
        let lost = force.values().filter(|f| {
            let name = &f.live.check.name;
            let meant = match &broken.whose {
                Whose::Check(whose) => whose == name,
                Whose::Pod(..) => false,
                Whose::Unknown => !parsed.broken.iter().any(|b| b.whose == Whose::Check(name.clone())),
            };
            meant && f.live.file == path && !parsed.checks.iter().any(|c| c.name == *name)
        });
        let before = claims.len();
        for old in lost {
            if !claims.iter().any(|c| *c.name == old.live.check.name) {
                let name = &old.live.check.name;
                claims.push(Claim { key, path, name, new: None, old: Some(old), errors: vec![] });
            }
        }
        match claims.get_mut(before) {
            Some(claim) => claim.errors.clone_from(&broken.errors),
            None => broken.errors.iter().for_each(|e| out.problem(path, e)),
        }
    }
    claims
}

/// Leaves one claim of each name: the one that was in force, or none.
fn one_of_each_name<'a, P: Clone>(claims: Vec<Claim<'a, P>>, out: &mut Resolved<P>) -> Vec<Claim<'a, P>> {
    let mut by_name: BTreeMap<&Arc<str>, Vec<Claim<P>>> = BTreeMap::new();
    for claim in claims {
        by_name.entry(claim.name).or_default().push(claim);
    }
    let mut left = Vec::new();
    for (name, mut rivals) in by_name {
        if rivals.len() == 1 {
            left.append(&mut rivals);
            continue;
        }
        let was = |c: &Claim<P>| c.old.is_some_and(|old| old.live.file == c.path);
        let exact = |c: &Claim<P>| was(c) && c.old.map(|old| &old.live.check) == c.new;
        let first = rivals.iter().position(exact).or_else(|| rivals.iter().position(was));
        let files: Vec<_> = rivals.iter().map(|c| c.path).collect();
        let stays = first.map(|i| files[i]);
        for (i, file) in files.iter().enumerate() {
            let others = files.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, f)| *f);
            out.problem(file, &clash(&format!("another check is named {name}"), others, file, stays));
        }
        left.extend(first.map(|i| rivals.swap_remove(i)));
    }
    left.sort_by_key(|c| c.key);
    left
}

/// Tells that two of a kind are one too many.
fn clash<'a>(what: &str, others: impl Iterator<Item = &'a Path>, file: &Path, stays: Option<&Path>) -> String {
    let others: BTreeSet<_> = others.map(|p| p.display().to_string()).collect();
    let others = others.into_iter().collect::<Vec<_>>().join(", ");
    let outcome = match stays {
        Some(stays) if stays == file => "this one was first and stays in force".to_owned(),
        Some(stays) => format!("the one in {} was first and stays in force", stays.display()),
        None => "none of them is in force".to_owned(),
    };
    format!("{what}, in {others}; {outcome}; rename or remove one")
}
