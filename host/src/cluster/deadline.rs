//! Every request ends: a layer around the client's service, which has no deadlines of its own.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout_at};
use tower::{BoxError, Layer, Service};

use super::{health::WatchHealth, outcome::retry_after};

/// The server took longer than it may.
#[derive(Debug, thiserror::Error)]
#[error("no complete answer within {limit:?}")]
pub(super) struct TooSlow {
    limit: Duration,
}

/// Marks the requests of a watch that is paced by itself and heard by nobody else, whatever its path.
#[derive(Clone)]
pub(super) struct Own(pub(super) Arc<WatchHealth>);

/// Puts a deadline on the head of every answer, and on the whole of every answer but a watch's. What arrives on a watch
/// is told to [`WatchHealth`], and for how long the server wants none; it says when a watch may be opened.
#[derive(Clone)]
pub(super) struct Deadline {
    pub(super) limit: Duration,
    pub(super) health: Arc<WatchHealth>,
}

impl<S> Layer<S> for Deadline {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded { inner, deadline: self.clone() }
    }
}

/// The service that [`Deadline`] makes.
pub(super) struct Bounded<S> {
    inner: S,
    deadline: Deadline,
}

impl<S, R, B> Service<Request<R>> for Bounded<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<BoundedBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: Request<R>) -> Self::Future {
        let Deadline { limit, health } = self.deadline.clone();
        let health = request.extensions().get::<Own>().map_or(health, |own| Arc::clone(&own.0));
        let scope = health.scope(request.uri().path());
        let watch = request.uri().query().is_some_and(|q| q.split('&').any(|p| p == "watch=true"));
        let wait = scope.filter(|_| watch).map_or(Duration::ZERO, |scope| health.opening(scope));
        let answer = self.inner.call(request);
        Box::pin(async move {
            sleep(wait).await;
            let end = Instant::now() + limit;
            let response = timeout_at(end, answer).await.map_err(|_| TooSlow { limit })?.map_err(Into::into)?;
            if let (Some(scope), Some(wait)) = (scope, held(&response)) {
                health.hold(scope, wait);
            }
            let heard = scope.filter(|_| response.status().is_success()).map(|scope| (health, scope));
            Ok(response.map(|inner| {
                let body = BoundedBody { inner, limit, end: (!watch).then(|| Box::pin(sleep_until(end))), heard };
                body.hear();
                body
            }))
        })
    }
}

/// How long a server that has too much to do asks to be left alone.
fn held<B>(response: &Response<B>) -> Option<Duration> {
    let is_busy = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    is_busy.then(|| retry_after(response.headers(), SystemTime::now()))?
}

/// An answer's body that fails once its time is over.
pub(super) struct BoundedBody<B> {
    inner: B,
    limit: Duration,
    /// Nothing for a watch.
    end: Option<Pin<Box<Sleep>>>,
    heard: Option<(Arc<WatchHealth>, usize)>,
}

impl<B> BoundedBody<B> {
    fn hear(&self) {
        if let Some((health, scope)) = &self.heard {
            health.hear(*scope);
        }
    }
}

impl<B> Body for BoundedBody<B>
where
    B: Body + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            if matches!(frame, Some(Ok(_))) {
                self.hear();
            }
            return Poll::Ready(frame.map(|f| f.map_err(Into::into)));
        }
        let limit = self.limit;
        match &mut self.end {
            None => Poll::Pending,
            Some(end) => {
                ready!(end.as_mut().poll(cx));
                Poll::Ready(Some(Err(TooSlow { limit }.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use http_body_util::BodyExt as _;
    use kube::client::Body as Empty;
    use tokio::time::timeout;

    use super::*;
    use crate::cluster::{
        explain::{Kind, LIST, explain},
        testing::{Reply, Server, quick},
    };

    const LONG: Duration = Duration::from_secs(20);

    async fn list(server: &Server) -> Kind {
        let request = Request::get("/api/v1/pods?limit=250").body(Vec::new()).unwrap();
        let client = server.cluster(quick()).client;
        let error = timeout(LONG, client.request_text(request)).await.unwrap().unwrap_err();
        explain(&error, LIST, "").kind
    }

    #[tokio::test]
    async fn a_list_that_is_never_answered_ends() {
        let server = Server::start(|_| Reply::Silence).await;
        assert_eq!(list(&server).await, Kind::TooSlow);
    }

    #[tokio::test]
    async fn a_list_that_stalls_in_the_middle_ends() {
        let server = Server::start(|_| Reply::head(r#"{"items":["#)).await;
        assert_eq!(list(&server).await, Kind::TooSlow);
    }

    #[tokio::test]
    async fn a_watch_that_is_never_opened_ends() {
        let server = Server::start(|_| Reply::Silence).await;
        let request = Request::get("/api/v1/pods?watch=true").body(Empty::empty()).unwrap();
        let client = server.cluster(quick()).client;
        let error = timeout(LONG, client.send(request)).await.unwrap().unwrap_err();
        assert_eq!(explain(&error, LIST, "").kind, Kind::TooSlow);
    }

    #[tokio::test]
    async fn an_open_watch_outlives_the_deadline_and_counts_as_heard() {
        let server = Server::start(|_| Reply::head("{}")).await;
        let limits = crate::cluster::Limits { silence: LONG, ..quick() };
        let cluster = server.cluster(limits);
        let begin = Instant::now();
        let request = Request::get("/api/v1/pods?&watch=true&timeoutSeconds=45").body(Empty::empty()).unwrap();
        let mut body = cluster.client.send(request).await.unwrap().into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "{}");
        assert!(cluster.health.heard_since(0, begin));
        let more = timeout(limits.answer * 3, body.frame()).await;
        assert!(more.is_err(), "the watch ended: {more:?}");
    }
}
