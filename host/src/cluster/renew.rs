//! Credentials and certificates change while the host runs. The client itself reads a token's file again once a minute,
//! and the authority's only in a pod of the cluster. Here, after a request that was not let in or not answered, all files
//! are looked at again, and where one has changed the client is made anew of what they say now.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::{Client, client::Body};
use sha2::{Digest as _, Sha256};
use tokio::{sync::Mutex, time::Instant};
use tower::{BoxError, Service};

use super::{
    ConnectError, Limits,
    client::{Places, Settings, connect, settings},
};

/// The shortest time between two looks at the files.
const PAUSE: Duration = Duration::from_secs(1);

/// The service beneath all requests.
#[derive(Clone)]
pub(super) struct Renewing {
    limits: Limits,
    /// Where to look again; nothing where the settings never change.
    from: Option<(Places, Option<String>)>,
    state: Arc<Mutex<State>>,
}

struct State {
    client: Client,
    files: Vec<PathBuf>,
    /// What the files held when the client was made of them.
    held: Held,
    /// What they held when nothing could be made of them.
    useless: Option<Held>,
    looked: Option<Instant>,
    /// Whether a request failed in a way that other settings may mend.
    suspect: bool,
}

/// The digest of each file that can be read.
type Held = Vec<Option<[u8; 32]>>;

fn held(files: &[PathBuf]) -> Held {
    files.iter().map(|file| fs::read(file).ok().map(|bytes| Sha256::digest(bytes).into())).collect()
}

impl Renewing {
    pub(super) fn new(Settings { config, files, from }: Settings, limits: Limits) -> Result<Self, ConnectError> {
        let held = held(&files);
        let client = connect(config, limits)?;
        let state = State { client, files, held, useless: None, looked: None, suspect: false };
        Ok(Self { limits, from, state: Arc::new(Mutex::new(state)) })
    }

    /// The client for the next request.
    async fn client(&self) -> Client {
        let mut state = self.state.lock().await;
        if let Some((places, context)) = &self.from
            && state.suspect
            && state.looked.is_none_or(|at| at.elapsed() >= PAUSE)
        {
            state.looked = Some(Instant::now());
            state.suspect = false;
            let now = held(&state.files);
            if now != state.held && state.useless.as_ref() != Some(&now) {
                let found = settings(places.clone(), context.clone()).await;
                state.renew(found, now, self.limits);
            }
        }
        state.client.clone()
    }
}

impl State {
    /// Takes new settings over. Where they cannot be used, as those of a file that is half written, nothing changes.
    fn renew(&mut self, found: Result<Settings, ConnectError>, now: Held, limits: Limits) {
        let made = found.and_then(|Settings { config, files, .. }| Ok((connect(config, limits)?, files)));
        match made {
            Ok((client, files)) => {
                self.held = if files == self.files { now } else { held(&files) };
                (self.client, self.files, self.useless) = (client, files, None);
                tracing::info!("credentials or certificates have changed: going on with the new ones");
            }
            Err(error) => {
                let error = anyhow::Error::from(error);
                tracing::warn!("credentials or certificates have changed and cannot be used: {error:#}");
                self.useless = Some(now);
            }
        }
    }
}

impl Service<Request<Body>> for Renewing {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let answer = this.client().await.send(request).await;
            if answer.as_ref().map_or(true, |answer| answer.status() == StatusCode::UNAUTHORIZED) {
                this.state.lock().await.suspect = true;
            }
            answer.map_err(Into::into)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::path::Path;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::cluster::{
        Cluster, Options,
        testing::{Reply, Server, quick},
    };

    fn kubeconfig(dir: &Path, server: &str) -> PathBuf {
        let path = dir.join("config");
        let text = format!(
            r#"{{"clusters": [{{"name": "c", "cluster": {{"server": "{server}"}}}}],
                "users": [{{"name": "u", "user": {{"tokenFile": "{}"}}}}],
                "contexts": [{{"name": "c", "context": {{"cluster": "c", "user": "u"}}}}], "current-context": "c"}}"#,
            dir.join("token").display()
        );
        fs::write(&path, text).unwrap();
        path
    }

    async fn cluster(file: PathBuf) -> Cluster {
        let places = Places { explicit: Some(file), ..Places::default() };
        Cluster::new(settings(places, None).await.unwrap(), Options::default(), quick()).unwrap()
    }

    async fn ask(cluster: &Cluster) -> bool {
        let request = Request::get("/version").body(Vec::new()).unwrap();
        cluster.client.request_text(request).await.is_ok()
    }

    async fn works_soon(cluster: &Cluster) {
        let asking = async {
            while !ask(cluster).await {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(20), asking).await.unwrap();
    }

    #[tokio::test]
    async fn a_token_that_is_replaced_after_it_was_refused_is_used_within_seconds() {
        let server = Server::start(|head| {
            let known = head.to_lowercase().contains("authorization: bearer new");
            Reply::whole(if known { "200 OK" } else { "401 Unauthorized" }, "", "{}")
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("token"), "old").unwrap();
        let cluster = cluster(kubeconfig(dir.path(), server.url())).await;
        assert!(!ask(&cluster).await);
        fs::write(dir.path().join("token"), "new").unwrap();
        works_soon(&cluster).await;
    }

    #[tokio::test]
    async fn settings_that_cannot_be_used_change_nothing_and_the_next_ones_do() {
        let server = Server::start(|_| Reply::whole("200 OK", "", "{}")).await;
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("token"), "t").unwrap();
        let file = kubeconfig(dir.path(), "http://127.0.0.1:1");
        let cluster = cluster(file.clone()).await;
        assert!(!ask(&cluster).await);
        fs::write(&file, "{").unwrap();
        assert!(!ask(&cluster).await);
        kubeconfig(dir.path(), server.url());
        works_soon(&cluster).await;
    }
}
