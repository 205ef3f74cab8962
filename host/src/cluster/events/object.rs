//! A note as an Event of the API.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        core::v1::ObjectReference,
        events::v1::{Event, EventSeries},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
};
use serde_json::{Value, json};

use super::memory::Series;
use crate::dispatch::{Note, NoteKind};

/// Who reports: a qualified name.
pub(in crate::cluster) const CONTROLLER: &str = "gatehost.dev/gatehost";
/// The longest text that the API takes, in bytes.
const NOTE: usize = 1024;
/// The longest name of an instance.
const INSTANCE: usize = 128;
/// The longest name of a pod within an Event's: 17 characters of the time follow.
const NAME: usize = 236;

/// What an Event says of which pod. The same again is the same Event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Topic {
    pub(super) namespace: Arc<str>,
    pub(super) pod: Arc<str>,
    pub(super) uid: Arc<str>,
    pub(super) kind: NoteKind,
    pub(super) text: String,
}

impl Topic {
    pub(super) fn new(note: &Note) -> Self {
        let Note { namespace, name, uid, gate, check, kind, message } = note;
        // In front, so that a long message cuts neither off.
        let text = match (gate, check) {
            (Some(gate), Some(check)) => format!("{gate} (check {check}): {message}"),
            (Some(gate), None) => format!("{gate}: {message}"),
            (None, Some(check)) => format!("check {check}: {message}"),
            (None, None) => message.clone(),
        };
        let text = cut(&text, NOTE).to_owned();
        Self { namespace: namespace.clone(), pod: name.clone(), uid: uid.clone(), kind: *kind, text }
    }
}

/// A name for a new Event.
pub(super) fn name(topic: &Topic, now: Timestamp) -> String {
    let pod = cut(&topic.pod, NAME).trim_end_matches(['.', '-']);
    format!("{pod}.{:x}", now.as_nanosecond())
}

/// The Event.
pub(super) fn event(topic: &Topic, name: &str, instance: &str, now: Timestamp) -> Event {
    let pod = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("Pod".into()),
        namespace: Some(topic.namespace.to_string()),
        name: Some(topic.pod.to_string()),
        uid: Some(topic.uid.to_string()),
        ..ObjectReference::default()
    };
    Event {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(topic.namespace.to_string()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(CONTROLLER.into()),
        reporting_instance: Some(cut(instance, INSTANCE).to_owned()),
        regarding: Some(pod),
        type_: Some(if topic.kind.is_warning() { "Warning" } else { "Normal" }.into()),
        reason: Some(topic.kind.reason().into()),
        action: Some(action(topic.kind).into()),
        note: Some(topic.text.clone()),
        ..Event::default()
    }
}

/// The merge patch that counts an Event up.
pub(super) fn repeat(series: &Series) -> Value {
    json!({ "series": EventSeries { count: series.count, last_observed_time: MicroTime(series.last) } })
}

/// What the host was doing.
fn action(kind: NoteKind) -> &'static str {
    match kind {
        NoteKind::Turned(_) | NoteKind::Restarted | NoteKind::Contested => "WriteCondition",
        NoteKind::Fault | NoteKind::Stale | NoteKind::NotAnswered => "AskCheck",
        NoteKind::Quarantined | NoteKind::QuarantineEnded => "Quarantine",
        NoteKind::HeldByBudget | NoteKind::HeldByDamper => "HoldCondition",
        NoteKind::Overridden | NoteKind::OverrideEnded | NoteKind::OverrideRefused => "Override",
        NoteKind::DryRunDiffers => "DryRun",
        NoteKind::ReadyDisagrees => "CompareReady",
    }
}

/// At most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::events::testing::note;

    #[test]
    fn the_gate_and_the_check_are_named_and_a_long_message_is_cut_at_a_character() {
        let mut note = note("it is warm");
        assert_eq!(Topic::new(&note).text, "example.com/a (check warm): it is warm");
        note.check = None;
        assert_eq!(Topic::new(&note).text, "example.com/a: it is warm");
        note.message = "é".repeat(1000);
        let text = Topic::new(&note).text;
        assert!((1023..=1024).contains(&text.len()) && text.starts_with("example.com/a: é"), "{}", text.len());
    }

    #[test]
    fn a_name_is_one_whatever_the_pods_is() {
        let mut note = note("");
        let now = "2026-11-23T16:00:00Z".parse().unwrap();
        assert_eq!(name(&Topic::new(&note), now), "p.18eab7e6041e0000");
        note.name = format!("{}.{}", "a".repeat(235), "b".repeat(17)).into();
        let name = name(&Topic::new(&note), now);
        assert!(name.len() <= 253 && name.contains("aa.18eab"), "{name}");
    }
}
