//! One pod with all that the API server knows about its readiness: read once, judged elsewhere.

use std::collections::BTreeMap;

use futures::join;
use http::Request;
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::Event, policy::v1::PodDisruptionBudget},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, MicroTime, Time},
};
use kube::{
    Api,
    api::ListParams,
    core::{Selector, SelectorExt as _},
};

use super::{
    Cluster,
    events::CONTROLLER,
    explain::{Asked, Kind, explain},
    writers,
};
use crate::pod::{Pod, Seen};

const GET: Asked = Asked { verb: "get", resource: "pods", grant: "get on pods" };
const BUDGETS: Asked =
    Asked { verb: "list", resource: "poddisruptionbudgets", grant: "list on policy/poddisruptionbudgets" };
const EVENTS: Asked = Asked { verb: "list", resource: "events", grant: "list on events" };

/// A pod and what stands around it.
#[derive(Clone, Debug, Default)]
pub struct Inspected {
    /// The pod.
    pub seen: Seen,
    /// The field manager that last wrote the status of each condition, by the condition's type.
    pub writers: BTreeMap<String, String>,
    /// The budgets that select the pod.
    pub budgets: Vec<Budget>,
    /// The host's Events on the pod, oldest first.
    pub events: Vec<Told>,
    /// What could not be read, and the mend: one line each.
    pub unread: Vec<String>,
}

/// A `PodDisruptionBudget` as its controller counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Its name.
    pub name: String,
    /// `unhealthyPodEvictionPolicy: AlwaysAllow`: it never keeps a pod that is not Ready.
    pub always_allow: bool,
    /// How many pods may be evicted now.
    pub allowed: i32,
    /// How many of its pods are Ready.
    pub healthy: i32,
    /// How many must be.
    pub desired: i32,
    /// Its controller has counted its latest version.
    pub counted: bool,
}

/// One Event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// When it last happened, in Unix milliseconds.
    pub at: Option<i64>,
    /// `Normal` or `Warning`.
    pub kind: String,
    /// For machines.
    pub reason: String,
    /// For people.
    pub message: String,
    /// How often it happened.
    pub count: i32,
}

/// Why a pod cannot be looked at. One line, with the mend.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is no such pod.
    #[error("no pod {name} in namespace {namespace}: see `kubectl get pods`, and give -n for another namespace")]
    NoPod {
        /// Where it was looked for.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The server cannot be asked, or does not answer.
    #[error("{0}")]
    Unreadable(String),
}

impl Cluster {
    /// Reads a pod, and of what stands around it all that the user may read.
    ///
    /// # Errors
    /// There is no such pod, or it cannot be read. That only the rest cannot be read is told in
    /// [`Inspected::unread`].
    pub async fn inspect(&self, namespace: &str, name: &str) -> Result<Inspected, InspectError> {
        let text = self.pod_text(namespace, name).await?;
        let unreadable = |e| InspectError::Unreadable(format!("pods: get: {}: the answer is no pod: {e}", self.url));
        let seen: Seen = serde_json::from_str(&text).map_err(unreadable)?;
        let writers = writers::of(&text).map_err(unreadable)?;
        let (budgets, events) = join!(self.budgets_of(&seen.pod), self.events_of(&seen.pod));
        let mut unread = Vec::new();
        let budgets = budgets.unwrap_or_else(|line| keep(&mut unread, line));
        let events = events.unwrap_or_else(|line| keep(&mut unread, line));
        Ok(Inspected { seen, writers, budgets, events, unread })
    }

    async fn pod_text(&self, namespace: &str, name: &str) -> Result<String, InspectError> {
        let request = Request::get(format!("/api/v1/namespaces/{namespace}/pods/{name}"))
            .body(Vec::new())
            .map_err(|e| InspectError::Unreadable(format!("{namespace}/{name}: no request can be made of it: {e}")))?;
        self.client.request_text(request).await.map_err(|error| {
            let trouble = explain(&error, GET, &self.url);
            if trouble.kind == Kind::Said(404) {
                return InspectError::NoPod { namespace: namespace.to_owned(), name: name.to_owned() };
            }
            InspectError::Unreadable(trouble.line)
        })
    }

    async fn budgets_of(&self, pod: &Pod) -> Result<Vec<Budget>, String> {
        let api: Api<PodDisruptionBudget> = Api::namespaced(self.client.clone(), &pod.namespace);
        let all = api.list(&ListParams::default()).await.map_err(|e| explain(&e, BUDGETS, &self.url).line)?;
        let labels = pod.labels.iter().cloned().collect();
        Ok(all.items.into_iter().filter(|b| selects(b, &labels)).map(budget).collect())
    }

    async fn events_of(&self, pod: &Pod) -> Result<Vec<Told>, String> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &pod.namespace);
        let wanted = format!("involvedObject.uid={},reportingComponent={CONTROLLER}", pod.uid);
        let all = api.list(&ListParams::default().fields(&wanted)).await;
        let all = all.map_err(|e| explain(&e, EVENTS, &self.url).line)?;
        let mut events: Vec<_> = all.items.into_iter().map(told).collect();
        events.sort_by_key(|event| event.at);
        Ok(events)
    }
}

fn keep<T>(unread: &mut Vec<String>, line: String) -> Vec<T> {
    unread.push(line);
    Vec::new()
}

/// Without a selector a budget selects nothing, with an empty one every pod. One that this client does not understand
/// was refused by the server.
fn selects(budget: &PodDisruptionBudget, labels: &BTreeMap<String, String>) -> bool {
    let matches = |selector: LabelSelector| Selector::try_from(selector).is_ok_and(|s| s.matches(labels));
    budget.spec.as_ref().and_then(|spec| spec.selector.clone()).is_some_and(matches)
}

fn budget(object: PodDisruptionBudget) -> Budget {
    let spec = object.spec.unwrap_or_default();
    let status = object.status.unwrap_or_default();
    Budget {
        name: object.metadata.name.unwrap_or_default(),
        always_allow: spec.unhealthy_pod_eviction_policy.as_deref() == Some("AlwaysAllow"),
        allowed: status.disruptions_allowed,
        healthy: status.current_healthy,
        desired: status.desired_healthy,
        counted: status.observed_generation >= object.metadata.generation,
    }
}

/// Events of either API are stored as one and read in both: of the newer one the times are in `eventTime` and
/// `series`.
fn told(event: Event) -> Told {
    let (count, last) = match event.series {
        Some(series) => (series.count, series.last_observed_time),
        None => (event.count, None),
    };
    let micro = |time: MicroTime| time.0;
    let whole = |time: Time| time.0;
    let at = last.or(event.event_time).map(micro).or(event.last_timestamp.map(whole));
    Told {
        at: at.or(event.metadata.creation_timestamp.map(whole)).map(Timestamp::as_millisecond),
        kind: event.type_.unwrap_or_default(),
        reason: event.reason.unwrap_or_default(),
        message: event.message.unwrap_or_default(),
        count: count.unwrap_or(1).max(1),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::cluster::testing::{Reply, Server, quick};

    const POD: &str = r#"{"kind":"Pod","metadata":{"name":"web-0","namespace":"shop","uid":"u-1"}}"#;
    const FORBIDDEN: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no: User \"weak\"",
        "reason":"Forbidden","code":403}"#;
    const NOT_FOUND: &str = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"not found",
        "reason":"NotFound","code":404}"#;

    fn selected(selector: Value) -> bool {
        let object = from_value(json!({ "spec": { "selector": selector } })).unwrap();
        selects(&object, &[("app".to_owned(), "web".to_owned())].into())
    }

    #[test]
    fn a_budget_selects_as_the_server_says() {
        assert!(selected(json!({ "matchLabels": { "app": "web" } })));
        assert!(!selected(json!({ "matchLabels": { "app": "web", "tier": "front" } })));
        let expression = |operator: &str| json!({ "matchExpressions": [{ "key": "tier", "operator": operator }] });
        assert!(selected(expression("DoesNotExist")) && !selected(expression("Exists")));
        assert!(selected(json!({})) && !selected(Value::Null));
    }

    #[test]
    fn a_budget_without_a_policy_keeps_pods_that_are_not_ready() {
        let read = |policy: Value| {
            let status = json!({ "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 2, "expectedPods": 2,
                                 "observedGeneration": 1 });
            let object = json!({ "metadata": { "name": "web", "generation": 1 },
                                 "spec": { "unhealthyPodEvictionPolicy": policy }, "status": status });
            budget(from_value(object).unwrap())
        };
        let web = Budget { name: "web".into(), healthy: 1, desired: 2, counted: true, ..Budget::default() };
        assert_eq!(read(Value::Null), web);
        assert_eq!(read(json!("IfHealthyBudget")), web);
        assert_eq!(read(json!("AlwaysAllow")), Budget { always_allow: true, ..web });
    }

    #[test]
    fn an_event_of_either_api_has_its_last_time_and_its_count() {
        let read = |event: Value| {
            let mut object = json!({ "metadata": {}, "involvedObject": {} });
            object.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
            let told = told(from_value(object).unwrap());
            (told.at.unwrap(), told.count)
        };
        let old = json!({ "lastTimestamp": "1970-01-01T00:00:07Z", "count": 3 });
        assert_eq!(read(old), (7000, 3));
        let new = json!({ "eventTime": "1970-01-01T00:00:01.500000Z" });
        assert_eq!(read(new), (1500, 1));
        let series = json!({ "count": 9, "lastObservedTime": "1970-01-01T00:00:09.000000Z" });
        assert_eq!(read(json!({ "eventTime": "1970-01-01T00:00:01.000000Z", "series": series })), (9000, 9));
    }

    #[tokio::test]
    async fn what_the_user_may_not_read_is_a_note_and_no_failure() {
        let reply = |head: &str| {
            let pod = head.starts_with("GET /api/v1/namespaces/shop/pods/web-0 ");
            if pod { Reply::whole("200 OK", "", POD) } else { Reply::whole("403 Forbidden", "", FORBIDDEN) }
        };
        let server = Server::start(reply).await;
        let inspected = server.cluster(quick()).inspect("shop", "web-0").await.unwrap();
        assert_eq!(inspected.seen.pod.uid, "u-1");
        assert_eq!(inspected.unread.len(), 2);
        assert!(inspected.unread[0].ends_with("; grant list on policy/poddisruptionbudgets"), "{inspected:?}");
        let events = server.requests().into_iter().find(|r| r.contains("/events?")).unwrap();
        assert!(events.contains("involvedObject.uid%3Du-1%2CreportingComponent%3Dgatehost.dev%2Fgatehost"), "{events}");
    }

    #[tokio::test]
    async fn no_such_pod_and_no_access_are_told_apart() {
        let server = Server::start(|_| Reply::whole("404 Not Found", "", NOT_FOUND)).await;
        let error = server.cluster(quick()).inspect("shop", "web-0").await.unwrap_err();
        assert!(matches!(&error, InspectError::NoPod { .. }), "{error}");
        let server = Server::start(|_| Reply::whole("403 Forbidden", "", FORBIDDEN)).await;
        let error = server.cluster(quick()).inspect("shop", "web-0").await.unwrap_err();
        assert!(matches!(&error, InspectError::Unreadable(line) if line.ends_with("; grant get on pods")), "{error}");
    }
}
