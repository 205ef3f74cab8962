//! Requests over HTTP, to what the check's document lists under `allow.http`.
//!
//! ```no_run
//! # use gatehost_sdk::{Failure, http};
//! # fn warm() -> Result<bool, Failure> {
//! let answer = http::Request::get("http://pod:8080/warm").send()?;
//! Ok(answer.status == 200 && answer.text().contains("warm"))
//! # }
//! ```

use std::{borrow::Cow, time::Duration};

pub use crate::place::{Header, Place, Scheme, host_of, is_header_name};

use crate::{
    Failure,
    bindings::gatehost::check::http,
    quoted,
    reach::{FailureKind, millis},
};

/// A request to be sent once.
#[derive(Clone, Debug)]
pub struct Request(http::Request);

/// An answer, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Whether the body was longer than what was wanted.
    pub cut: bool,
}

impl Request {
    /// A request with any method, in capitals, to an absolute URL; the host `pod` is the pod that is asked about.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self(http::Request {
            method: method.into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
            most_bytes: None,
            extra: Vec::new(),
        })
    }

    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST of this body; set its `content-type` with [`Request::header`].
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", url).body(body)
    }

    /// What is sent, with any method; at most 1 MiB, nothing unless set.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.0.body = body.into();
        self
    }

    /// One more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.headers.push((name.into(), value.into()));
        self
    }

    /// More headers, those of a config.
    pub fn headers(self, headers: &[Header]) -> Self {
        headers.iter().fold(self, |request, header| request.header(&header.name, &header.value))
    }

    /// How long until the whole answer is here; never longer than nine tenths of what is left of the call.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.0.timeout_ms = Some(millis(timeout));
        self
    }

    /// How many bytes of the body are wanted, up to 1 MiB; 64 KiB unless set.
    pub fn most_bytes(mut self, bytes: u32) -> Self {
        self.0.most_bytes = Some(bytes);
        self
    }

    /// Sends it and waits for the answer.
    pub fn send(self) -> Result<Response, Failure> {
        let http::Response { status, headers, body, cut } = http::send(&self.0)?;
        Ok(Response { status, headers, body, cut })
    }
}

impl Response {
    /// The first header of that name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Why the body says nothing, where it came compressed: nobody unpacks it.
    pub fn packed(&self) -> Option<Failure> {
        let codings = self.headers.iter().filter(|(name, _)| name == "content-encoding").map(|(_, value)| value.trim());
        let coding = codings.into_iter().find(|coding| !matches!(&*coding.to_ascii_lowercase(), "" | "identity"))?;
        let message = format!(
            "the answer is compressed (content-encoding {}), and no check unpacks it; ask without accept-encoding, and \
             configure the server not to compress what is asked for so",
            quoted(coding)
        );
        Some(Failure::new(FailureKind::Garbled, message))
    }

    /// The body as JSON; garbled where it is none, was cut, or is compressed.
    pub fn json(&self) -> Result<serde_json::Value, Failure> {
        if self.cut {
            let message = format!("the answer has more than the {} bytes that were wanted", self.body.len());
            return Err(Failure::new(FailureKind::Garbled, message));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let is_none = || Failure::new(FailureKind::Garbled, format!("the answer is not JSON: {error}"));
            self.packed().unwrap_or_else(is_none)
        })
    }
}
