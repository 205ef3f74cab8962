//! A server on loopback, in this process, while another one measures.

use std::{convert::Infallible, net::SocketAddr};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinSet,
};

/// Answers 200 and four bytes, at once, and keeps connections open; ends when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    _runtime: Runtime,
}

impl Server {
    /// On a free port of 127.0.0.1.
    pub(crate) fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream));
            }
        });
        Ok(Self { address, _runtime: runtime })
    }

    /// Such as `http://127.0.0.1:40321`.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(stream: TcpStream) {
    // The bare client does not hold packets back either.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|_: Request<Incoming>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"fine"))))
    });
    // Whoever measures closes its connections when it ends.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
