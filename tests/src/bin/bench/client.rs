//! HTTP alone: what requests of plugins are measured against.

use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

/// A pooled client of the library that the host has, with the host's settings, and one URL.
#[derive(Clone)]
pub(crate) struct Bare {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
}

impl Bare {
    pub(crate) fn new(url: &str) -> Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(256)
            .http1_max_buf_size(64 << 10)
            .http1_max_headers(256)
            .build(connector);
        Ok(Self { client, uri: url.parse()? })
    }

    /// One request and its whole answer.
    pub(crate) async fn get(&self) -> Result<()> {
        let response = self.client.get(self.uri.clone()).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(status.is_success() && body == "fine", "{status}: {body:?}");
        Ok(())
    }
}
