//! One patch of `pods/status`.

use std::{sync::Arc, time::Duration};

use http::{
    Request,
    header::{ACCEPT, CONTENT_TYPE},
};
use jiff::Timestamp;
use kube::{Client, client::Body};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    explain::{PATCH, explain},
    outcome::outcome,
};
use crate::{
    check::is_reserved,
    decide::Condition,
    dispatch::{Outcome, Patch, Writer},
};

/// The owner of the conditions in `managedFields`.
const MANAGER: &str = "gatehost";

/// What writes conditions.
#[derive(Clone)]
pub enum PodWriter {
    /// To the API server.
    Kube(KubeWriter),
    /// To the log.
    DryRun(DryRun),
}

impl Writer for PodWriter {
    async fn write(&self, patch: Patch) -> Outcome {
        match self {
            Self::Kube(writer) => writer.write(patch).await,
            Self::DryRun(writer) => writer.write(patch).await,
        }
    }
}

/// Logs what would be written.
#[derive(Clone, Copy, Debug)]
pub struct DryRun;

impl Writer for DryRun {
    async fn write(&self, patch: Patch) -> Outcome {
        let pod = format_args!("{}/{}", patch.namespace, patch.name);
        for (gate, Condition { status, reason, message, .. }) in &patch.conditions {
            let status = status.as_str();
            tracing::info!(%pod, %gate, status, reason, detail = message, "would write");
        }
        Outcome::Written(None)
    }
}

/// Writes conditions with a strategic merge, which leaves all other conditions alone, on exactly the pod with the
/// patch's uid. One request a write, within 10 s, never sent twice.
#[derive(Clone)]
pub struct KubeWriter {
    client: Client,
    url: Arc<str>,
    limit: Duration,
}

impl KubeWriter {
    pub(super) fn new(client: Client, url: Arc<str>, limit: Duration) -> Self {
        Self { client, url, limit }
    }

    async fn send(&self, request: Request<Body>, bound: bool) -> Result<Outcome, kube::Error> {
        let (head, body) = self.client.send(request).await?.into_parts();
        let body = body.collect_bytes().await?;
        Ok(outcome(head.status.as_u16(), bound, &head.headers, &body, &self.url))
    }
}

impl Writer for KubeWriter {
    async fn write(&self, patch: Patch) -> Outcome {
        // Dispatch sees to it as well; this is the last place where it can be held up.
        if let Some((gate, _)) = patch.conditions.iter().find(|(gate, _)| is_reserved(gate)) {
            return Outcome::Refused(format!("{gate} belongs to Kubernetes: never written"));
        }
        let request = match request(&patch) {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(format!("no request can be made of the patch: {error:#}")),
        };
        match timeout(self.limit, self.send(request, patch.version.is_some())).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => Outcome::Failed { error: explain(&error, PATCH, &self.url).line, retry_after: None },
            Err(_) => {
                let error = format!("pods/status: patch: {}: no complete answer within {:?}", self.url, self.limit);
                Outcome::Failed { error, retry_after: None }
            }
        }
    }
}

#[derive(Serialize)]
struct StatusPatch<'a> {
    metadata: Meant<'a>,
    status: Conditions<'a>,
}

/// Which pod is meant, and which version of it: the server refuses the patch on any other.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meant<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
}

#[derive(Serialize)]
struct Conditions<'a> {
    conditions: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    r#type: &'a str,
    status: &'static str,
    reason: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_transition_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_generation: Option<u64>,
}

impl<'a> Entry<'a> {
    fn new(kind: &'a str, condition: &'a Condition) -> Self {
        Self {
            r#type: kind,
            status: condition.status.as_str(),
            reason: &condition.reason,
            message: &condition.message,
            last_transition_time: condition.last_transition.and_then(seconds),
            observed_generation: condition.observed_generation,
        }
    }
}

/// The body of a patch.
fn body(patch: &Patch) -> serde_json::Result<Vec<u8>> {
    let conditions = patch.conditions.iter().map(|(kind, c)| Entry::new(kind, c)).collect();
    let metadata = Meant { uid: &patch.uid, resource_version: patch.version.map(|version| version.to_string()) };
    serde_json::to_vec(&StatusPatch { metadata, status: Conditions { conditions } })
}

/// RFC 3339 in whole seconds, as Kubernetes writes times.
fn seconds(millis: i64) -> Option<String> {
    Timestamp::from_second(millis.div_euclid(1000)).ok().map(|t| t.to_string())
}

fn request(patch: &Patch) -> anyhow::Result<Request<Body>> {
    let Patch { namespace, name, .. } = patch;
    let target = format!("/api/v1/namespaces/{namespace}/pods/{name}/status?fieldManager={MANAGER}");
    Ok(Request::patch(target)
        .header(CONTENT_TYPE, "application/strategic-merge-patch+json")
        // Only the metadata comes back, not the pod.
        .header(ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1, application/json")
        .body(body(patch)?.into())?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::{
        cluster::testing::{Reply, Server, patch, quick},
        decide::Status,
    };

    #[test]
    fn the_body_holds_the_uid_and_our_conditions_and_nothing_else() {
        let mut patch = patch();
        let bare = Condition {
            status: Status::Unknown,
            reason: "NoCheck".into(),
            message: String::new(),
            last_transition: None,
            observed_generation: None,
        };
        patch.conditions.push(("example.com/b".into(), bare));
        let text = String::from_utf8(body(&patch).unwrap()).unwrap();
        let warm = [
            r#"{"type":"example.com/a","status":"True","reason":"Warm","message":"it is \"warm\"","#,
            r#""lastTransitionTime":"2026-11-23T16:13:42Z","observedGeneration":3}"#,
        ]
        .concat();
        let none = r#"{"type":"example.com/b","status":"Unknown","reason":"NoCheck","message":""}"#;
        let status = format!(r#""status":{{"conditions":[{warm},{none}]}}"#);
        assert_eq!(text, format!(r#"{{"metadata":{{"uid":"u-1"}},{status}}}"#));
        patch.version = Some(461);
        let text = String::from_utf8(body(&patch).unwrap()).unwrap();
        assert_eq!(text, format!(r#"{{"metadata":{{"uid":"u-1","resourceVersion":"461"}},{status}}}"#));
    }

    #[tokio::test]
    async fn a_write_is_one_strategic_merge_of_the_status_and_tells_the_new_version() {
        let answer = r#"{"kind":"PartialObjectMetadata","metadata":{"name":"p","resourceVersion":"462"}}"#;
        let server = Server::start(move |_| Reply::whole("200 OK", "", answer)).await;
        let outcome = server.cluster(quick()).writer().write(patch()).await;
        assert_eq!(outcome, Outcome::Written(Some(462)));
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        let line = "PATCH /api/v1/namespaces/shop/pods/p/status?fieldManager=gatehost HTTP/1.1\r\n";
        assert!(requests[0].starts_with(line), "{}", requests[0]);
        let head = requests[0].to_lowercase();
        assert!(head.contains("content-type: application/strategic-merge-patch+json\r\n"), "{head}");
        assert!(head.contains("accept: application/json;as=partialobjectmetadata;"), "{head}");
        assert!(head.contains(concat!("user-agent: gatehost/", env!("CARGO_PKG_VERSION"), "\r\n")), "{head}");
    }

    #[tokio::test]
    async fn only_a_patch_that_is_bound_to_a_version_can_conflict() {
        let server = Server::start(|_| Reply::whole("409 Conflict", "", "{}")).await;
        let writer = server.cluster(quick()).writer();
        assert_eq!(writer.write(Patch { version: Some(461), ..patch() }).await, Outcome::Conflict);
        assert!(matches!(writer.write(patch()).await, Outcome::Failed { .. }));
    }

    #[tokio::test]
    async fn a_condition_of_kubernetes_is_never_written() {
        let server = Server::start(|_| Reply::whole("200 OK", "", "{}")).await;
        let mut patch = patch();
        patch.conditions.push(("Ready".into(), patch.conditions[0].1.clone()));
        let outcome = server.cluster(quick()).writer().write(patch).await;
        assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
        assert!(server.requests().is_empty());
    }

    #[tokio::test]
    async fn a_busy_server_is_not_asked_twice() {
        let server = Server::start(|_| Reply::whole("503 Service Unavailable", "Retry-After: 7\r\n", "")).await;
        let outcome = server.cluster(quick()).writer().write(patch()).await;
        assert!(
            matches!(&outcome, Outcome::Failed { retry_after: Some(d), .. } if *d == Duration::from_secs(7)),
            "{outcome:?}"
        );
        assert_eq!(server.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_write_that_is_never_answered_fails_at_its_deadline() {
        for reply in [Reply::Silence, Reply::head("{")] {
            let server = Server::start(move |_| reply.clone()).await;
            let writer = server.cluster(quick()).writer();
            let outcome = timeout(Duration::from_secs(20), writer.write(patch())).await.unwrap();
            assert!(matches!(outcome, Outcome::Failed { retry_after: None, .. }), "{outcome:?}");
        }
    }

    #[tokio::test]
    async fn a_dry_run_asks_the_server_nothing() {
        let server = Server::start(|_| Reply::Silence).await;
        let mut cluster = server.cluster(quick());
        cluster.options.dry_run = true;
        assert_eq!(cluster.writer().write(patch()).await, Outcome::Written(None));
        assert!(server.requests().is_empty());
    }
}
