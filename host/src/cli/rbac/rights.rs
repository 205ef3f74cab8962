//! What the entries of checks need. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::check::ObjectEntry;

/// What a kind is called in rights.
#[derive(Clone, Debug)]
pub(super) struct Named {
    plural: String,
    /// Nothing where it is not known.
    namespaced: Option<bool>,
    /// Why it is a guess, if it is one.
    guess: Option<String>,
}

/// Names; nothing: all.
type Names = Option<BTreeSet<String>>;

/// What may be read in one place: by group and resource, the names.
pub(super) type Resources = BTreeMap<(String, String), Names>;

/// What is needed, by place.
#[derive(Debug, Default)]
pub(super) struct Rights {
    /// Everywhere.
    pub(super) cluster: Resources,
    /// By namespace.
    pub(super) namespaces: BTreeMap<String, Resources>,
    /// What people should know, one line each.
    pub(super) notes: BTreeSet<String>,
}

impl Named {
    pub(super) fn known(plural: String, namespaced: bool) -> Self {
        Self { plural, namespaced: Some(namespaced), guess: None }
    }

    pub(super) fn guess(kind: &str, why: String) -> Self {
        Self { plural: plural(kind), namespaced: None, guess: Some(why) }
    }
}

impl Rights {
    pub(super) fn of(entries: &[ObjectEntry], named: &BTreeMap<(String, String), Named>) -> Self {
        let mut rights = Self::default();
        for entry in entries {
            rights.add(entry, named);
        }
        let everywhere = &rights.cluster;
        for resources in rights.namespaces.values_mut() {
            resources.retain(|resource, names| match (everywhere.get(resource), names) {
                (Some(None), _) => false,
                (Some(Some(all)), Some(names)) => {
                    names.retain(|name| !all.contains(name));
                    !names.is_empty()
                }
                _ => true,
            });
        }
        rights.namespaces.retain(|_, resources| !resources.is_empty());
        rights
    }

    fn add(&mut self, entry: &ObjectEntry, named: &BTreeMap<(String, String), Named>) {
        let (version, kind) = (&entry.api_version, &entry.kind);
        if version == "v1" && (kind == "Pod" || kind == "Namespace") {
            return;
        }
        let Some(name) = named.get(&(version.clone(), kind.clone())) else { return };
        if let Some(why) = &name.guess {
            self.notes.insert(format!("{}, for {kind} of {version}, is a guess: {why}", name.plural));
        }
        if name.namespaced == Some(false) && !entry.namespaces.is_empty() {
            self.notes.insert(format!("a {kind} is in no namespace: an entry with namespaces shows none"));
            return;
        }
        let group = version.rsplit_once('/').map_or("", |(group, _)| group).to_owned();
        let resource = (group, name.plural.clone());
        if entry.namespaces.is_empty() {
            allow(&mut self.cluster, resource, &entry.names);
            return;
        }
        for namespace in &entry.namespaces {
            allow(self.namespaces.entry(namespace.clone()).or_default(), resource.clone(), &entry.names);
        }
    }
}

fn allow(resources: &mut Resources, resource: (String, String), names: &[String]) {
    let known = resources.entry(resource).or_insert_with(|| Some(BTreeSet::new()));
    match known {
        Some(known) if !names.is_empty() => known.extend(names.iter().cloned()),
        _ => *known = None,
    }
}

/// By the usual rule of English.
fn plural(kind: &str) -> String {
    let word = kind.to_ascii_lowercase();
    let ends = |ends: &[&str]| ends.iter().any(|end| word.ends_with(end));
    if word == "endpoints" {
        word
    } else if ends(&["s", "x", "z", "ch", "sh"]) {
        word + "es"
    } else if ends(&["y"]) && !ends(&["ay", "ey", "oy", "uy"]) {
        format!("{}ies", &word[..word.len() - 1])
    } else {
        word + "s"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: &str, namespaces: &[&str], names: &[&str]) -> ObjectEntry {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ObjectEntry {
            api_version: "apps/v1".into(),
            kind: kind.into(),
            namespaces: owned(namespaces),
            names: owned(names),
            labels: None,
            fields: vec![],
        }
    }

    fn rights(entries: &[ObjectEntry]) -> Rights {
        let named = |e: &ObjectEntry| ((e.api_version.clone(), e.kind.clone()), Named::guess(&e.kind, "x".into()));
        Rights::of(entries, &entries.iter().map(named).collect())
    }

    #[test]
    fn the_usual_plurals_are_found() {
        for (kind, expected) in [
            ("Deployment", "deployments"),
            ("Ingress", "ingresses"),
            ("NetworkPolicy", "networkpolicies"),
            ("Gateway", "gateways"),
            ("Endpoints", "endpoints"),
            ("Mutex", "mutexes"),
        ] {
            assert_eq!(plural(kind), expected);
        }
    }

    #[test]
    fn entries_join_and_what_is_granted_everywhere_is_not_granted_again() {
        let all = rights(&[
            entry("Deployment", &["a", "b"], &["x"]),
            entry("Deployment", &["a"], &["y"]),
            entry("StatefulSet", &["a"], &["z"]),
            entry("StatefulSet", &["a"], &[]),
            entry("DaemonSet", &["a"], &["z"]),
            entry("DaemonSet", &[], &[]),
        ]);
        let of = |plural: &str| ("apps".to_owned(), plural.to_owned());
        let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
        assert_eq!(all.cluster, [(of("daemonsets"), None)].into());
        let a: Resources = [(of("deployments"), names(&["x", "y"])), (of("statefulsets"), None)].into();
        let b: Resources = [(of("deployments"), names(&["x"]))].into();
        assert_eq!(all.namespaces, [("a".to_owned(), a), ("b".to_owned(), b)].into());
        assert_eq!(all.notes.len(), 3);
    }

    #[test]
    fn what_host_deploy_grants_and_what_no_namespace_holds_is_left_out() {
        let pod = ObjectEntry { api_version: "v1".into(), ..entry("Pod", &[], &[]) };
        assert!(rights(&[pod]).cluster.is_empty());
        let node = entry("Node", &["a"], &[]);
        let named = [(("apps/v1".to_owned(), "Node".to_owned()), Named::known("nodes".into(), false))].into();
        let rights = Rights::of(&[node], &named);
        assert!(rights.namespaces.is_empty() && rights.notes.len() == 1, "{rights:?}");
    }
}
