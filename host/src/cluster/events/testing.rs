//! Notes for tests.

use std::sync::Arc;

use super::object::Topic;
use crate::dispatch::{Note, NoteKind};

/// A fault of one gate.
pub(super) fn note(message: &str) -> Note {
    Note {
        namespace: "shop".into(),
        name: "p".into(),
        uid: "u-1".into(),
        gate: Some("example.com/a".into()),
        check: Some("warm".into()),
        kind: NoteKind::Fault,
        message: message.to_owned(),
    }
}

/// What its Event says.
pub(super) fn topic(message: &str) -> Arc<Topic> {
    Arc::new(Topic::new(&note(message)))
}
