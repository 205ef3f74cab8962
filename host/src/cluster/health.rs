//! When each watch last heard from the API server, and from when on it may ask again.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::pace::{Pace, nanoseconds};

/// How the watches are doing. Everything the server says on a watch counts as a sign of life: the answer that opens
/// it, events, bookmarks; so does a list. A quiet cluster is heard from at least every 25 s.
#[derive(Debug)]
pub struct WatchHealth {
    start: Instant,
    scopes: Vec<Scope>,
}

#[derive(Debug)]
struct Scope {
    /// The path that this scope lists and watches.
    path: String,
    /// Nanoseconds since `start`.
    heard: AtomicU64,
    pace: Pace,
    listed: AtomicBool,
}

impl WatchHealth {
    /// One scope for each namespace, one for all of them where none is named.
    pub(super) fn new(namespaces: &[String]) -> Self {
        let mut paths: Vec<_> = namespaces.iter().map(|n| format!("/api/v1/namespaces/{n}/pods")).collect();
        if paths.is_empty() {
            paths.push("/api/v1/pods".to_owned());
        }
        let scope = |path| Scope { path, heard: AtomicU64::new(0), pace: Pace::new(), listed: AtomicBool::new(false) };
        Self { start: Instant::now(), scopes: paths.into_iter().map(scope).collect() }
    }

    /// One scope, of a watch that nobody's life depends on: what this path lists and watches.
    pub(super) fn of(path: String) -> Self {
        let scope = Scope { path, heard: AtomicU64::new(0), pace: Pace::new(), listed: AtomicBool::new(false) };
        Self { start: Instant::now(), scopes: vec![scope] }
    }

    /// How long ago the watch that is quiet for longest was heard from; since the start where it never was.
    pub fn age(&self) -> Duration {
        let heard = self.scopes.iter().map(|s| s.heard.load(Ordering::Relaxed)).min().unwrap_or_default();
        self.start.elapsed().saturating_sub(Duration::from_nanos(heard))
    }

    /// Whether every watch has seen all its pods once.
    pub fn listed(&self) -> bool {
        self.scopes.iter().all(|s| s.listed.load(Ordering::Acquire))
    }

    /// The scope that a request path belongs to.
    pub(super) fn scope(&self, path: &str) -> Option<usize> {
        self.scopes.iter().position(|s| s.path == path)
    }

    pub(super) fn hear(&self, scope: usize) {
        if let Some(scope) = self.scopes.get(scope) {
            scope.heard.store(nanoseconds(self.start.elapsed()), Ordering::Relaxed);
        }
    }

    /// The server wants no list and no watch of this scope for so long.
    pub(super) fn hold(&self, scope: usize, wait: Duration) {
        if let Some(scope) = self.scopes.get(scope) {
            scope.pace.hold(wait, self.start.elapsed());
        }
    }

    /// How much of that is left.
    pub(super) fn held(&self, scope: u32) -> Duration {
        self.scopes.get(scope as usize).map_or(Duration::ZERO, |scope| scope.pace.held(self.start.elapsed()))
    }

    /// A watch is about to be opened: how long to wait before.
    pub(super) fn opening(&self, scope: usize) -> Duration {
        self.scopes.get(scope).map_or(Duration::ZERO, |scope| scope.pace.opening(self.start.elapsed()))
    }

    /// Whether anything was heard after `at`.
    pub(super) fn heard_since(&self, scope: u32, at: Instant) -> bool {
        let heard = self.scopes.get(scope as usize).map_or(0, |s| s.heard.load(Ordering::Relaxed));
        self.start + Duration::from_nanos(heard) > at
    }

    pub(super) fn done(&self, scope: usize) {
        if let Some(scope) = self.scopes.get(scope) {
            scope.listed.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_once_every_namespace_is_listed() {
        let health = WatchHealth::new(&["a".into(), "b".into()]);
        assert!(!health.listed());
        health.done(0);
        assert!(!health.listed());
        health.done(1);
        assert!(health.listed());
        assert_eq!(health.scope("/api/v1/namespaces/b/pods"), Some(1));
        assert_eq!(health.scope("/api/v1/pods"), None);
    }

    #[test]
    fn the_age_is_that_of_the_quietest_watch() {
        let mut health = WatchHealth::new(&["a".into(), "b".into()]);
        health.start -= Duration::from_secs(10);
        health.hear(0);
        assert!(health.age() >= Duration::from_secs(10));
        health.hear(1);
        assert!(health.age() < Duration::from_secs(5));
    }
}
