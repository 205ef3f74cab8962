//! What a plugin keeps between calls: no more than it may, and only by an answer.

use std::sync::Arc;

use gatehost::{
    decide::FaultKind,
    sandbox::{Evaluated, Evaluation, Kept, MAX_KEPT},
};

use crate::{ENOUGH, load, question};

/// Asks a plugin that finds three bytes and has room for so many.
async fn ask(config: &str, room: usize) -> Evaluated {
    let kept = Kept { bytes: Arc::from(&b"abc"[..]), room };
    load("keep").await.evaluate(Evaluation { kept, ..question(config, ENOUGH) }).await
}

fn message(evaluated: &Evaluated) -> &str {
    &evaluated.answer.as_ref().unwrap().message
}

fn kept(evaluated: &Evaluated) -> Option<usize> {
    evaluated.keep.as_ref().map(|bytes| bytes.len())
}

#[tokio::test]
async fn a_plugin_finds_what_was_kept_and_leaves_what_it_keeps() {
    let evaluated = ask("keep 10", MAX_KEPT).await;
    assert_eq!((message(&evaluated), kept(&evaluated)), ("found 3, kept", Some(10)));
    assert!(evaluated.refusals.is_empty());
}

#[tokio::test]
async fn none_is_kept_by_keeping_nothing() {
    let evaluated = ask("keep 0", 0).await;
    assert_eq!((message(&evaluated), kept(&evaluated)), ("found 3, kept", Some(0)));
}

#[tokio::test]
async fn four_kib_are_kept_and_one_byte_more_is_denied() {
    let room = 16 << 20;
    assert_eq!(kept(&ask(&format!("keep {MAX_KEPT}"), room).await), Some(MAX_KEPT));
    let evaluated = ask(&format!("keep {}", MAX_KEPT + 1), room).await;
    let denied = "4097 bytes are more than the 4096 that a gate may keep";
    assert_eq!((message(&evaluated), kept(&evaluated)), (format!("found 3, denied: {denied}").as_str(), None));
    let [refusal] = &evaluated.refusals[..] else { panic!("{:?}", evaluated.refusals) };
    assert_eq!((refusal.import, refusal.message.as_str()), ("memory", denied));
}

#[tokio::test]
async fn what_has_no_room_is_denied() {
    assert_eq!(kept(&ask("keep 100", 100).await), Some(100));
    let evaluated = ask("keep 101", 100).await;
    let denied = "found 3, denied: all gates of the check together keep 16 MiB already";
    assert_eq!((message(&evaluated), kept(&evaluated)), (denied, None));
    assert_eq!(evaluated.refusals.len(), 1);
}

#[tokio::test]
async fn a_call_without_a_verdict_keeps_nothing() {
    for (config, kind) in [("trap 10", FaultKind::Trap), ("fault 10", FaultKind::Internal)] {
        let evaluated = ask(config, MAX_KEPT).await;
        assert_eq!(evaluated.answer.as_ref().unwrap_err().kind, kind);
        assert_eq!(kept(&evaluated), None, "{config}");
    }
}

#[tokio::test]
async fn describe_and_validate_keep_nothing() {
    let plugin = load("keep").await;
    let denied = "denied: only evaluate is about a gate, for which something can be kept";
    assert_eq!(plugin.description().help, denied);
    let errors = plugin.validate("{}".into()).await.unwrap();
    assert_eq!(errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(), [denied]);
}
