//! /livez, /readyz and /metrics over HTTP.
//!
//! ```text
//! metrics    what is counted, and how it is called
//! agreement  how long kubelet takes to agree: from the stream of pod events
//! server     connections, and how many
//! ```

use std::{fmt::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

mod agreement;
mod labels;
mod metrics;
mod server;

pub use agreement::Agreement;
pub use metrics::Metrics;

/// What the rest of the host says of itself when it is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pulse {
    /// Every watch has seen all its pods once.
    pub listed: bool,
    /// The directories have been read once.
    pub scanned: bool,
    /// How long ago the quietest watch heard from the API server.
    pub watch_age: Duration,
}

struct Shared<P> {
    registry: Registry,
    metrics: Metrics,
    pulse: P,
}

/// Takes the address.
///
/// # Errors
/// It is taken by somebody else, not one of this machine, or not allowed.
pub async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("--listen {address}: the address cannot be served on"))
}

/// Serves until it is dropped. /livez answers 200 as long as the process can: a cluster or a directory that is not
/// there is no reason to restart it. /readyz answers 200 once the pods are listed and the directories read.
///
/// # Errors
/// The listener broke.
pub async fn serve(
    listener: TcpListener,
    registry: Registry,
    metrics: Metrics,
    pulse: impl Fn() -> Pulse + Send + Sync + 'static,
) -> anyhow::Result<()> {
    server::serve(listener, router(registry, metrics, pulse)).await
}

fn router<P: Fn() -> Pulse + Send + Sync + 'static>(registry: Registry, metrics: Metrics, pulse: P) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready::<P>))
        .route("/metrics", get(scrape::<P>))
        .with_state(Arc::new(Shared { registry, metrics, pulse }))
}

async fn ready<P: Fn() -> Pulse>(State(shared): State<Arc<Shared<P>>>) -> Response {
    let pulse = (shared.pulse)();
    let mut missing = String::new();
    for (done, what) in [
        (pulse.scanned, "the directories have not been read yet"),
        (pulse.listed, "the pods have not been listed yet; the log says what the API server answered"),
    ] {
        if !done {
            let _ = writeln!(missing, "{what}");
        }
    }
    if missing.is_empty() { "ok\n".into_response() } else { (StatusCode::SERVICE_UNAVAILABLE, missing).into_response() }
}

async fn scrape<P: Fn() -> Pulse>(State(shared): State<Arc<Shared<P>>>) -> Response {
    shared.metrics.watch_age((shared.pulse)().watch_age);
    let mut text = String::new();
    if encode(&mut text, &shared.registry).is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response();
    }
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(CONTENT_TYPE, kind)], text).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(pulse: Pulse, path: &str) -> (StatusCode, String) {
        let (metrics, registry) = Metrics::new();
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        let response = router(registry, metrics, move || pulse).oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn alive_before_anything_is_ready_and_ready_says_what_is_missing() {
        let pulse = Pulse { scanned: true, ..Pulse::default() };
        assert_eq!(get(pulse, "/livez").await.0, StatusCode::OK);
        let (status, body) = get(pulse, "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(body.contains("the pods have not been listed") && !body.contains("directories"), "{body}");
        let pulse = Pulse { listed: true, ..pulse };
        assert_eq!(get(pulse, "/readyz").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn the_watch_age_is_that_of_the_scrape() {
        let pulse = Pulse { watch_age: Duration::from_millis(1_500), ..Pulse::default() };
        let (status, body) = get(pulse, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("gatehost_watch_age_seconds 1.5\n"), "{body}");
    }

    #[tokio::test]
    async fn a_port_in_use_is_one_line_that_names_the_flag() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let error = format!("{:#}", bind(address).await.unwrap_err());
        assert!(error.starts_with(&format!("--listen {address}: ")) && !error.contains('\n'), "{error}");
    }
}
