//! The labels of namespaces, for checks that select by them: metadata only, and optional.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    core::PartialObjectMeta,
    runtime::watcher::{self, Error},
};
use tokio::{sync::mpsc, time::sleep};

use super::explain::{Asked, Kind, Trouble, explain, said};
use crate::dispatch::Event;

/// Namespaces a list page.
const PAGE: u32 = 250;
/// The longest wait before the next attempt.
const MAX: Duration = Duration::from_secs(5);
/// How long to wait where the right is missing: nobody waits for it.
const FORBIDDEN: Duration = Duration::from_mins(1);

const LIST: Asked = Asked { verb: "list", resource: "namespaces", grant: "list and watch on namespaces" };
const WATCH: Asked = Asked { verb: "watch", ..LIST };

/// The watch of all namespaces.
pub(super) struct Namespaces {
    pub(super) seconds: u32,
    pub(super) url: Arc<str>,
    pub(super) events: mpsc::Sender<Event>,
}

impl Namespaces {
    /// Watches until the receiver is gone.
    pub(super) async fn run(self, client: Client) {
        let api: Api<PartialObjectMeta<Namespace>> = Api::all(client);
        let config =
            watcher::Config { timeout: Some(self.seconds), page_size: Some(PAGE), ..watcher::Config::default() };
        let begin = || watcher::watcher(api.clone(), config.clone());
        let mut stream = pin!(begin());
        let mut told = None;
        let mut failures = 0;
        while let Some(next) = stream.next().await {
            match next {
                Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                    self.works(&mut told);
                    failures = 0;
                    let labels = object.metadata.labels.unwrap_or_default().into_iter().collect();
                    let name = object.metadata.name.unwrap_or_default().into();
                    if self.events.send(Event::Namespace(name, labels)).await.is_err() {
                        return;
                    }
                }
                Ok(watcher::Event::Delete(object)) => {
                    let name = object.metadata.name.unwrap_or_default().into();
                    if self.events.send(Event::NamespaceGone(name)).await.is_err() {
                        return;
                    }
                }
                Ok(watcher::Event::Init | watcher::Event::InitDone) => {}
                Err(error) => {
                    failures += 1;
                    if is_expired(&error) {
                        // The watcher lists anew only where the server says so inside a watch, not where it refuses to
                        // open one.
                        stream.set(begin());
                    }
                    let wait = self.tell(&error, &mut told, failures);
                    tokio::select! {
                        () = sleep(wait) => {}
                        () = self.events.closed() => return,
                    }
                }
            }
        }
    }

    /// Logs trouble, once for each kind; how long to wait.
    fn tell(&self, error: &Error, told: &mut Option<Kind>, failures: u32) -> Duration {
        let Trouble { kind, line } = match error {
            Error::InitialListFailed(e) => explain(e, LIST, &self.url),
            Error::WatchStartFailed(e) | Error::WatchFailed(e) => explain(e, WATCH, &self.url),
            Error::WatchError(status) => said(status, WATCH, &self.url),
            Error::NoResourceVersion => {
                Trouble { kind: Kind::Broken, line: format!("{}: a namespace without a resourceVersion", self.url) }
            }
        };
        let forbidden = kind == Kind::Said(403);
        if kind == Kind::Said(410) {
            tracing::debug!("{line}");
        } else if told.replace(kind) != Some(kind) {
            if forbidden {
                tracing::warn!("{line}; until then a check that selects by namespaceLabels selects nothing");
            } else {
                tracing::warn!("{line}");
            }
        }
        if forbidden {
            return FORBIDDEN;
        }
        let whole = Duration::from_millis(500).saturating_mul(1 << failures.min(8).saturating_sub(1)).min(MAX);
        whole.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    fn works(&self, told: &mut Option<Kind>) {
        if told.take().is_some() {
            tracing::info!("{}: watching namespaces again", self.url);
        }
    }
}

/// Whether the server forgot where the watch stood.
fn is_expired(error: &Error) -> bool {
    match error {
        Error::WatchStartFailed(kube::Error::Api(status)) | Error::WatchError(status) => status.code == 410,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use tokio::{task::JoinSet, time::timeout};

    use super::*;
    use crate::cluster::testing::{Reply, Server, quick};

    fn namespace(name: &str, labels: &str) -> String {
        format!(r#"{{"metadata":{{"name":"{name}","resourceVersion":"5","labels":{{{labels}}}}}}}"#)
    }

    #[tokio::test]
    async fn labels_arrive_sorted_with_the_list_and_with_each_change_and_only_metadata_is_asked_for() {
        let list = format!(
            r#"{{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{{"resourceVersion":"9"}},
                "items":[{}]}}"#,
            namespace("shop", r#""b":"2","a":"1""#)
        );
        let change = format!(r#"{{"type":"MODIFIED","object":{}}}"#, namespace("shop", r#""a":"3""#)) + "\n";
        let server = Server::start(move |head| {
            if head.contains("watch=true") { Reply::head(&change) } else { Reply::whole("200 OK", "", &list) }
        })
        .await;
        let (sender, mut events) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        tasks.spawn(server.cluster(quick()).watch_namespaces(&sender).unwrap());
        for expected in [r#"Namespace("shop", [("a", "1"), ("b", "2")])"#, r#"Namespace("shop", [("a", "3")])"#] {
            let event = timeout(Duration::from_secs(20), events.recv()).await.unwrap().unwrap();
            assert_eq!(format!("{event:?}"), expected);
        }
        let heads = server.requests();
        assert!(heads.iter().all(|head| head.starts_with("GET /api/v1/namespaces?")), "{heads:?}");
        assert!(heads.iter().all(|head| head.contains("PartialObjectMetadata")), "{heads:?}");
    }

    #[test]
    fn a_missing_right_is_told_once_and_not_asked_for_again_and_again() {
        let (events, _receiver) = mpsc::channel(1);
        let watch = Namespaces { seconds: 45, url: "https://api".into(), events };
        let status = |code| Error::WatchError(Box::new(kube::core::Status { code, ..kube::core::Status::default() }));
        let mut told = None;
        assert_eq!(watch.tell(&status(403), &mut told, 1), FORBIDDEN);
        assert_eq!(told, Some(Kind::Said(403)));
        assert!(watch.tell(&status(500), &mut told, 100) <= MAX);
    }
}
