#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use serde_json::json;

use super::*;

fn fields(pointers: &[&str]) -> Fields {
    Fields::of(&pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<Vec<_>>(), false)
}

struct Bed {
    store: Store,
    fields: Fields,
    next: u64,
}

impl Bed {
    fn new() -> Self {
        Self { store: Store::new(false), fields: fields(&["/metadata/name", "/status"]), next: 0 }
    }

    fn apply(&mut self, name: &str, app: &str, status: u32) -> Changes {
        let object =
            json!({ "metadata": { "name": name, "labels": { "app": app } }, "status": status, "spec": status * 7 });
        let mut changes = Changes::new();
        self.store.apply(key("shop", name), Kept::new(&object, &self.fields), &mut changes);
        changes
    }

    fn remove(&mut self, name: &str) -> Changes {
        let mut changes = Changes::new();
        self.store.remove(&key("shop", name), &mut changes);
        changes
    }

    fn listed(&mut self, names: &[&str]) -> Changes {
        let mut changes = Changes::new();
        let held = names.iter().map(|name| key("shop", name)).collect();
        self.store.listed(&held, &self.fields.clone(), &mut changes);
        changes
    }

    fn look(&mut self, target: &Target, pointers: &[&str]) -> (Read, Option<Vec<String>>) {
        self.next += 1;
        let (read, shown) = self.store.look(target, &fields(pointers), self.next);
        (read, shown.map(|shown| shown.iter().map(|(_, text)| text.to_string()).collect()))
    }
}

fn one(name: &str) -> Target {
    Target::One { namespace: "shop".into(), name: name.into() }
}

fn all(namespace: &str, selector: &str) -> Target {
    Target::All { namespace: namespace.into(), selector: selector.parse().unwrap() }
}

#[test]
fn nothing_is_shown_before_the_first_list_is_complete_and_then_who_looked_is_told() {
    let mut bed = Bed::new();
    let (read, shown) = bed.look(&one("db"), &["/status"]);
    assert_eq!((read.version, shown), (0, None));
    assert!(bed.apply("db", "a", 1).is_empty());
    assert_eq!(bed.listed(&["db"]), [(read.view.id(), 1)]);
    let (again, shown) = bed.look(&one("db"), &["/status"]);
    assert_eq!((again.view, again.version, shown.unwrap()), (read.view, 1, vec![r#"{"status":1}"#.to_owned()]));
}

#[test]
fn only_a_change_of_what_is_seen_is_one() {
    let mut bed = Bed::new();
    bed.listed(&[]);
    let (name, _) = bed.look(&one("db"), &["/metadata/name"]);
    let (status, shown) = bed.look(&one("db"), &["/status"]);
    assert_eq!(shown.unwrap().len(), 0, "there is none");
    let (other, _) = bed.look(&one("cache"), &["/status"]);
    assert_eq!(bed.apply("db", "a", 1), [(name.view.id(), 2), (status.view.id(), 2)]);
    assert_eq!(bed.apply("db", "a", 2), [(status.view.id(), 3)]);
    assert_eq!(bed.apply("db", "b", 2), [], "its labels are not seen");
    assert_eq!(bed.remove("db"), [(name.view.id(), 3), (status.view.id(), 4)]);
    assert_eq!(bed.remove("db"), []);
    assert_eq!(bed.look(&one("cache"), &["/status"]).0, other);
}

#[test]
fn a_list_that_finds_nothing_changed_changes_nothing_and_one_that_lacks_an_object_removes_it() {
    let mut bed = Bed::new();
    bed.apply("a", "x", 1);
    bed.apply("b", "x", 1);
    bed.listed(&["a", "b"]);
    let (read, _) = bed.look(&all("shop", ""), &["/status"]);
    assert_eq!((bed.apply("a", "x", 1), bed.apply("b", "x", 1), bed.listed(&["a", "b"])), (vec![], vec![], vec![]));
    assert_eq!(bed.listed(&["b"]), [(read.view.id(), 2)]);
    assert_eq!(bed.look(&all("shop", ""), &["/status"]).1.unwrap().len(), 1);
}

#[test]
fn a_list_is_of_one_namespace_and_of_what_the_selector_matches_by_name() {
    let mut bed = Bed::new();
    for (name, app) in [("b", "x"), ("a", "x"), ("c", "y")] {
        bed.apply(name, app, 1);
    }
    bed.listed(&["a", "b", "c"]);
    let names = |bed: &mut Bed, namespace: &str, selector: &str| {
        bed.look(&all(namespace, selector), &["/metadata/name"]).1.unwrap().join(" ")
    };
    assert_eq!(names(&mut bed, "shop", "app=x"), r#"{"metadata":{"name":"a"}} {"metadata":{"name":"b"}}"#);
    assert_eq!((names(&mut bed, "sho", ""), names(&mut bed, "", "")), (String::new(), String::new()));
    let (read, _) = bed.look(&all("shop", "app=x"), &["/metadata/name"]);
    assert_eq!(bed.apply("c", "x", 1), [(read.view.id(), 2)].map(|change| change), "it joins");
    assert_eq!(bed.apply("c", "x", 5), [], "its status is not seen");
    assert_eq!(bed.apply("a", "z", 1), [(read.view.id(), 3)], "it leaves");
}

#[test]
fn a_view_of_more_than_is_kept_waits_for_a_list_that_holds_it() {
    let mut bed = Bed::new();
    bed.apply("db", "a", 1);
    bed.listed(&["db"]);
    let (old, _) = bed.look(&one("db"), &["/status"]);
    let (read, shown) = bed.look(&one("db"), &["/spec"]);
    assert_eq!(shown, None);
    bed.fields = bed.fields.and(&fields(&["/spec"]));
    assert_eq!(bed.apply("db", "a", 1), [], "who sees the status sees no change");
    assert!(bed.look(&one("db"), &["/status"]).1.is_some(), "and is shown it meanwhile");
    assert_eq!(bed.listed(&["db"]), [(read.view.id(), 1)]);
    assert_eq!(bed.look(&one("db"), &["/spec"]).1.unwrap(), [r#"{"spec":7}"#]);
    assert_eq!(bed.look(&one("db"), &["/status"]).0, old);
}

#[test]
fn views_that_nobody_holds_are_let_go() {
    let mut bed = Bed::new();
    let (read, _) = bed.look(&one("db"), &[]);
    let list = bed.look(&all("shop", ""), &[]);
    bed.store.sweep();
    assert!(bed.store.is_used());
    drop((read, list));
    bed.store.sweep();
    assert!(!bed.store.is_used());
}
