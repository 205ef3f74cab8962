//! Servers of the tests: HTTP as it should be, and bytes as they should not be.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{Request, Response, body::Frame, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

/// What a server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Connections so far.
    pub(crate) connections: AtomicUsize,
    /// Requests that are being answered, and the most at once.
    busy: AtomicUsize,
    pub(crate) most: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

/// It ends when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Seen>,
    _task: JoinSet<()>,
}

impl Seen {
    /// The first line and the headers of each request.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Server {
    /// HTTP on a free port of 127.0.0.1; see [`answer`] for its paths.
    pub(crate) async fn http() -> Self {
        Self::at("127.0.0.1:0").await
    }

    pub(crate) async fn at(address: &str) -> Self {
        Self::start(address, |seen, stream| async move { serve(seen, stream).await }).await
    }

    pub(crate) async fn https(address: &str, acceptor: TlsAcceptor) -> Self {
        Self::start(address, move |seen, stream| {
            let acceptor = acceptor.clone();
            async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    serve(seen, stream).await;
                }
            }
        })
        .await
    }

    /// Reads something, writes these bytes and closes.
    pub(crate) async fn bytes(bytes: &'static [u8]) -> Self {
        Self::start("127.0.0.1:0", move |_, mut stream| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(bytes).await;
            let _ = stream.shutdown().await;
        })
        .await
    }

    pub(crate) async fn start<F>(
        address: &str,
        handle: impl Fn(Arc<Seen>, tokio::net::TcpStream) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let mut task = JoinSet::new();
        task.spawn({
            let seen = seen.clone();
            async move {
                let mut connections = JoinSet::new();
                while let Ok((stream, _)) = listener.accept().await {
                    seen.connections.fetch_add(1, SeqCst);
                    connections.spawn(handle(seen.clone(), stream));
                }
            }
        });
        Self { address, seen, _task: task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The entry that allows it.
    pub(crate) fn entry(&self) -> String {
        self.url("")
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(SeqCst)
    }
}

async fn serve(seen: Arc<Seen>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let service = service_fn(|request| {
        let seen = seen.clone();
        async move { Ok::<_, Infallible>(answer(&seen, request).await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

type Body = BoxBody<Bytes, io::Error>;

fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

async fn answer(seen: &Seen, request: Request<Incoming>) -> Response<Body> {
    let _busy = Busy::new(seen);
    let headers = request.headers().iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap_or("?")));
    let line = format!("{} {} {}", request.method(), request.uri(), headers.collect::<Vec<_>>().join(","));
    seen.requests.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
    let path = request.uri().path().to_owned();
    let (first, rest) = path[1..].split_once('/').unwrap_or((&path[1..], ""));
    match first {
        "echo" => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Response::new(full(format!("{line} {}", String::from_utf8_lossy(&body))))
        }
        "status" => Response::builder().status(rest.parse::<u16>().unwrap()).body(full("as asked")).unwrap(),
        "to" => Response::builder().status(302).header("location", format!("http://{rest}")).body(full("")).unwrap(),
        "wait" => {
            tokio::time::sleep(Duration::from_millis(rest.parse().unwrap())).await;
            Response::new(full("late"))
        }
        "big" => Response::new(full(vec![b'x'; rest.parse().unwrap()])),
        "never" => std::future::pending().await,
        "endless" => Response::new(endless(Duration::ZERO)),
        "drip" => Response::new(endless(Duration::from_millis(100))),
        _ => {
            // All of it: a server that answers earlier closes on what is still being sent, and its answer may get lost.
            drop(request.into_body().collect().await);
            Response::builder().header("x-a", "b").body(full("fine")).unwrap()
        }
    }
}

/// Lives as long as a request is being answered.
struct Busy<'a>(&'a Seen);

impl<'a> Busy<'a> {
    fn new(seen: &'a Seen) -> Self {
        let busy = seen.busy.fetch_add(1, SeqCst) + 1;
        seen.most.fetch_max(busy, SeqCst);
        Self(seen)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, SeqCst);
    }
}

fn endless(pause: Duration) -> Body {
    let frames = stream::unfold((), move |()| async move {
        tokio::time::sleep(pause).await;
        Some((Ok(Frame::data(Bytes::from_static(&[b'y'; 1024]))), ()))
    });
    StreamBody::new(frames).boxed()
}
