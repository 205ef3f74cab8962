#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
//! A small HTTP server that answers badly.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Cluster, Limits, Options};
use crate::{
    decide::{Condition, Status},
    dispatch::Patch,
};

/// What the server does with a request.
#[derive(Clone)]
pub(super) enum Reply {
    /// It reads it and says nothing.
    Silence,
    /// It sends this and waits for the next request.
    Bytes(String),
}

impl Reply {
    pub(super) fn whole(status: &str, headers: &str, body: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    /// The head and the beginning of an answer that never ends.
    pub(super) fn head(begin: &str) -> Self {
        let chunk = if begin.is_empty() { String::new() } else { format!("{:x}\r\n{begin}\r\n", begin.len()) };
        Self::Bytes(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"))
    }
}

/// Lives until dropped.
pub(super) struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    bodies: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// `reply` sees the request's head.
    pub(super) async fn start(reply: impl Fn(&str) -> Reply + Clone + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let mut tasks = JoinSet::new();
        let bodies = Arc::<Mutex<Vec<String>>>::default();
        let seen = (Arc::clone(&requests), Arc::clone(&bodies));
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(stream, seen.clone(), reply.clone()));
            }
        });
        Self { url, requests, bodies, _tasks: tasks }
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The heads of the requests so far.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Their bodies.
    pub(super) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().unwrap().clone()
    }

    pub(super) fn cluster(&self, limits: Limits) -> Cluster {
        let config = kube::Config::new(self.url.parse().unwrap());
        Cluster::new(config, Options::default(), limits).unwrap()
    }
}

type Seen = (Arc<Mutex<Vec<String>>>, Arc<Mutex<Vec<String>>>);

async fn serve(mut stream: TcpStream, (heads, bodies): Seen, reply: impl Fn(&str) -> Reply) {
    let mut read = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        read.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = |l: &str| l.to_lowercase().strip_prefix("content-length: ").and_then(|n| n.parse().ok());
        if body.len() < head.lines().find_map(length).unwrap_or(0) {
            continue;
        }
        read.clear();
        let head = format!("{head}\r\n");
        bodies.lock().unwrap().push(body.to_owned());
        heads.lock().unwrap().push(head.clone());
        match reply(&head) {
            Reply::Silence => {}
            Reply::Bytes(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
        }
    }
}

/// Limits that pass quickly.
pub(super) fn quick() -> Limits {
    Limits {
        answer: Duration::from_millis(300),
        patch: Duration::from_millis(200),
        watch_seconds: 45,
        silence: Duration::from_millis(600),
    }
}

/// A patch of one condition.
pub(super) fn patch() -> Patch {
    let condition = Condition {
        status: Status::True,
        reason: "Warm".into(),
        message: "it is \"warm\"".into(),
        last_transition: Some(1_795_450_422_000),
        observed_generation: Some(3),
    };
    Patch {
        id: 1,
        namespace: "shop".into(),
        name: "p".into(),
        uid: "u-1".into(),
        version: None,
        conditions: vec![("example.com/a".into(), condition)],
    }
}
