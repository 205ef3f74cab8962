//! Which fields of an object are kept and shown.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Shown where an entry names no fields.
const USUAL: [&str; 8] = [
    "/apiVersion",
    "/kind",
    "/metadata/name",
    "/metadata/namespace",
    "/metadata/uid",
    "/metadata/labels",
    "/metadata/generation",
    "/status",
];

/// JSON pointers, sorted; none of them lies below another one. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Fields(Arc<[Vec<String>]>);

impl Fields {
    /// What an entry shows.
    pub(super) fn of(pointers: &[String], is_pod: bool) -> Self {
        if !pointers.is_empty() {
            Self::new(pointers.iter().map(|pointer| tokens(pointer)).collect())
        } else if is_pod {
            // What is kept of a pod is little.
            Self::new(vec![vec![]])
        } else {
            Self::new(USUAL.into_iter().map(tokens).collect())
        }
    }

    fn new(mut all: Vec<Vec<String>>) -> Self {
        all.sort();
        all.dedup_by(|later, kept| later.starts_with(kept));
        Self(all.into())
    }

    /// Whether all that the other shows is among these.
    pub(super) fn cover(&self, other: &Self) -> bool {
        other.0.iter().all(|field| self.0.iter().any(|known| field.starts_with(known)))
    }

    /// These and those.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self::new(self.0.iter().chain(&*other.0).cloned().collect())
    }

    /// The object with these fields only, each where it was: in a list, what is not shown is null.
    pub(super) fn show(&self, object: &Value) -> Value {
        let mut shown = Value::Object(Map::new());
        for field in &*self.0 {
            if let Some(value) = find(object, field) {
                put(&mut shown, object, field, value);
            }
        }
        shown
    }
}

/// The parts of a JSON pointer.
fn tokens(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")).collect()
}

fn find<'a>(object: &'a Value, field: &[String]) -> Option<&'a Value> {
    field.iter().try_fold(object, |value, token| match value {
        Value::Object(map) => map.get(token),
        Value::Array(list) => list.get(index(token)?),
        _ => None,
    })
}

/// A place in a list, as a pointer writes it.
fn index(token: &str) -> Option<usize> {
    let is_plain = token == "0" || !token.starts_with(['0', '+']);
    token.parse().ok().filter(|_| is_plain)
}

/// Puts a value where it is in `like`, along a way that is there.
fn put(shown: &mut Value, like: &Value, field: &[String], value: &Value) {
    let Some((token, rest)) = field.split_first() else {
        *shown = value.clone();
        return;
    };
    match like {
        Value::Object(map) => {
            if !shown.is_object() {
                *shown = Value::Object(Map::new());
            }
            if let (Some(inner), Some(shown)) = (map.get(token), shown.as_object_mut()) {
                put(shown.entry(token.as_str()).or_insert(Value::Null), inner, rest, value);
            }
        }
        Value::Array(list) => {
            if !shown.is_array() {
                *shown = Value::Array(Vec::new());
            }
            let Some(at) = index(token) else { return };
            if let (Some(inner), Some(shown)) = (list.get(at), shown.as_array_mut()) {
                if shown.len() <= at {
                    shown.resize(at + 1, Value::Null);
                }
                put(&mut shown[at], inner, rest, value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::json;

    use super::*;

    fn fields(pointers: &[&str]) -> Fields {
        Fields::of(&pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<Vec<_>>(), false)
    }

    #[test]
    fn without_fields_the_usual_ones_are_shown() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "replicas": 3 },
            "metadata": { "name": "a", "namespace": "b", "uid": "c", "labels": { "d": "e" }, "generation": 1,
                          "annotations": { "f": "g" }, "resourceVersion": "7" },
            "status": { "replicas": 3 },
        });
        let mut shown = object.clone();
        shown.as_object_mut().unwrap().remove("spec");
        shown["metadata"].as_object_mut().unwrap().retain(|key, _| key != "annotations" && key != "resourceVersion");
        assert_eq!(fields(&[]).show(&object), shown);
    }

    #[test]
    fn named_fields_are_shown_where_they_are_and_nothing_beside_them() {
        let object = json!({ "a": { "b/c": 1, "d~": 2, "e": 3 }, "list": [{ "x": 1, "y": 2 }, 5], "n": null });
        let shown =
            fields(&["/a/b~1c", "/a/d~0", "/list/0/y", "/n", "/none/below", "/list/9", "/list/00"]).show(&object);
        assert_eq!(shown, json!({ "a": { "b/c": 1, "d~": 2 }, "list": [{ "y": 2 }], "n": null }));
        assert_eq!(fields(&["/list/1"]).show(&object), json!({ "list": [null, 5] }));
        assert_eq!(fields(&["/a", "/a/e"]).show(&object), fields(&["/a"]).show(&object));
    }

    #[test]
    fn what_is_kept_for_several_covers_each() {
        let (a, b) = (fields(&["/spec/replicas", "/status"]), fields(&["/status/phase", "/metadata/name"]));
        let both = a.and(&b);
        assert!(both.cover(&a) && both.cover(&b) && !a.cover(&b) && !b.cover(&a));
        assert!(Fields::of(&[], true).cover(&both) && !both.cover(&Fields::of(&[], true)));
        assert!(a.cover(&fields(&["/status/conditions/0/type"])) && !a.cover(&fields(&["/spec"])));
    }
}
