//! What is answered: made up here, or what the API server said, whole or in part.

use bytes::Bytes;
use futures::stream;
use http::{Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// Why a request ends without a whole answer.
pub(super) type Broken = std::io::Error;
/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Broken>;

/// An answer that the API server did not give.
#[derive(Clone, Debug)]
pub struct Answer {
    code: u16,
    headers: Vec<(String, String)>,
    pub(super) body: String,
    open: bool,
}

impl Answer {
    /// A Kubernetes `Status` with this code and the reason that belongs to it.
    pub fn status(code: u16) -> Self {
        let reason = match code {
            401 => "Unauthorized",
            403 => "Forbidden",
            409 => "Conflict",
            410 => "Expired",
            429 => "TooManyRequests",
            500 => "InternalError",
            503 => "ServiceUnavailable",
            504 => "Timeout",
            _ => "Unknown",
        };
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("{code} by the fault proxy"), "reason": reason, "code": code,
        });
        Self { code, headers: Vec::new(), body: status.to_string(), open: false }
    }

    /// 200 with this body.
    pub fn json(body: &Value) -> Self {
        Self { code: 200, headers: Vec::new(), body: body.to_string(), open: false }
    }

    /// 200 with these events of a watch, which then stays open and says nothing more.
    pub fn events(events: &[Value]) -> Self {
        let lines: Vec<_> = events.iter().map(|event| format!("{event}\n")).collect();
        Self { code: 200, headers: Vec::new(), body: lines.concat(), open: true }
    }

    /// With this header as well.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn response(self) -> Result<Response<Body>, Broken> {
        let mut response = Response::builder().status(self.code).header(CONTENT_TYPE, "application/json");
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = Bytes::from(self.body);
        let body = if self.open { first_then_nothing(body) } else { whole(body) };
        response.body(body).map_err(Broken::other)
    }
}

pub(super) fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never| match never {}).boxed_unsync()
}

/// A body that begins with this and never ends.
pub(super) fn first_then_nothing(first: Bytes) -> Body {
    let first = (!first.is_empty()).then(|| Ok(Frame::data(first)));
    let stream = futures::StreamExt::chain(stream::iter(first), stream::pending());
    StreamBody::new(stream).boxed_unsync()
}

/// A body that begins with this and then breaks, once the beginning is on its way.
fn first_then_broken(first: Bytes) -> Body {
    let stream = stream::unfold(Some(first), async |first| match first {
        Some(first) if !first.is_empty() => Some((Ok(Frame::data(first)), Some(Bytes::new()))),
        Some(_) => {
            // The server writes what it has before it asks again.
            tokio::task::yield_now().await;
            Some((Err(Broken::other("cut by a fault")), None))
        }
        None => None,
    });
    StreamBody::new(stream).boxed_unsync()
}

/// The head as it is and half of the body, whose whole length is told where it ends by itself.
pub(super) async fn truncated(answer: Response<Incoming>, is_watch: bool) -> Result<Response<Body>, Broken> {
    let (mut head, mut body) = answer.into_parts();
    let all = if is_watch {
        let first = body.frame().await.transpose().map_err(Broken::other)?.and_then(|frame| frame.into_data().ok());
        first.unwrap_or_default()
    } else {
        let all = body.collect().await.map_err(Broken::other)?.to_bytes();
        head.headers.remove(http::header::TRANSFER_ENCODING);
        head.headers.insert(http::header::CONTENT_LENGTH, all.len().into());
        all
    };
    Ok(Response::from_parts(head, first_then_broken(all.slice(..all.len() / 2))))
}

/// The body as it comes, frame by frame. Of a watch: until last words are to be said between two of its events.
pub(super) fn passed_on(answer: Response<Incoming>, last_words: Option<broadcast::Receiver<Bytes>>) -> Response<Body> {
    let (head, body) = answer.into_parts();
    let Some(last_words) = last_words.filter(|_| head.status == StatusCode::OK) else {
        return Response::from_parts(head, body.map_err(Broken::other).boxed_unsync());
    };
    let state = Some((body, last_words, true));
    let stream = stream::unfold(state, async |state| {
        let (mut body, mut last_words, whole) = state?;
        tokio::select! {
            biased;
            Ok(words) = last_words.recv(), if whole => Some((Ok(Frame::data(words)), None)),
            frame = body.frame() => {
                let frame = frame?.map_err(Broken::other);
                // An event that is longer than a chunk comes in several.
                let whole = frame.as_ref().is_ok_and(|f| f.data_ref().is_none_or(|data| data.ends_with(b"\n")));
                Some((frame, Some((body, last_words, whole))))
            }
        }
    });
    Response::from_parts(head, StreamBody::new(stream).boxed_unsync())
}
