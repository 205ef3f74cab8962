//! The listener: whoever reaches the port can neither use up the host's file descriptors nor keep a probe out.

use std::{collections::VecDeque, io, time::Duration};

use anyhow::Context as _;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

/// Connections at once. One more ends the oldest, so that a new one, perhaps kubelet's, is always answered.
const CONNECTIONS: usize = 64;

/// How long a connection may take to say what it asks for.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait where the system has no descriptor left.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves until it is dropped.
///
/// # Errors
/// The listener broke.
pub(super) async fn serve(listener: TcpListener, router: Router) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    let mut oldest: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    oldest.retain(|connection| !connection.is_finished());
                    if oldest.len() >= CONNECTIONS && let Some(connection) = oldest.pop_front() {
                        connection.abort();
                    }
                    oldest.push_back(connections.spawn(answer(stream, router.clone())));
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) if is_for_now(&error) => sleep(PAUSE).await,
                Err(error) => return Err(error).context("serving ended"),
            },
            // How a connection ends is its peer's affair.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let service = TowerToHyperService::new(router);
    let server = http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(PATIENCE).clone();
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// No descriptor or no memory is left.
fn is_for_now(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| matches!(errno, Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn connections_that_say_nothing_keep_nobody_out_and_the_oldest_ends_first() {
        let bound = Duration::from_secs(20);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Router::new().route("/livez", get(async || "ok"))));
        let mut silent = Vec::new();
        for _ in 0..=CONNECTIONS {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut probe = TcpStream::connect(address).await.unwrap();
        probe.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut reply = String::new();
        timeout(bound, probe.read_to_string(&mut reply)).await.unwrap().unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        let ended = timeout(bound / 4, silent[0].read(&mut [0])).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)), "the oldest is still open: {ended:?}");
        let last = silent.last_mut().unwrap();
        assert!(timeout(Duration::from_millis(100), last.read(&mut [0])).await.is_err(), "the newest has ended");
    }
}
