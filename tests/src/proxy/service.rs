//! One request after the other on one connection, each with its fault.

use std::{
    future::pending,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1::SendRequest};
use tokio::{
    sync::{Mutex as AsyncMutex, Notify},
    task::JoinSet,
};

use super::{
    Fault, Kind, Seen, Shared,
    answer::{Body, Broken, first_then_nothing, passed_on, truncated},
    lock,
};

/// The far side of one connection.
pub(super) struct Service {
    shared: Arc<Shared>,
    /// The last request.
    pub(super) last: Mutex<Option<Seen>>,
    reset: Notify,
    /// The connection to the API server, made when it is first needed.
    far: AsyncMutex<Far>,
}

#[derive(Default)]
struct Far {
    sender: Option<SendRequest<Full<Bytes>>>,
    tasks: JoinSet<()>,
}

impl Service {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, last: Mutex::default(), reset: Notify::new(), far: AsyncMutex::default() }
    }

    /// Returns when a fault wants the connection to be reset.
    pub(super) async fn is_to_be_reset(&self) {
        self.reset.notified().await;
    }

    /// An error closes the connection.
    pub(super) async fn call(&self, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
        let (head, body) = request.into_parts();
        let mut seen = Seen::new(&head.method, head.uri.path(), head.uri.query().unwrap_or_default());
        let kind = seen.kind.clone();
        let body = body.collect().await.map_err(Broken::other)?.to_bytes();
        seen.body = serde_json::from_slice(&body).unwrap_or_default();
        *lock(&self.last) = Some(seen.clone());
        // Before the rules are looked at: clearing them right afterwards is not to be missed.
        let mut cleared = self.shared.cleared.subscribe();
        let fault = lock(&self.shared.rules).take(&seen);
        let number = lock(&self.shared.notes).arrived(seen);
        if matches!(fault, Some(Fault::Wait)) {
            cleared.changed().await.map_err(Broken::other)?;
        }
        let request = Request::from_parts(head, Full::new(body));
        let response = self.meet(fault, &kind, request).await?;
        lock(&self.shared.notes).answered(number, response.status().as_u16());
        Ok(response)
    }

    async fn meet(
        &self,
        fault: Option<Fault>,
        kind: &Kind,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Body>, Broken> {
        match fault {
            Some(Fault::Close) => return Err(Broken::other("closed by a fault")),
            Some(Fault::Hold) => return pending().await,
            Some(Fault::Reset) => {
                self.reset.notify_one();
                return pending().await;
            }
            Some(Fault::Answer(answer)) => return answer.response(),
            Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Fault::Wait | Fault::Lose | Fault::Stall | Fault::Truncate) | None => {}
        }
        // Before the watch is opened: nothing is said between.
        let is_watch = request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "watch=true"));
        let last_words = is_watch.then(|| self.shared.last_words.subscribe());
        let answer = self.ask(request).await?;
        match fault {
            Some(Fault::Lose) => {
                // It was done once its answer is whole.
                answer.into_body().collect().await.map_err(Broken::other)?;
                Err(Broken::other("lost by a fault"))
            }
            Some(Fault::Stall) => Ok(answer.map(|_| first_then_nothing(Bytes::new()))),
            Some(Fault::Truncate) => truncated(answer, *kind == Kind::Watch).await,
            _ => Ok(passed_on(answer, last_words)),
        }
    }

    async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Broken> {
        let mut far = self.far.lock().await;
        let open = match &mut far.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !open {
            far.sender = Some(self.shared.upstream.connect(&mut far.tasks).await.map_err(Broken::other)?);
        }
        let sender = far.sender.as_mut().ok_or_else(|| Broken::other("no connection"))?;
        sender.send_request(request).await.map_err(Broken::other)
    }
}
