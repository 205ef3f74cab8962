//! From a kind to what it is called in paths: asked once for each apiVersion, and again where a kind was not known.

use std::{collections::HashMap, sync::Arc};

use http::Request;
use kube::Client;
use serde::Deserialize;
use tokio::{sync::Mutex, time::Instant};

use crate::cluster::explain::{Asked, Kind, Trouble, explain};

/// The kinds of one apiVersion.
pub(super) struct Group {
    client: Client,
    url: Arc<str>,
    api_version: String,
    /// Held while it is asked, so that everybody waits for the same answer.
    known: Mutex<Option<Known>>,
}

struct Known {
    at: Instant,
    kinds: HashMap<String, Resource>,
}

/// A kind, as paths and rights name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Such as `deployments`.
    pub plural: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    resources: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    kind: String,
    #[serde(default)]
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

impl Group {
    pub(super) fn new(client: Client, url: Arc<str>, api_version: &str) -> Self {
        Self { client, url, api_version: api_version.to_owned(), known: Mutex::new(None) }
    }

    /// What a kind is called. An answer from before `since` is asked for anew where it does not name the kind.
    ///
    /// # Errors
    /// There is no such kind, or the server cannot be asked.
    pub(super) async fn resolve(&self, kind: &str, since: Instant) -> Result<Resource, Trouble> {
        let mut known = self.known.lock().await;
        let found = known.as_ref().and_then(|known| known.kinds.get(kind).cloned());
        if let Some(resource) = found {
            return Ok(resource);
        }
        if known.as_ref().is_none_or(|known| known.at < since) {
            *known = Some(Known { at: Instant::now(), kinds: self.ask().await? });
        }
        let kinds = known.as_ref().map(|known| &known.kinds);
        kinds.and_then(|kinds| kinds.get(kind).cloned()).ok_or_else(|| {
            let line = self.not_served(kind, kinds.into_iter().flatten());
            Trouble { kind: Kind::Said(404), line }
        })
    }

    /// What to do about a kind that is not there: a typing error, or something that is not installed.
    fn not_served<'a>(&self, kind: &str, mut kinds: impl Iterator<Item = (&'a String, &'a Resource)>) -> String {
        let means = |(known, resource): &(&String, &Resource)| {
            known.eq_ignore_ascii_case(kind) || resource.plural.eq_ignore_ascii_case(kind)
        };
        let mend = match kinds.find(means) {
            Some((known, _)) => format!("did you mean {known}?"),
            None => "is its CustomResourceDefinition installed?".to_owned(),
        };
        let api_version = &self.api_version;
        format!(
            "the cluster serves no kind {kind} in {api_version} that can be watched; `kubectl api-resources` lists what it \
             serves: {mend}"
        )
    }

    /// Forgets a kind that is gone.
    pub(super) async fn forget(&self, kind: &str) {
        if let Some(known) = &mut *self.known.lock().await {
            known.kinds.remove(kind);
        }
    }

    async fn ask(&self) -> Result<HashMap<String, Resource>, Trouble> {
        let is_core = !self.api_version.contains('/');
        let path = if is_core { "/api/" } else { "/apis/" }.to_owned() + &self.api_version;
        let broken = |line| Trouble { kind: Kind::Broken, line };
        let request = Request::get(&path).body(Vec::new()).map_err(|e| broken(format!("{path}: {e}")))?;
        let text = match self.client.request_text(request).await {
            Ok(text) => text,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(HashMap::new()),
            Err(error) => {
                let asked = Asked { verb: "get", resource: &path, grant: "get on the non-resource URL" };
                return Err(explain(&error, asked, &self.url));
            }
        };
        let answer: Answer =
            serde_json::from_str(&text).map_err(|e| broken(format!("{path}: the answer is no list of kinds: {e}")))?;
        let watchable = |listed: &Listed| {
            let verbs = ["list", "watch"].iter().all(|verb| listed.verbs.iter().any(|v| v == verb));
            // A subresource has a slash; Secrets are shown to nobody.
            verbs && !listed.name.contains('/') && !(is_core && listed.name == "secrets")
        };
        let kinds = answer.resources.into_iter().filter(watchable);
        Ok(kinds.map(|l| (l.kind, Resource { plural: l.name, namespaced: l.namespaced })).collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use super::*;
    use crate::cluster::testing::{Reply, Server, quick};

    const CORE: &str = r#"{"kind":"APIResourceList","groupVersion":"v1","resources":[
        {"name":"secrets","namespaced":true,"kind":"Secret","verbs":["get","list","watch"]},
        {"name":"pods","namespaced":true,"kind":"Pod","verbs":["get","list","watch"]},
        {"name":"pods/eviction","namespaced":true,"kind":"Eviction","verbs":["create","list","watch"]},
        {"name":"bindings","namespaced":true,"kind":"Binding","verbs":["create"]},
        {"name":"nodes","namespaced":false,"kind":"Node","verbs":["list","watch"]}]}"#;

    fn group(server: &Server, api_version: &str) -> Group {
        Group::new(server.cluster(quick()).client, server.url().into(), api_version)
    }

    #[tokio::test]
    async fn many_kinds_of_a_group_are_found_by_one_request_and_secrets_and_subresources_are_none() {
        let server = Server::start(|_| Reply::whole("200 OK", "", CORE)).await;
        let (group, since) = (group(&server, "v1"), Instant::now());
        let (pod, node) = tokio::join!(group.resolve("Pod", since), group.resolve("Node", since));
        assert_eq!(pod.unwrap(), Resource { plural: "pods".into(), namespaced: true });
        assert!(!node.unwrap().namespaced);
        for kind in ["Secret", "secret", "Eviction", "Binding", "pods", "Deployment"] {
            let line = group.resolve(kind, since).await.unwrap_err().line;
            assert!(line.contains(&format!("serves no kind {kind} in v1")), "{line}");
            // A Secret is not offered, however it is written.
            assert_eq!(line.ends_with(": did you mean Pod?"), kind == "pods", "{line}");
            assert!(line.contains("`kubectl api-resources` lists what it serves: "), "{line}");
        }
        assert_eq!(server.requests().len(), 1);
        assert!(server.requests()[0].starts_with("GET /api/v1 "));
    }

    #[tokio::test]
    async fn a_group_that_is_installed_later_is_found() {
        let installed = Arc::new(AtomicBool::new(false));
        let is_there = Arc::clone(&installed);
        let server = Server::start(move |_| {
            if is_there.load(Ordering::Relaxed) {
                return Reply::whole("200 OK", "", &CORE.replace("\"Node\"", "\"Widget\""));
            }
            let status = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}"#;
            Reply::whole("404 Not Found", "", status)
        })
        .await;
        let group = group(&server, "example.com/v1");
        let line = group.resolve("Widget", Instant::now()).await.unwrap_err().line;
        assert!(line.contains("CustomResourceDefinition"), "{line}");
        installed.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(group.resolve("Widget", Instant::now()).await.unwrap().plural, "nodes");
        assert!(server.requests().iter().all(|head| head.starts_with("GET /apis/example.com/v1 ")));
    }
}
