//! Pods as they come and go, as events for dispatch.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use kube::{
    Api, Client,
    runtime::watcher::{self, Error},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    explain::{Kind, LIST, Trouble, WATCH, explain, said},
    health::WatchHealth,
    object::Object,
};
use crate::dispatch::Event;

/// Pods a list page: small, so that the first list's peak of memory stays near what is kept.
const PAGE: u32 = 250;

/// How long a watch must stay open after trouble to count as working.
pub(super) const SETTLE: Duration = Duration::from_secs(5);

/// One watch: of one namespace, or of all.
pub(super) struct Watch {
    /// Marks the events, so that a list of one namespace sweeps no pods of another.
    pub(super) scope: u32,
    pub(super) namespace: Option<String>,
    pub(super) selector: Option<String>,
    pub(super) seconds: u32,
    pub(super) url: Arc<str>,
    pub(super) health: Arc<WatchHealth>,
    pub(super) events: mpsc::Sender<Event>,
}

/// The receiver is gone: the host is about to end.
struct Closed;

impl Watch {
    /// Watches until the receiver is gone.
    pub(super) async fn run(self, client: Client) {
        let api: Api<Object> = match &self.namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let config = watcher::Config {
            label_selector: self.selector.clone(),
            timeout: Some(self.seconds),
            page_size: Some(PAGE),
            ..watcher::Config::default()
        };
        let begin = || watcher::watcher(api.clone(), config.clone());
        let mut stream = pin!(begin());
        let mut trouble = Told::default();
        let mut listing = Listing::Idle;
        loop {
            let next = tokio::select! {
                next = stream.next() => next,
                () = sleep(SETTLE), if trouble.kind.is_some() => {
                    // A quiet cluster sends nothing for a while after a watch was opened again.
                    if trouble.at.is_some_and(|at| self.health.heard_since(self.scope, at)) {
                        self.over(&mut trouble);
                    }
                    continue;
                }
            };
            match next {
                None => return,
                // Told before every attempt to list: not yet a sign that one works.
                Some(Ok(watcher::Event::Init)) => listing = Listing::Asked,
                Some(Ok(event)) => {
                    self.over(&mut trouble);
                    if self.forward(event, &mut listing).await.is_err() {
                        return;
                    }
                }
                Some(Err(error)) => {
                    if self.tell(&error, &mut trouble) == Kind::Said(410) {
                        // The watcher lists anew only where the server says so inside a watch, not where it refuses to
                        // open one.
                        stream.set(begin());
                    }
                    tokio::select! {
                        () = sleep(trouble.wait().max(self.health.held(self.scope))) => {}
                        () = self.events.closed() => return,
                    }
                }
            }
        }
    }

    async fn forward(&self, event: watcher::Event<Object>, listing: &mut Listing) -> Result<(), Closed> {
        if *listing == Listing::Asked {
            *listing = Listing::Idle;
            self.send(Event::ListStarted(self.scope)).await?;
        }
        match event {
            watcher::Event::Init => {}
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => match object.gated {
                Some(seen) if seen.over => self.send(Event::Gone(seen.pod.uid.into())).await?,
                Some(seen) => self.send(Event::Pod(self.scope, seen)).await?,
                None => {}
            },
            watcher::Event::Delete(object) => {
                if let Some(seen) = object.gated {
                    self.send(Event::Gone(seen.pod.uid.into())).await?;
                }
            }
            watcher::Event::InitDone => {
                self.send(Event::ListDone(self.scope)).await?;
                self.health.done(self.scope as usize);
            }
        }
        Ok(())
    }

    async fn send(&self, event: Event) -> Result<(), Closed> {
        self.events.send(event).await.map_err(|_| Closed)
    }

    /// Logs trouble, once for each kind until the watch works again.
    fn tell(&self, error: &Error, told: &mut Told) -> Kind {
        let Trouble { kind, line } = match error {
            Error::InitialListFailed(e) => explain(e, LIST, &self.url),
            Error::WatchStartFailed(e) | Error::WatchFailed(e) => explain(e, WATCH, &self.url),
            Error::WatchError(status) => said(status, WATCH, &self.url),
            Error::NoResourceVersion => {
                Trouble { kind: Kind::Broken, line: format!("{}: a pod without a resourceVersion", self.url) }
            }
        };
        let line = match &self.selector {
            Some(selector) if kind == Kind::Said(400) => format!("{line}: is --pod-selector {selector:?} right?"),
            _ => line,
        };
        told.at = Some(Instant::now());
        if kind == Kind::Said(410) {
            // The server forgot where the watch stood, as it does after a restart: the pods are listed anew, at once
            // unless it happens again and again.
            if !std::mem::replace(&mut told.forgotten, true) {
                told.wait = Told::FIRST;
            }
            tracing::debug!(namespace = self.name(), "{line}");
        } else if told.kind != Some(kind) {
            tracing::warn!(namespace = self.name(), "{line}");
            told.kind = Some(kind);
        }
        kind
    }

    fn over(&self, told: &mut Told) {
        if told.kind.is_some() {
            tracing::info!(namespace = self.name(), "{}: watching pods again", self.url);
        }
        *told = Told::default();
    }

    fn name(&self) -> &str {
        self.namespace.as_deref().unwrap_or("all")
    }
}

/// Whether a list was begun that has brought nothing yet. Dispatch is told of a list once it works, so that a server
/// that is down starts no sweeps.
#[derive(PartialEq, Eq)]
enum Listing {
    Idle,
    Asked,
}

/// The trouble that this watch is in.
pub(super) struct Told {
    /// What was logged last.
    pub(super) kind: Option<Kind>,
    /// When it last happened.
    pub(super) at: Option<Instant>,
    /// How long to wait at most before the next attempt.
    pub(super) wait: Duration,
    /// Whether the server said 410 since all was well.
    pub(super) forgotten: bool,
}

impl Told {
    pub(super) const FIRST: Duration = Duration::from_millis(500);
    /// Short enough that a server that comes back is not left waiting.
    const MAX: Duration = Duration::from_secs(5);

    /// How long to wait before the next attempt: doubling from 0.5 s to 5 s, each between a half and the whole
    /// of it.
    pub(super) fn wait(&mut self) -> Duration {
        let whole = self.wait;
        self.wait = (whole * 2).min(Self::MAX);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

impl Default for Told {
    fn default() -> Self {
        Self { kind: None, at: None, wait: Self::FIRST, forgotten: false }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::{task::JoinSet, time::timeout};

    use super::*;
    use crate::cluster::testing::{Reply, Server, quick};

    const GATED: &str = r#""spec":{"readinessGates":[{"conditionType":"example.com/a"}]}"#;

    fn pod(name: &str, rest: &str) -> String {
        format!(r#"{{"metadata":{{"name":"{name}","uid":"u-{name}","resourceVersion":"5"}},{rest}}}"#)
    }

    fn list(pods: &[String]) -> Reply {
        let text = format!(
            r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"resourceVersion":"9"}},"items":[{}]}}"#,
            pods.join(",")
        );
        Reply::whole("200 OK", "", &text)
    }

    async fn events(server: &Server, count: usize) -> Vec<String> {
        let (sender, mut events) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        server.cluster(quick()).watch(&sender).into_iter().for_each(|w| drop(tasks.spawn(w)));
        let mut seen = Vec::new();
        while seen.len() < count {
            let event = timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap();
            seen.push(match event {
                Event::Pod(scope, seen) => format!("{scope} {}", seen.pod.name),
                Event::Gone(uid) => format!("gone {uid}"),
                other => format!("{other:?}"),
            });
        }
        seen
    }

    #[tokio::test]
    async fn only_gated_pods_arrive_and_what_is_over_is_gone() {
        let over = format!(r#"{GATED},"status":{{"phase":"Failed"}}"#);
        let pods = [pod("a", GATED), pod("plain", r#""spec":{}"#), pod("over", &over)];
        let left = format!(r#"{{"type":"DELETED","object":{}}}"#, pod("a", GATED)) + "\n";
        let server =
            Server::start(move |head| if head.contains("watch=true") { Reply::head(&left) } else { list(&pods) }).await;
        let expected = ["ListStarted(0)", "0 a", "gone u-over", "ListDone(0)", "gone u-a"];
        assert_eq!(events(&server, 5).await, expected);
    }

    #[tokio::test]
    async fn a_server_that_cannot_list_starts_no_sweep() {
        let asked = Arc::new(AtomicUsize::new(0));
        let server = Server::start(move |head| {
            if head.contains("watch=true") {
                Reply::head("")
            } else if asked.fetch_add(1, Ordering::Relaxed) < 2 {
                Reply::whole("500 Internal Server Error", "", "{}")
            } else {
                list(&[pod("a", GATED)])
            }
        })
        .await;
        assert_eq!(events(&server, 3).await, ["ListStarted(0)", "0 a", "ListDone(0)"]);
    }

    #[tokio::test]
    async fn a_watch_that_says_nothing_is_opened_again_on_a_new_connection() {
        let opened = Arc::new(AtomicUsize::new(0));
        let change = format!(r#"{{"type":"MODIFIED","object":{}}}"#, pod("late", GATED)) + "\n";
        let server = Server::start(move |head| {
            if !head.contains("watch=true") {
                list(&[])
            } else if opened.fetch_add(1, Ordering::Relaxed) == 0 {
                Reply::head("")
            } else {
                assert!(head.contains("resourceVersion=9"), "it goes on where it stopped");
                Reply::head(&change)
            }
        })
        .await;
        assert_eq!(events(&server, 3).await, ["ListStarted(0)", "ListDone(0)", "0 late"]);
    }

    #[tokio::test]
    async fn a_watch_that_is_refused_with_410_is_listed_anew() {
        let opened = Arc::new(AtomicUsize::new(0));
        let gone = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}"#;
        let server = Server::start(move |head| {
            if !head.contains("watch=true") {
                list(&[])
            } else if opened.fetch_add(1, Ordering::Relaxed) == 0 {
                Reply::whole("410 Gone", "", gone)
            } else {
                Reply::head("")
            }
        })
        .await;
        let expected = ["ListStarted(0)", "ListDone(0)", "ListStarted(0)", "ListDone(0)"];
        assert_eq!(events(&server, 4).await, expected);
    }

    #[tokio::test]
    async fn a_watch_that_is_cut_at_once_is_not_opened_in_a_hot_loop() {
        let change = format!(r#"{{"type":"MODIFIED","object":{}}}"#, pod("late", GATED)) + "\n";
        let opened = Arc::new(AtomicUsize::new(0));
        let server = Server::start(move |head| {
            if !head.contains("watch=true") {
                list(&[])
            } else if opened.fetch_add(1, Ordering::Relaxed) < 3 {
                Reply::whole("200 OK", "", "")
            } else {
                Reply::head(&change)
            }
        })
        .await;
        let begin = Instant::now();
        assert_eq!(events(&server, 3).await, ["ListStarted(0)", "ListDone(0)", "0 late"]);
        // Openings are a quarter, a half and a whole second apart at least.
        assert!(begin.elapsed() > Duration::from_millis(1600), "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn a_server_that_asks_for_time_is_given_it() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let times = Arc::clone(&asked);
        let server = Server::start(move |head| {
            if head.contains("watch=true") {
                return Reply::head("");
            }
            let mut times = times.lock().unwrap();
            times.push(Instant::now());
            if times.len() == 1 { Reply::whole("429 Too Many Requests", "Retry-After: 2\r\n", "") } else { list(&[]) }
        })
        .await;
        assert_eq!(events(&server, 2).await, ["ListStarted(0)", "ListDone(0)"]);
        let times = asked.lock().unwrap().clone();
        assert!(times[1] - times[0] >= Duration::from_secs(2), "{times:?}");
    }

    #[test]
    fn a_server_that_forgot_after_an_outage_is_listed_soon_but_not_again_and_again() {
        let (events, _receiver) = mpsc::channel(1);
        let watch = Watch {
            scope: 0,
            namespace: None,
            selector: None,
            seconds: 45,
            url: "https://api".into(),
            health: Arc::new(WatchHealth::new(&[])),
            events,
        };
        let gone = Error::WatchError(Box::new(kube::core::Status { code: 410, ..kube::core::Status::default() }));
        let mut told = Told { kind: Some(Kind::NotListening), wait: Told::MAX, ..Told::default() };
        watch.tell(&gone, &mut told);
        assert!(told.wait() <= Told::FIRST);
        assert_eq!(told.kind, Some(Kind::NotListening), "what was logged is still to be taken back");
        watch.tell(&gone, &mut told);
        assert!(told.wait() >= Told::FIRST, "the wait grows");
    }

    #[test]
    fn waits_grow_with_jitter_and_stay_below_their_cap() {
        let mut told = Told::default();
        let waits: Vec<_> = (0..20).map(|_| told.wait()).collect();
        assert!(waits[0] <= Told::FIRST);
        assert!(waits[10..].iter().all(|w| *w >= Told::MAX / 2 && *w <= Told::MAX));
        assert!(waits[10..].iter().any(|w| *w != waits[10]), "no jitter");
    }
}
