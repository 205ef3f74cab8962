//! What the proxy has seen.

use std::time::Instant;

use http::Method;
use serde_json::Value;

use super::Kind;

/// One request.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it arrived.
    pub at: Instant,
    /// What it was for; never [`Kind::Any`] or [`Kind::PatchOf`].
    pub kind: Kind,
    /// Its method.
    pub method: Method,
    /// Its path, without the query.
    pub path: String,
    /// Its query; empty where there is none.
    pub query: String,
    /// Its body; null where there is none or it is no JSON.
    pub body: Value,
    /// The code that was answered; none as long as nothing was, so for ever where a fault left it at that.
    pub answered: Option<u16>,
    /// When that was.
    pub answered_at: Option<Instant>,
    number: u64,
}

impl Seen {
    pub(super) fn new(method: &Method, path: &str, query: &str) -> Self {
        Self {
            at: Instant::now(),
            kind: Kind::of(method, path, query),
            method: method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: Value::Null,
            answered: None,
            answered_at: None,
            number: 0,
        }
    }

    /// The name of the pod whose status a patch is for.
    pub fn pod(&self) -> Option<&str> {
        self.path.strip_suffix("/status")?.rsplit('/').next()
    }

    /// The conditions that a patch sets, each as (type, status).
    pub fn conditions(&self) -> Vec<(&str, &str)> {
        let conditions = self.body.pointer("/status/conditions").and_then(Value::as_array);
        conditions
            .into_iter()
            .flatten()
            .map(|condition| (text(&condition["type"]), text(&condition["status"])))
            .collect()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// All requests since the last [`Notes::forget`].
#[derive(Default)]
pub(super) struct Notes {
    all: Vec<Seen>,
    /// The number of the next request.
    next: u64,
}

impl Notes {
    /// Notes a request; its number.
    pub(super) fn arrived(&mut self, mut seen: Seen) -> u64 {
        seen.number = self.next;
        self.next += 1;
        self.all.push(seen);
        self.next - 1
    }

    /// Notes the answer's code. A request that was forgotten meanwhile stays so.
    pub(super) fn answered(&mut self, number: u64, code: u16) {
        if let Ok(at) = self.all.binary_search_by_key(&number, |seen| seen.number) {
            self.all[at].answered = Some(code);
            self.all[at].answered_at = Some(Instant::now());
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Seen> {
        self.all.iter()
    }

    pub(super) fn forget(&mut self) {
        self.all.clear();
    }
}
