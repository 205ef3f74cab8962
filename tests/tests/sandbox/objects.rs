//! The import `objects`, with a cluster of the test's own behind it.

use std::{future::pending, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use gatehost::{
    check::{Allow, ObjectEntry},
    decide::FaultKind,
    sandbox::{Evaluated, Evaluation, Look, ObjectSource, Query, Read, Sandbox, Sight, Target, View},
};
use serde_json::{Value, json};

use crate::{ENOUGH, guest, question};

/// Shows an object for each entry, named by its first field; or what its kind says.
struct Stand;

impl ObjectSource for Stand {
    fn look(&self, query: Query) -> BoxFuture<'static, Option<Look>> {
        let id = match &query.target {
            Target::One { name, .. } => name.parse().unwrap_or(1),
            Target::All { .. } => 1,
        };
        let named = |name: &str, text: String| (name.to_owned(), text.into());
        let sight = match query.entry.kind.as_str() {
            "Listing" => Sight::Listing(Box::pin(pending())),
            "Large" => Sight::Objects(Arc::new(vec![named("a", format!("\"{}\"", "x".repeat(1 << 20)))])),
            "Trouble" => Sight::Unavailable("it is away".into()),
            _ => {
                let shown = query.entry.fields.iter().map(|name| named(name, json!(name).to_string()));
                Sight::Objects(Arc::new(shown.collect()))
            }
        };
        Box::pin(async move { Some(Look { read: Read { view: View::new(id), version: 3 }, sight }) })
    }
}

fn entry(kind: &str, fields: &[&str]) -> ObjectEntry {
    ObjectEntry {
        api_version: "v1".into(),
        kind: kind.into(),
        namespaces: vec![],
        names: vec![],
        labels: None,
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    }
}

async fn ask(source: Option<Stand>, objects: &[ObjectEntry], reads: &Value, timeout: Duration) -> Evaluated {
    let sandbox = Sandbox::new().unwrap();
    let sandbox = match source {
        Some(source) => sandbox.with_objects(Arc::new(source)),
        None => sandbox,
    };
    let grant = sandbox.grant(&Allow { objects: objects.to_vec(), ..Allow::default() }).unwrap();
    let plugin = sandbox.load(guest("objects")).await.unwrap();
    plugin.evaluate(Evaluation { grant, ..question(&json!({ "reads": reads }).to_string(), timeout) }).await
}

fn all(kind: &str) -> Value {
    json!([{ "all": ["v1", kind, "shop", ""] }])
}

#[tokio::test]
async fn what_no_entry_allows_is_denied_and_told() {
    for kind in ["Service", "Secret", "service"] {
        let ended = ask(Some(Stand), &[entry("Node", &[]), entry("Secret", &[])], &all(kind), ENOUGH).await;
        let fault = ended.answer.unwrap_err();
        assert_eq!((fault.kind, ended.reads.len()), (FaultKind::Denied, 0));
        assert_eq!((ended.refusals.len(), ended.refusals[0].import), (1, "objects"));
        assert_eq!(ended.refusals[0].message, fault.message);
    }
}

#[tokio::test]
async fn entries_of_one_kind_show_together_what_each_shows() {
    let entries = [entry("Service", &["b", "c"]), entry("Service", &["a", "b"])];
    let ended = ask(Some(Stand), &entries, &all("Service"), ENOUGH).await;
    assert_eq!(ended.answer.unwrap().message, r#"[["a","b","c"]]"#);
    assert_eq!(ended.reads, [Read { view: View::new(1), version: 3 }]);
}

#[tokio::test]
async fn without_a_cluster_nothing_is_shown_and_it_is_no_refusal() {
    let ended = ask(None, &[entry("Service", &[])], &all("Service"), ENOUGH).await;
    assert_eq!(ended.answer.unwrap_err().message, "there is no cluster here: gatehost dev shows no objects");
    assert!(ended.refusals.is_empty());
}

#[tokio::test]
async fn what_cannot_be_shown_now_says_so_in_time_and_is_known_to_have_been_read() {
    let message = async |kind: &str, timeout| {
        let ended = ask(Some(Stand), &[entry(kind, &[])], &all(kind), timeout).await;
        assert_eq!(ended.reads.len(), 1, "{kind}");
        ended.answer.unwrap_err().message
    };
    let late = message("Listing", Duration::from_secs(1)).await;
    assert_eq!(late, "the first list of every Listing of v1 is not complete yet");
    assert_eq!(message("Trouble", ENOUGH).await, "it is away");
    assert!(message("Large", ENOUGH).await.contains("more than 1 MiB"));
}

#[tokio::test]
async fn a_call_reads_so_many_objects_and_the_same_one_as_often_as_it_likes() {
    let one = |n: usize| json!({ "one": ["v1", "Service", "shop", n.to_string()] });
    let many = |count: usize| (0..200).map(|n| one(n % count)).collect::<Value>();
    let ended = ask(Some(Stand), &[entry("Service", &["a"])], &many(64), ENOUGH).await;
    assert!(ended.answer.is_ok() && ended.reads.len() == 64);
    let ended = ask(Some(Stand), &[entry("Service", &["a"])], &many(65), ENOUGH).await;
    assert!(ended.answer.unwrap_err().message.contains("at most 64"));
}

#[tokio::test]
async fn a_selector_and_a_namespace_that_are_none_are_invalid() {
    for reads in
        [json!([{ "all": ["v1", "Service", "shop", "a b"] }]), json!([{ "one": ["v1", "Service", "a/b", "c"] }])]
    {
        let fault = ask(Some(Stand), &[entry("Service", &[])], &reads, ENOUGH).await.answer.unwrap_err();
        assert_eq!(fault.kind, FaultKind::BadConfig);
    }
}
