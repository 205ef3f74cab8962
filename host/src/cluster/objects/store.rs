//! The objects of one watch, and what is seen of them. Pure.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

use serde_json::Value;

use super::{fields::Fields, pods};
use crate::{
    check::Selector,
    sandbox::{Read, Target, View},
};

/// Names and objects as JSON.
pub(super) type Shown = Arc<Vec<(String, Arc<str>)>>;

/// Views that have changed, by number, and their versions.
pub(super) type Changes = Vec<(u64, u64)>;

/// An object as it is kept: two texts of JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    labels: Box<str>,
    body: Box<str>,
}

/// All objects of a watch, by namespace and name.
#[derive(Debug)]
pub(super) struct Store {
    is_pod: bool,
    objects: BTreeMap<String, Kept>,
    /// What every object is kept with; nothing before the first list is complete.
    complete: Option<Fields>,
    ones: HashMap<String, Vec<Seen>>,
    all: Vec<Seen>,
}

/// A view and what it showed last.
#[derive(Debug)]
struct Seen {
    view: View,
    fields: Fields,
    version: u64,
    what: What,
    shown: Option<Shown>,
}

#[derive(Debug)]
enum What {
    /// A digest of the object.
    One(Option<u64>),
    /// All of a namespace that match, with a digest of each.
    All { namespace: String, selector: Selector, members: HashMap<String, u64> },
}

impl Kept {
    /// What is kept of an object that has these labels.
    pub(super) fn new(object: &Value, fields: &Fields) -> Self {
        let labels = object.pointer("/metadata/labels").filter(|labels| labels.is_object());
        let labels = labels.map_or("{}".to_owned(), Value::to_string);
        Self { labels: labels.into(), body: fields.show(object).to_string().into() }
    }

    fn matches(&self, selector: &Selector) -> bool {
        let labels: BTreeMap<String, String> = serde_json::from_str(&self.labels).unwrap_or_default();
        selector.matches(&labels.into_iter().collect::<Vec<_>>())
    }

    /// What these fields show, and a digest of what makes gates due.
    fn show(&self, fields: &Fields, is_pod: bool) -> (String, u64) {
        let mut shown = fields.show(&serde_json::from_str(&self.body).unwrap_or_default());
        let text = shown.to_string();
        let mut hasher = DefaultHasher::new();
        if is_pod {
            // Whose condition it is stands in a field that may not be shown.
            shown = serde_json::from_str(&self.body).unwrap_or_default();
            pods::quiet(&mut shown);
            fields.show(&shown).to_string().hash(&mut hasher);
        } else {
            text.hash(&mut hasher);
        }
        (text, hasher.finish())
    }
}

/// The key of an object.
pub(super) fn key(namespace: &str, name: &str) -> String {
    format!("{namespace}/{name}")
}

impl Seen {
    fn new(id: u64, fields: &Fields, what: What) -> Self {
        Self { view: View::new(id), fields: fields.clone(), version: 0, what, shown: None }
    }

    fn read(&self) -> Read {
        Read { view: self.view.clone(), version: self.version }
    }

    fn changed(&mut self, changes: &mut Changes) {
        self.version += 1;
        self.shown = None;
        changes.push((self.view.id(), self.version));
    }
}

impl Store {
    pub(super) fn new(is_pod: bool) -> Self {
        Self { is_pod, objects: BTreeMap::new(), complete: None, ones: HashMap::new(), all: Vec::new() }
    }

    /// How many objects there are.
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether somebody may still ask.
    pub(super) fn is_used(&self) -> bool {
        !self.all.is_empty() || !self.ones.is_empty()
    }

    /// Lets go of the views that nobody holds.
    pub(super) fn sweep(&mut self) {
        self.all.retain(|seen| seen.view.is_held());
        self.ones.retain(|_, seen| {
            seen.retain(|seen| seen.view.is_held());
            !seen.is_empty()
        });
    }

    /// Looks at a target; a view of it that is new has the number `id`. Nothing is shown before all that is asked for has
    /// been listed.
    pub(super) fn look(&mut self, target: &Target, fields: &Fields, id: u64) -> (Read, Option<Shown>) {
        let is_ready = self.complete.as_ref().is_some_and(|complete| complete.cover(fields));
        let (objects, is_pod) = (&self.objects, self.is_pod);
        let seen = match target {
            Target::One { namespace, name } => {
                let views = self.ones.entry(key(namespace, name)).or_default();
                find_or_add(views, |seen| seen.fields == *fields, || Seen::new(id, fields, What::One(None)))
            }
            Target::All { namespace, selector } => {
                let is_it = |seen: &Seen| match &seen.what {
                    What::All { namespace: n, selector: s, .. } => {
                        n == namespace && s == selector && seen.fields == *fields
                    }
                    What::One(_) => false,
                };
                let new = || {
                    let (namespace, selector) = (namespace.clone(), selector.clone());
                    Seen::new(id, fields, What::All { namespace, selector, members: HashMap::new() })
                };
                find_or_add(&mut self.all, is_it, new)
            }
        };
        if !is_ready {
            return (seen.read(), None);
        }
        if seen.version == 0 {
            seen.fill(objects, target_key(target).as_deref(), is_pod);
            seen.version = 1;
        }
        if seen.shown.is_none() {
            seen.shown = Some(seen.show(objects, target_key(target).as_deref(), is_pod));
        }
        (seen.read(), seen.shown.clone())
    }

    /// An object is there, or is another one.
    pub(super) fn apply(&mut self, key: String, kept: Kept, changes: &mut Changes) {
        if self.objects.get(&key) == Some(&kept) {
            return;
        }
        self.change(&key, Some(&kept), changes);
        self.objects.insert(key, kept);
    }

    /// An object is gone.
    pub(super) fn remove(&mut self, key: &str, changes: &mut Changes) {
        if self.objects.remove(key).is_some() {
            self.change(key, None, changes);
        }
    }

    /// A list is complete: what it did not hold is gone, and all is there with these fields.
    pub(super) fn listed(&mut self, held: &HashSet<String>, fields: &Fields, changes: &mut Changes) {
        let gone: Vec<_> = self.objects.keys().filter(|key| !held.contains(*key)).cloned().collect();
        for key in gone {
            self.remove(&key, changes);
        }
        self.complete = Some(fields.clone());
        let (objects, is_pod) = (&self.objects, self.is_pod);
        let ones =
            self.ones.iter_mut().flat_map(|(key, seen)| seen.iter_mut().map(move |seen| (Some(key.as_str()), seen)));
        let waiting = ones.chain(self.all.iter_mut().map(|seen| (None, seen)));
        for (key, seen) in waiting.filter(|(_, seen)| seen.version == 0 && fields.cover(&seen.fields)) {
            seen.fill(objects, key, is_pod);
            seen.changed(changes);
        }
    }

    /// Finds out whose sight changes.
    fn change(&mut self, key: &str, new: Option<&Kept>, changes: &mut Changes) {
        let is_pod = self.is_pod;
        for seen in self.ones.get_mut(key).into_iter().flatten().filter(|seen| seen.version > 0) {
            // A message that changes is no change, and yet is shown.
            seen.shown = None;
            let digest = new.map(|new| new.show(&seen.fields, is_pod).1);
            if !matches!(&seen.what, What::One(before) if *before == digest) {
                seen.what = What::One(digest);
                seen.changed(changes);
            }
        }
        for seen in self.all.iter_mut().filter(|seen| seen.version > 0) {
            let What::All { namespace, selector, members } = &mut seen.what else { continue };
            let Some(name) = key.strip_prefix(namespace.as_str()).and_then(|rest| rest.strip_prefix('/')) else {
                continue;
            };
            let new = new.filter(|new| new.matches(selector));
            if new.is_none() && !members.contains_key(name) {
                continue;
            }
            seen.shown = None;
            let digest = new.map(|new| new.show(&seen.fields, is_pod).1);
            let before = match digest {
                Some(digest) => members.insert(name.to_owned(), digest),
                None => members.remove(name),
            };
            if before != digest {
                seen.changed(changes);
            }
        }
    }
}

impl Seen {
    /// Takes note of what is there now.
    fn fill(&mut self, objects: &BTreeMap<String, Kept>, key: Option<&str>, is_pod: bool) {
        match &mut self.what {
            What::One(digest) => {
                let object = key.and_then(|key| objects.get(key));
                *digest = object.map(|object| object.show(&self.fields, is_pod).1);
            }
            What::All { namespace, selector, members } => {
                let matching = inside(objects, namespace).filter(|(_, object)| object.matches(selector));
                *members =
                    matching.map(|(name, object)| (name.to_owned(), object.show(&self.fields, is_pod).1)).collect();
            }
        }
    }

    fn show(&self, objects: &BTreeMap<String, Kept>, key: Option<&str>, is_pod: bool) -> Shown {
        let show = |name: &str, object: &Kept| (name.to_owned(), object.show(&self.fields, is_pod).0.into());
        let shown = match &self.what {
            What::One(_) => key.and_then(|key| objects.get(key)).map(|object| show("", object)).into_iter().collect(),
            What::All { namespace, selector, .. } => {
                let matching = inside(objects, namespace).filter(|(_, object)| object.matches(selector));
                matching.map(|(name, object)| show(name, object)).collect()
            }
        };
        Arc::new(shown)
    }
}

/// The objects of a namespace, by name.
fn inside<'a>(objects: &'a BTreeMap<String, Kept>, namespace: &str) -> impl Iterator<Item = (&'a str, &'a Kept)> {
    let begin = key(namespace, "");
    let strip = {
        let begin = begin.clone();
        move |(key, kept): (&'a String, &'a Kept)| Some((key.strip_prefix(&begin)?, kept))
    };
    objects.range(begin..).map_while(strip)
}

fn target_key(target: &Target) -> Option<String> {
    match target {
        Target::One { namespace, name } => Some(key(namespace, name)),
        Target::All { .. } => None,
    }
}

fn find_or_add(views: &mut Vec<Seen>, is_it: impl Fn(&Seen) -> bool, new: impl FnOnce() -> Seen) -> &mut Seen {
    let at = views.iter().position(is_it).unwrap_or_else(|| {
        views.push(new());
        views.len() - 1
    });
    &mut views[at]
}

#[cfg(test)]
mod tests;
