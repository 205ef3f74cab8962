#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
//! The hub and its watches against a server that answers as it is told.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::timeout};

use super::*;
use crate::{
    check::ObjectEntry,
    cluster::testing::{Reply, Server, quick},
    sandbox::{Sight, Target},
};

const LONG: Duration = Duration::from_secs(20);
const KINDS: &str = r#"{"resources":[{"name":"services","namespaced":true,"kind":"Service","verbs":["list","watch"]},
    {"name":"nodes","namespaced":false,"kind":"Node","verbs":["list","watch"]}]}"#;

fn service(name: &str, version: u32) -> String {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"shop","resourceVersion":"{version}","labels":{{"a":"{name}"}}}},
            "spec":{{"v":{version}}}}}"#
    )
    .replace('\n', "")
}

fn list(objects: &[String]) -> Reply {
    let items = objects.join(",");
    let text = format!(r#"{{"kind":"L","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{items}]}}"#);
    Reply::whole("200 OK", "", &text)
}

/// A hub at work, and what it tells dispatch.
struct Bed {
    server: Server,
    objects: Objects,
    events: mpsc::Receiver<Event>,
    _tasks: JoinSet<()>,
}

impl Bed {
    /// `reply` answers all but what is asked about kinds.
    async fn start(reply: impl Fn(&str) -> Reply + Clone + Send + Sync + 'static) -> Self {
        let answer = move |head: &str| {
            if head.starts_with("GET /api/v1 ") { Reply::whole("200 OK", "", KINDS) } else { reply(head) }
        };
        let server = Server::start(answer).await;
        let (objects, questions) = objects();
        let (sender, events) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        tasks.spawn(server.cluster(quick()).show_objects(questions, sender, Box::new(|_, _| ())));
        Self { server, objects, events, _tasks: tasks }
    }

    /// Looks until there is something to tell: the objects, or why there are none.
    async fn look(&self, entry: &ObjectEntry, target: &Target) -> Result<Vec<String>, String> {
        loop {
            let query = Query { entry: entry.clone(), target: target.clone() };
            match timeout(LONG, self.objects.look(query)).await.unwrap().unwrap().sight {
                Sight::Objects(shown) => return Ok(shown.iter().map(|(_, text)| text.to_string()).collect()),
                Sight::Listing(done) => timeout(LONG, done).await.unwrap(),
                Sight::Unavailable(why) | Sight::Invalid(why) => return Err(why),
            }
        }
    }

    fn lists(&self) -> Vec<String> {
        let heads = self.server.requests().into_iter();
        heads.filter(|head| !head.contains("watch=true") && !head.starts_with("GET /api/v1 ")).collect()
    }
}

fn entry(kind: &str, namespaces: &[&str], names: &[&str], fields: &[&str]) -> ObjectEntry {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let (namespaces, names, fields) = (owned(namespaces), owned(names), owned(fields));
    ObjectEntry { api_version: "v1".into(), kind: kind.into(), namespaces, names, labels: None, fields }
}

fn one(namespace: &str, name: &str) -> Target {
    Target::One { namespace: namespace.into(), name: name.into() }
}

fn all(namespace: &str) -> Target {
    Target::All { namespace: namespace.into(), selector: "".parse().unwrap() }
}

#[tokio::test]
async fn one_watch_serves_everybody_and_a_change_is_told_to_dispatch() {
    let change = format!(r#"{{"type":"MODIFIED","object":{}}}"#, service("a", 10)) + "\n";
    let opened = Arc::new(AtomicUsize::new(0));
    let mut bed = Bed::start(move |head| match head.contains("watch=true") {
        true if opened.fetch_add(1, Ordering::Relaxed) == 1 => Reply::head(&change),
        true => Reply::head(""),
        false => list(&[service("a", 1), service("b", 1)]),
    })
    .await;
    let entry = entry("Service", &[], &[], &["/spec"]);
    let (a, b, every) = (one("shop", "a"), one("shop", "b"), all("shop"));
    let (a, b, every) = tokio::join!(bed.look(&entry, &a), bed.look(&entry, &b), bed.look(&entry, &every));
    assert_eq!(a.unwrap(), [r#"{"spec":{"v":1}}"#]);
    assert_eq!((b.unwrap().len(), every.unwrap().len()), (1, 2));
    assert_eq!(bed.look(&entry, &one("shop", "none")).await.unwrap(), Vec::<String>::new());
    assert_eq!(bed.look(&entry, &all("bank")).await.unwrap(), Vec::<String>::new());
    assert_eq!(bed.lists().len(), 1, "{:?}", bed.lists());
    assert!(bed.lists()[0].starts_with("GET /api/v1/services?"), "{:?}", bed.lists());
    // The first list, and after the silent watch was cut, the change: of the object and of the list.
    let mut told = Vec::new();
    while told.len() < 2 || told.last().is_some_and(|n| *n != 2) {
        let Event::ObjectsChanged(changes) = timeout(LONG, bed.events.recv()).await.unwrap().unwrap() else { panic!() };
        told.push(changes.len());
    }
    assert_eq!(bed.look(&entry, &one("shop", "a")).await.unwrap(), [r#"{"spec":{"v":10}}"#]);
}

#[tokio::test]
async fn what_is_named_is_watched_by_name_and_in_the_namespaces_of_its_entry() {
    let bed =
        Bed::start(|head| if head.contains("watch=true") { Reply::head("") } else { list(&[service("a", 1)]) }).await;
    let named = entry("Service", &["shop"], &["a"], &["/spec"]);
    bed.look(&named, &one("shop", "a")).await.unwrap();
    let labelled =
        ObjectEntry { labels: Some("a in (a, b)".parse().unwrap()), ..entry("Service", &["shop"], &[], &[]) };
    bed.look(&labelled, &all("shop")).await.unwrap();
    let lists = bed.lists();
    assert!(lists[0].starts_with("GET /api/v1/namespaces/shop/services?"), "{lists:?}");
    assert!(lists[0].contains("fieldSelector=metadata.name%3Da"), "{lists:?}");
    assert!(lists[1].contains("labelSelector=a+in+%28a%2Cb%29"), "{lists:?}");
}

#[tokio::test]
async fn a_check_that_shows_more_fields_makes_the_watch_list_anew_and_others_are_served_meanwhile() {
    let bed =
        Bed::start(|head| if head.contains("watch=true") { Reply::head("") } else { list(&[service("a", 1)]) }).await;
    let (few, more) =
        (entry("Service", &[], &[], &["/spec"]), entry("Service", &[], &[], &["/spec", "/metadata/name"]));
    bed.look(&few, &one("shop", "a")).await.unwrap();
    assert_eq!(bed.look(&more, &one("shop", "a")).await.unwrap(), [r#"{"metadata":{"name":"a"},"spec":{"v":1}}"#]);
    assert_eq!(bed.look(&few, &one("shop", "a")).await.unwrap(), [r#"{"spec":{"v":1}}"#]);
    assert_eq!(bed.lists().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_told_says_why() {
    let forbidden = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}"#;
    let bed = Bed::start(move |_| Reply::whole("403 Forbidden", "", forbidden)).await;
    let services = entry("Service", &["shop"], &[], &[]);
    let why = bed.look(&services, &all("shop")).await.unwrap_err();
    let expected = "the host may not list services in namespace shop: apply what `gatehost rbac DIR...` prints for the \
                    directories of its checks";
    assert_eq!(why, expected);
    let why = bed.look(&entry("Widget", &[], &[], &[]), &all("shop")).await.unwrap_err();
    assert!(why.contains("no kind Widget in v1"), "{why}");
    let why = bed.look(&entry("Node", &["shop"], &[], &[]), &all("shop")).await.unwrap_err();
    assert!(why.contains("leave out namespaces"), "{why}");
    let lists = bed.lists().len();
    assert!(lists < 3, "{lists} lists");
}

#[tokio::test]
async fn a_namespace_is_named_where_objects_have_one_and_only_there() {
    let bed = Bed::start(|head| if head.contains("watch=true") { Reply::head("") } else { list(&[]) }).await;
    assert!(bed.look(&entry("Service", &[], &[], &[]), &all("")).await.unwrap_err().contains("is in a namespace"));
    let nodes = entry("Node", &[], &[], &[]);
    assert!(bed.look(&nodes, &one("shop", "n")).await.unwrap_err().contains("in no namespace"));
    assert_eq!(bed.look(&nodes, &one("", "n")).await.unwrap(), Vec::<String>::new());
}
