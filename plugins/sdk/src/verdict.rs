//! Builders for what a plugin says.

use std::time::Duration;

use crate::{ConfigError, Status, bindings::gatehost::check::types};

/// What a plugin is, for people and for tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    name: String,
    version: String,
    help: String,
    config_schema: String,
    extra: Vec<(String, String)>,
}

impl Description {
    /// A name (lower-case letters, digits and `-`), the plugin's own version, and one line that tells a person when
    /// the gate is True. The config's schema is that of any object until [`Description::config_schema`] says more.
    pub fn new(name: impl Into<String>, version: impl Into<String>, help: impl Into<String>) -> Self {
        let config_schema = r#"{"type":"object"}"#.to_owned();
        Self { name: name.into(), version: version.into(), help: help.into(), config_schema, extra: Vec::new() }
    }

    /// The JSON Schema of the config, as text of at most 64 KiB: shown to people, never evaluated by the host.
    pub fn config_schema(mut self, schema: impl Into<String>) -> Self {
        self.config_schema = schema.into();
        self
    }

    /// What [`crate::memory`] holds lasts over a new version of the check or the plugin that says the same here. Without it
    /// nothing does. Say something else whenever what is kept, or what it means under a config, becomes another thing.
    pub fn memory_version(mut self, version: impl Into<String>) -> Self {
        self.extra.push(("memory-version".to_owned(), version.into()));
        self
    }
}

/// What a check decided about one gate of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The answer.
    pub status: Status,
    /// Why, as one CamelCase word for machines.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// When to ask again, instead of after the check's period.
    pub recheck_after: Option<Duration>,
}

impl Verdict {
    /// The gate may open: the condition becomes True. `reason` is one CamelCase word of a small, stable set.
    pub fn met(reason: impl Into<String>) -> Self {
        Self::new(Status::Met, reason)
    }

    /// The gate may not open: the condition becomes False. An answer like any other, never backed off.
    pub fn unmet(reason: impl Into<String>) -> Self {
        Self::new(Status::Unmet, reason)
    }

    /// There is no answer yet: the condition becomes Unknown. Where finding out failed, return a [`Fault`].
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::new(Status::Unknown, reason)
    }

    /// Why, for people; at most 1 KiB. Give absolute times, not counts or countdowns: a message that differs at each
    /// call is written at most once in 5 minutes.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// When to ask again, instead of after the check's period. Rounded up to whole milliseconds, so never early; the
    /// host holds it to 100 ms .. 1 h.
    pub fn recheck_after(mut self, after: Duration) -> Self {
        self.recheck_after = Some(after);
        self
    }

    fn new(status: Status, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into(), message: String::new(), recheck_after: None }
    }
}

/// The check could not answer. Never a verdict: a condition that stands is left as it is.
#[derive(Clone, Debug)]
pub struct Fault {
    kind: types::FaultKind,
    reason: String,
    message: String,
    retry_after: Option<Duration>,
}

impl Fault {
    /// The config is wrong in a way that [`crate::Check::validate`] could not see.
    pub fn bad_config(reason: impl Into<String>) -> Self {
        Self::new(types::FaultKind::BadConfig, reason)
    }

    /// The check's document does not allow what the plugin needs.
    pub fn denied(reason: impl Into<String>) -> Self {
        Self::new(types::FaultKind::Denied, reason)
    }

    /// Something that the plugin had to ask did not answer.
    pub fn unreachable(reason: impl Into<String>) -> Self {
        Self::new(types::FaultKind::Unreachable, reason)
    }

    /// A defect or an exhausted limit of the plugin itself.
    pub fn internal(reason: impl Into<String>) -> Self {
        Self::new(types::FaultKind::Internal, reason)
    }

    /// A kind of its own: one CamelCase word.
    pub fn other(kind: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(types::FaultKind::Other(kind.into()), reason)
    }

    /// Why, for people; at most 1 KiB.
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// When to try again, instead of after the host's backoff; held to 100 ms .. 1 h.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    fn new(kind: types::FaultKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), message: String::new(), retry_after: None }
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::bad_config("ConfigRejected").message(error.to_string())
    }
}

impl From<Description> for types::Description {
    fn from(d: Description) -> Self {
        Self { name: d.name, version: d.version, help: d.help, config_schema: d.config_schema, extra: d.extra }
    }
}

impl From<Verdict> for types::Verdict {
    fn from(v: Verdict) -> Self {
        let recheck_after_ms = v.recheck_after.map(millis);
        Self { status: v.status, reason: v.reason, message: v.message, recheck_after_ms, extra: Vec::new() }
    }
}

impl From<Fault> for types::Fault {
    fn from(f: Fault) -> Self {
        let retry_after_ms = f.retry_after.map(millis);
        Self { kind: f.kind, reason: f.reason, message: f.message, retry_after_ms, extra: Vec::new() }
    }
}

/// Rounded up, so that nobody is asked before the moment; the longest that the type holds is 49 days.
fn millis(d: Duration) -> u32 {
    u32::try_from(d.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// A text that somebody else wrote, for a message: in quotes, and cut where it would drown the rest.
pub fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("\"{}…\"", &text[..end]),
        None => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(quoted("a"), "\"a\"");
        assert_eq!(quoted(&"ä".repeat(500)), format!("\"{}…\"", "ä".repeat(60)));
    }

    #[test]
    fn a_recheck_is_never_early() {
        assert_eq!(millis(Duration::from_micros(1)), 1);
        assert_eq!(millis(Duration::from_millis(1500)), 1500);
        assert_eq!(millis(Duration::MAX), u32::MAX);
    }
}
