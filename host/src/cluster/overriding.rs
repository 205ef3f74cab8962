//! What `gatehost override` asks of the API server: the pod, its annotation, and what a host said to it.

use http::{Request, header::CONTENT_TYPE};
use k8s_openapi::{List, api::core::v1::Event};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    Cluster,
    explain::{Asked, Kind, explain, one_line},
};
use crate::{
    decide::overrides::ANNOTATION,
    pod::{Pod, Seen},
};

/// The owner of the annotation in `managedFields`.
const MANAGER: &str = "gatehost-override";

/// The reason of the Event by which a host refuses.
const REFUSED: &str = "OverrideRefused";

const GET: Asked = Asked { verb: "get", resource: "pods", grant: "get on pods" };
const ANNOTATE: Asked = Asked {
    verb: "patch",
    resource: "pods",
    grant: "patch on pods, and on pods/status where the policy of host/deploy guards the annotation",
};

/// Why the API server did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such pod.
    #[error("{namespace}/{name}: no such pod: name one that `kubectl get pods -n {namespace}` lists")]
    NoPod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The user may not, or somebody forbids it; the line says what to grant.
    #[error("{0}")]
    Denied(String),
    /// The pod changed since it was read: read it again.
    #[error("{0}")]
    Changed(String),
    /// The server could not be asked, or broke.
    #[error("{0}")]
    Failed(String),
}

/// What a host said when it refused an override.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusalEvent {
    /// When, as RFC 3339; empty where the Event does not say.
    pub at: String,
    /// Its words in one line.
    pub note: String,
}

impl Cluster {
    /// Reads one pod.
    pub async fn read_pod(&self, namespace: &str, name: &str) -> Result<Seen, AskError> {
        let request = Request::get(path(namespace, name)).body(Vec::new());
        self.ask(request, GET, namespace, name).await
    }

    /// Sets the override annotation of exactly the pod that was `seen`, or takes it away; the pod as it is then.
    ///
    /// # Errors
    /// [`AskError::Changed`] where anything of the pod changed since, so that nobody's entry is lost.
    pub async fn annotate_override(&self, seen: &Seen, text: Option<&str>) -> Result<Seen, AskError> {
        let Pod { namespace, name, .. } = &seen.pod;
        let request = Request::patch(format!("{}?fieldManager={MANAGER}", path(namespace, name)))
            .header(CONTENT_TYPE, "application/merge-patch+json")
            .body(body(seen, text).to_string().into_bytes());
        self.ask(request, ANNOTATE, namespace, name).await
    }

    /// The newest Event by which a host refused an override of this pod; nothing where there is none or the user may
    /// not list Events.
    pub async fn override_refusal(&self, pod: &Pod) -> Option<RefusalEvent> {
        let selector = format!("involvedObject.uid%3D{}%2Creason%3D{REFUSED}", pod.uid);
        let target = format!("/api/v1/namespaces/{}/events?fieldSelector={selector}", pod.namespace);
        let request = Request::get(target).body(Vec::new()).ok()?;
        let list: List<Event> = self.client.request(request).await.ok()?;
        list.items.into_iter().map(told).max_by(|a, b| a.at.cmp(&b.at))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: http::Result<Request<Vec<u8>>>,
        asked: Asked<'_>,
        namespace: &str,
        name: &str,
    ) -> Result<T, AskError> {
        let request = request.map_err(|e| AskError::Failed(format!("{namespace}/{name}: no request: {e}")))?;
        self.client.request(request).await.map_err(|error| {
            let trouble = explain(&error, asked, self.url());
            match trouble.kind {
                Kind::Said(404) => AskError::NoPod { namespace: namespace.to_owned(), name: name.to_owned() },
                Kind::Said(401 | 403 | 422) => AskError::Denied(trouble.line),
                Kind::Said(409) => AskError::Changed(trouble.line),
                _ => AskError::Failed(trouble.line),
            }
        })
    }
}

fn path(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods/{name}")
}

/// A JSON merge patch of the annotation alone. The uid and the version are what it must still have.
fn body(seen: &Seen, text: Option<&str>) -> Value {
    json!({ "metadata": {
        "uid": seen.pod.uid,
        "resourceVersion": seen.resource_version,
        "annotations": { ANNOTATION: text },
    }})
}

/// Events come from two APIs, which tell the time in different fields.
fn told(event: Event) -> RefusalEvent {
    let last = event.series.and_then(|series| series.last_observed_time).or(event.event_time).map(|t| t.0);
    let at = last.or(event.last_timestamp.map(|t| t.0)).or(event.metadata.creation_timestamp.map(|t| t.0));
    RefusalEvent {
        at: at.map(|t| format!("{t:.0}")).unwrap_or_default(),
        note: one_line(&event.message.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::cluster::testing::{Reply, Server, quick};

    const POD: &str = r#"{"metadata":{"namespace":"shop","name":"web-0","uid":"u-1","resourceVersion":"7"},
        "spec":{"readinessGates":[{"conditionType":"a.io/b"}]},"status":{"phase":"Running"}}"#;

    fn said(code: u16, reason: &str) -> String {
        format!(r#"{{"kind":"Status","status":"Failure","message":"told so","reason":"{reason}","code":{code}}}"#)
    }

    async fn asked(answer: &str, body: String) -> AskError {
        let answer = answer.to_owned();
        let server = Server::start(move |_| Reply::whole(&answer, "", &body)).await;
        let seen: Seen = serde_json::from_str(POD).unwrap();
        server.cluster(quick()).annotate_override(&seen, Some("{}")).await.unwrap_err()
    }

    #[test]
    fn the_patch_holds_what_the_pod_must_still_be() {
        let seen: Seen = serde_json::from_str(POD).unwrap();
        let set = r#"{"metadata":{"annotations":{"gatehost.dev/override":"{}"},"resourceVersion":"7","uid":"u-1"}}"#;
        assert_eq!(body(&seen, Some("{}")), serde_json::from_str::<Value>(set).unwrap());
        assert_eq!(body(&seen, None)["metadata"]["annotations"][ANNOTATION], Value::Null);
    }

    #[tokio::test]
    async fn the_annotation_is_a_merge_patch_of_the_pod() {
        let server = Server::start(|_| Reply::whole("200 OK", "", POD)).await;
        let cluster = server.cluster(quick());
        let seen = cluster.read_pod("shop", "web-0").await.unwrap();
        assert_eq!(cluster.annotate_override(&seen, None).await.unwrap().pod.uid, "u-1");
        let requests = server.requests();
        assert!(requests[0].starts_with("GET /api/v1/namespaces/shop/pods/web-0 HTTP"), "{}", requests[0]);
        let patch = requests[1].to_lowercase();
        assert!(patch.starts_with("patch /api/v1/namespaces/shop/pods/web-0?fieldmanager=gatehost-override http"));
        assert!(patch.contains("content-type: application/merge-patch+json\r\n"), "{patch}");
    }

    #[tokio::test]
    async fn what_the_server_says_is_told_apart_by_type() {
        let error = asked("404 Not Found", said(404, "NotFound")).await;
        assert!(matches!(&error, AskError::NoPod { .. }), "{error}");
        assert!(matches!(asked("409 Conflict", said(409, "Conflict")).await, AskError::Changed(_)));
        assert!(matches!(asked("503 Not Now", said(503, "")).await, AskError::Failed(_)));
        for (answer, code) in [("403 Forbidden", 403), ("422 Unprocessable Entity", 422)] {
            let error = asked(answer, said(code, "Forbidden")).await;
            assert!(matches!(&error, AskError::Denied(line) if line.contains("told so")), "{error}");
        }
        let error = asked("403 Forbidden", said(403, "Forbidden")).await.to_string();
        assert!(error.contains("grant patch on pods, and on pods/status"), "{error}");
    }

    #[tokio::test]
    async fn the_newest_refusal_is_found_and_none_where_events_may_not_be_read() {
        let list = r#"{"kind":"EventList","apiVersion":"v1","metadata":{},"items":[
            {"metadata":{"name":"a"},"involvedObject":{},"message":"old","lastTimestamp":"2026-11-23T16:00:00Z"},
            {"metadata":{"name":"b"},"involvedObject":{},"message":"too\nlong","eventTime":"2026-11-23T17:00:00.5Z"}]}"#;
        let pod = serde_json::from_str::<Seen>(POD).unwrap().pod;
        let server = Server::start(move |_| Reply::whole("200 OK", "", list)).await;
        let newest = server.cluster(quick()).override_refusal(&pod).await.unwrap();
        assert_eq!(newest, RefusalEvent { at: "2026-11-23T17:00:00Z".into(), note: "too long".into() });
        let denied = said(403, "Forbidden");
        let server = Server::start(move |_| Reply::whole("403 Forbidden", "", &denied)).await;
        assert_eq!(server.cluster(quick()).override_refusal(&pod).await, None);
    }
}
