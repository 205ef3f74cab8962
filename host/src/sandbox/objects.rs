//! The import `objects`.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::{
    bindings::gatehost::check::{
        objects::{Failure, Host},
        reach::FailureKind,
    },
    reach::failure,
    source::{MOST_READ, ObjectSource, Query, Sight, Target},
    state::State,
};
use crate::check::{ObjectEntry, Selector, is_label};

/// How many bytes of objects one answer may have.
const MOST: usize = 1 << 20;

/// Names and objects as JSON, sorted by name.
type Shown = Vec<(String, Arc<str>)>;

/// The same, of several entries.
type Objects = Vec<(String, String)>;

impl Host for State {
    async fn find_one(
        &mut self,
        api_version: String,
        kind: String,
        namespace: String,
        name: String,
    ) -> wasmtime::Result<Result<Option<String>, Failure>> {
        let target = Target::One { namespace, name };
        let found = self.find(&api_version, &kind, target).await?;
        Ok(found.map(|objects| objects.into_iter().next().map(|(_, text)| text)))
    }

    async fn find_all(
        &mut self,
        api_version: String,
        kind: String,
        namespace: String,
        selector: String,
    ) -> wasmtime::Result<Result<Vec<String>, Failure>> {
        let selector = match selector.parse::<Selector>() {
            Ok(selector) => selector,
            Err(error) => {
                let message = format!("{selector:?} is no label selector: {error}");
                return Ok(Err(failure(FailureKind::Invalid, &message)));
            }
        };
        let found = self.find(&api_version, &kind, Target::All { namespace, selector }).await?;
        Ok(found.map(|objects| objects.into_iter().map(|(_, text)| text).collect()))
    }
}

impl State {
    /// What the entries that allow it show together, each object once, sorted by name.
    async fn find(
        &mut self,
        api_version: &str,
        kind: &str,
        target: Target,
    ) -> wasmtime::Result<Result<Objects, Failure>> {
        let granted = self.reach.granted();
        let entries: &[ObjectEntry] = granted.as_ref().map_or(&[], |granted| &granted.allow.objects);
        let allowed: Vec<_> = entries.iter().filter(|entry| allows(entry, api_version, kind, &target)).collect();
        if allowed.is_empty() || kind == "Secret" {
            return Ok(Err(self.reach.refuse("objects", &refusal(api_version, kind, &target))));
        }
        if let Target::One { namespace, .. } | Target::All { namespace, .. } = &target
            && !namespace.is_empty()
            && !is_label(namespace)
        {
            return Ok(Err(failure(FailureKind::Invalid, &format!("{namespace:?} is no name of a namespace"))));
        }
        let Some(source) = granted.as_ref().and_then(|granted| granted.objects.clone()) else {
            let message = "there is no cluster here: gatehost dev shows no objects";
            return Ok(Err(failure(FailureKind::Unavailable, message)));
        };
        let end = Instant::now() + self.reach.time(None);
        let mut found = Objects::new();
        for entry in allowed {
            let query = Query { entry: entry.clone(), target: target.clone() };
            let objects = match self.look(&*source, &query, end).await? {
                Ok(objects) => objects,
                Err(failure) => return Ok(Err(failure)),
            };
            for (name, text) in objects.iter() {
                if let Err(at) = found.binary_search_by(|(known, _)| known.cmp(name)) {
                    found.insert(at, (name.clone(), text.as_ref().to_owned()));
                }
            }
            if matches!(target, Target::One { .. }) && !found.is_empty() {
                break;
            }
        }
        if found.iter().map(|(_, text)| text.len()).sum::<usize>() > MOST {
            let message = format!("every {kind} that was asked for together is more than 1 MiB; name fewer fields");
            return Ok(Err(failure(FailureKind::Unavailable, &message)));
        }
        Ok(Ok(found))
    }

    /// What one entry shows, once its watch has been listed, at the latest at `end`.
    async fn look(
        &mut self,
        source: &dyn ObjectSource,
        query: &Query,
        end: Instant,
    ) -> wasmtime::Result<Result<Arc<Shown>, Failure>> {
        let unavailable = |why: &str| Ok(Err(failure(FailureKind::Unavailable, why)));
        loop {
            let Ok(look) = timeout_at(end, source.look(query.clone())).await else {
                return unavailable("the host is busy");
            };
            let Some(look) = look else { return unavailable("the host is about to end") };
            if !self.reads.add(look.read) {
                let message = format!("one call reads at most {MOST_READ} objects and lists; use find-all");
                return unavailable(&message);
            }
            match look.sight {
                Sight::Objects(objects) => return Ok(Ok(objects)),
                Sight::Unavailable(why) => return unavailable(&why),
                Sight::Invalid(why) => return Ok(Err(failure(FailureKind::Invalid, &why))),
                Sight::Listing(done) => {
                    let left = end.saturating_duration_since(Instant::now());
                    if self.outside(left, done).await?.is_none() {
                        let ObjectEntry { api_version, kind, .. } = &query.entry;
                        return unavailable(&format!(
                            "the first list of every {kind} of {api_version} is not complete yet"
                        ));
                    }
                }
            }
        }
    }
}

/// Whether an entry allows it. Its labels decide later: an object without them does not exist.
fn allows(entry: &ObjectEntry, api_version: &str, kind: &str, target: &Target) -> bool {
    let inside = |namespace: &String| entry.namespaces.is_empty() || entry.namespaces.contains(namespace);
    let is_kind = entry.api_version == api_version && entry.kind == kind;
    is_kind
        && match target {
            Target::One { namespace, name } => {
                inside(namespace) && (entry.names.is_empty() || entry.names.contains(name))
            }
            Target::All { namespace, .. } => inside(namespace) && entry.names.is_empty(),
        }
}

/// What is not allowed, and the entry that would allow it.
fn refusal(api_version: &str, kind: &str, target: &Target) -> String {
    let (namespace, name) = match target {
        Target::One { namespace, name } => (namespace, Some(name)),
        Target::All { namespace, .. } => (namespace, None),
    };
    let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
    let what = name.map_or_else(|| format!("every {kind}{place}"), |name| format!("{kind} {name}{place}"));
    if kind == "Secret" {
        return format!("{what}: a Secret is never shown to a plugin, and no entry allows it");
    }
    if api_version == "v1" && kind == "ConfigMap" && name.is_none() {
        return format!("{what}: ConfigMaps are shown one by one, each named in an entry of spec.allow.objects");
    }
    let mut entry = format!("{{apiVersion: {}, kind: {}", plain(api_version), plain(kind));
    if !namespace.is_empty() {
        entry.extend([", namespaces: [", &plain(namespace), "]"]);
    }
    if let Some(name) = name {
        entry.extend([", names: [", &plain(name), "]"]);
    }
    format!("{what}: no entry of spec.allow.objects allows it; {entry}}} would")
}

/// A guest's text as YAML.
fn plain(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'/'));
    let short: String = text.chars().take(253).collect();
    if is_plain { short } else { format!("{short:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(namespaces: &[&str], names: &[&str]) -> ObjectEntry {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ObjectEntry {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespaces: owned(namespaces),
            names: owned(names),
            labels: None,
            fields: vec![],
        }
    }

    fn one(namespace: &str, name: &str) -> Target {
        Target::One { namespace: namespace.into(), name: name.into() }
    }

    fn all(namespace: &str) -> Target {
        Target::All { namespace: namespace.into(), selector: Selector::default() }
    }

    #[test]
    fn an_entry_allows_what_it_names_and_nothing_else() {
        let allowed = |entry: &ObjectEntry, target: &Target| allows(entry, "apps/v1", "Deployment", target);
        let any = entry(&[], &[]);
        assert!(allowed(&any, &one("shop", "db")) && allowed(&any, &all("shop")) && allowed(&any, &all("")));
        let shop = entry(&["shop"], &[]);
        assert!(allowed(&shop, &one("shop", "db")) && allowed(&shop, &all("shop")));
        assert!(!allowed(&shop, &one("bank", "db")) && !allowed(&shop, &all("")) && !allowed(&shop, &all("Shop")));
        let db = entry(&[], &["db"]);
        assert!(allowed(&db, &one("shop", "db")) && !allowed(&db, &one("shop", "cache")));
        assert!(!allowed(&db, &all("shop")), "what is named one by one is not listed");
        for (api_version, kind) in [
            ("apps/v1beta1", "Deployment"),
            ("APPS/v1", "Deployment"),
            ("v1", "Deployment"),
            ("", "Deployment"),
            ("apps/v1", "deployment"),
            ("apps/v1", "Deployment/status"),
            ("apps/v1", "Scale"),
        ] {
            assert!(!allows(&any, api_version, kind, &one("shop", "db")), "{api_version} {kind}");
        }
    }

    #[test]
    fn a_refusal_names_the_entry_that_would_allow_it() {
        assert_eq!(
            refusal("apps/v1", "Deployment", &one("shop", "db")),
            "Deployment db in shop: no entry of spec.allow.objects allows it; {apiVersion: apps/v1, kind: Deployment, \
             namespaces: [shop], names: [db]} would"
        );
        let nodes = refusal("v1", "Node", &all(""));
        assert!(nodes.ends_with("; {apiVersion: v1, kind: Node} would"), "{nodes}");
        let odd = refusal("v1", "Service", &one("a", "1, names: [x"));
        assert!(odd.contains(r#"names: ["1, names: [x"]"#), "{odd}");
        assert!(refusal("v1", "Secret", &one("a", "b")).ends_with("no entry allows it"));
        assert!(refusal("v1", "ConfigMap", &all("a")).contains("one by one"));
    }
}
