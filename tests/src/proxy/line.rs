//! The port and the connections on it.

use std::{convert::Infallible, future::pending, net::Ipv4Addr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{broadcast::error::RecvError, watch},
    task::JoinSet,
};

use super::{Kind, Seen, Shared, lock, service::Service};

/// What the port does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Takes connections.
    Open,
    /// Is closed: those that are open are reset, new ones refused.
    Shut,
    /// Takes connections and says nothing on them, not even TLS's greeting, for as long as they live. Those that are
    /// open go on.
    Silent,
}

/// What happens to an open connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It stays open, and nothing comes or goes on it any more: a peer that is gone without a word.
    Freeze,
    /// It is closed.
    Close,
    /// It is reset.
    Reset,
}

/// Takes connections as the door says.
pub(super) async fn accept(
    port: u16,
    shared: Arc<Shared>,
    mut wanted: watch::Receiver<Door>,
    stood: watch::Sender<Option<Door>>,
) {
    let mut lines = JoinSet::new();
    let mut listener = None;
    loop {
        let door = *wanted.borrow_and_update();
        if door == Door::Shut {
            listener = None;
            // Nobody is connected: nothing to cut.
            let _ = shared.cuts.send((Kind::Any, Cut::Reset));
        } else if listener.is_none() {
            let Ok(bound) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            listener = Some(bound);
        }
        stood.send_replace(Some(door));
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            Some(_) = lines.join_next() => {}
            stream = next(listener.as_ref()) => {
                let shared = Arc::clone(&shared);
                lines.spawn(async move {
                    if door == Door::Silent {
                        // Held for as long as the proxy lives.
                        let _stream = stream;
                        return pending().await;
                    }
                    serve(stream, shared).await;
                });
            }
        }
    }
}

async fn next(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return pending().await };
    loop {
        // A client that has gone before it was taken.
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
    }
}

/// One connection, until it ends or is cut.
async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let mut cuts = shared.cuts.subscribe();
    let acceptor = lock(&shared.authority).acceptor();
    let _ = stream.set_nodelay(true);
    // A second handle: the first is deep inside TLS and HTTP when the connection is to be reset.
    let Ok(stream) = stream.into_std() else { return };
    let Ok(handle) = stream.try_clone() else { return };
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let reset = || {
        let _ = SockRef::from(&handle).set_linger(Some(Duration::ZERO));
    };
    let service = Arc::new(Service::new(Arc::clone(&shared)));
    let last = Arc::clone(&service);
    let mut serving = Box::pin(async move {
        let Ok(stream) = acceptor.accept(stream).await else { return };
        let serve = service_fn(move |request| {
            let service = Arc::clone(&service);
            async move { service.call(request).await }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), serve).await;
    });
    loop {
        let (kind, cut) = tokio::select! {
            biased;
            cut = cuts.recv() => match cut {
                Ok(cut) => cut,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
            () = last.is_to_be_reset() => (Kind::Any, Cut::Reset),
            () = serving.as_mut() => return,
        };
        let matches = |seen: &Option<Seen>| seen.as_ref().map_or(kind == Kind::Any, |seen| kind.matches(seen));
        if !matches(&lock(&last.last)) {
            continue;
        }
        match cut {
            Cut::Freeze => {
                drop(cuts);
                return frozen(serving).await;
            }
            Cut::Close => return,
            Cut::Reset => return reset(),
        }
    }
}

/// Keeps what is inside alive and never goes on with it.
async fn frozen<T>(_inside: T) {
    let never: Infallible = pending().await;
    match never {}
}
