//! Which request meets which fault.

use std::time::Duration;

use http::Method;

use super::{Answer, Seen};

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Anything.
    Any,
    /// A list of pods, or a page of one.
    List,
    /// A watch of pods.
    Watch,
    /// A patch of a pod's status.
    Patch,
    /// A patch of the status of the pod with this name.
    PatchOf(String),
    /// An Event that is created or patched.
    Event,
    /// Everything else.
    Other,
}

impl Kind {
    /// Never [`Kind::Any`] and never [`Kind::PatchOf`].
    pub(super) fn of(method: &Method, path: &str, query: &str) -> Self {
        let is_pods = path == "/api/v1/pods" || (path.starts_with("/api/v1/namespaces/") && path.ends_with("/pods"));
        let is_watch = query.split('&').any(|part| part == "watch=true" || part == "watch=1");
        if is_pods && method == Method::GET {
            if is_watch { Self::Watch } else { Self::List }
        } else if path.contains("/pods/") && path.ends_with("/status") && method == Method::PATCH {
            Self::Patch
        } else if path.contains("/events") && (method == Method::POST || method == Method::PATCH) {
            Self::Event
        } else {
            Self::Other
        }
    }

    /// Whether that request is one of these.
    pub fn matches(&self, seen: &Seen) -> bool {
        match self {
            Self::Any => true,
            Self::PatchOf(pod) => seen.kind == Self::Patch && seen.path.ends_with(&format!("/pods/{pod}/status")),
            kind => *kind == seen.kind,
        }
    }
}

/// What happens to a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is passed on this much later.
    Delay(Duration),
    /// It is passed on when the rules are cleared.
    Wait,
    /// The connection is closed; the API server hears nothing of the request.
    Close,
    /// The connection is reset; the API server hears nothing of the request.
    Reset,
    /// Nothing is said and the connection stays open; the API server hears nothing of the request.
    Hold,
    /// The API server does as it is told, and the connection is closed before its answer.
    Lose,
    /// The answer's head is passed on, and of its body nothing; the connection stays open.
    Stall,
    /// The answer ends in its middle: half of the body whose length was told (of a watch: half of its first event), then
    /// the connection is closed.
    Truncate,
    /// This is answered instead; the API server hears nothing of the request.
    Answer(Answer),
}

/// The rules in force, in the order they were set.
#[derive(Default)]
pub(super) struct Rules(Vec<Rule>);

struct Rule {
    kind: Kind,
    times: usize,
    fault: Fault,
}

impl Rules {
    pub(super) fn add(&mut self, kind: Kind, times: usize, fault: Fault) {
        self.0.push(Rule { kind, times, fault });
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault for a request, which counts as one of the rule's times.
    pub(super) fn take(&mut self, seen: &Seen) -> Option<Fault> {
        let at = self.0.iter().position(|rule| rule.times > 0 && rule.kind.matches(seen))?;
        let rule = &mut self.0[at];
        // A rule for all requests never gets to its end.
        rule.times -= 1;
        Some(rule.fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(method: &Method, target: &str) -> Kind {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Kind::of(method, path, query)
    }

    #[test]
    fn requests_are_told_apart() {
        assert_eq!(kind(&Method::GET, "/api/v1/pods?limit=250"), Kind::List);
        assert_eq!(kind(&Method::GET, "/api/v1/namespaces/a/pods?&watch=true&timeoutSeconds=25"), Kind::Watch);
        assert_eq!(kind(&Method::PATCH, "/api/v1/namespaces/a/pods/p/status?fieldManager=gatehost"), Kind::Patch);
        assert_eq!(kind(&Method::POST, "/apis/events.k8s.io/v1/namespaces/a/events"), Kind::Event);
        assert_eq!(kind(&Method::GET, "/api/v1/namespaces?watch=true"), Kind::Other);
        assert_eq!(kind(&Method::GET, "/api/v1/namespaces/a/pods/p"), Kind::Other);
    }

    #[test]
    fn a_rule_acts_as_often_as_it_says_and_on_its_kind_only() {
        let mut rules = Rules::default();
        rules.add(Kind::PatchOf("p".to_owned()), 1, Fault::Close);
        rules.add(Kind::Any, usize::MAX, Fault::Hold);
        let patch = Seen::new(&Method::PATCH, "/api/v1/namespaces/a/pods/p/status", "");
        let other = Seen::new(&Method::PATCH, "/api/v1/namespaces/a/pods/pp/status", "");
        assert!(matches!(rules.take(&other), Some(Fault::Hold)));
        assert!(matches!(rules.take(&patch), Some(Fault::Close)));
        assert!(matches!(rules.take(&patch), Some(Fault::Hold)));
        rules.clear();
        assert!(rules.take(&patch).is_none());
    }
}
