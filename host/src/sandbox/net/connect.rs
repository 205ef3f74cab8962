//! From a host to an open connection: resolve once, leave out what is forbidden, connect to what is left.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::{StreamExt as _, stream::FuturesUnordered};
use tokio::{net::TcpStream, time::sleep};

use super::{
    Net,
    filter::{Forbidden, forbidden},
    resolver::Lookup,
};

/// How long one address has before the next one is tried beside it.
const HEAD_START: Duration = Duration::from_millis(250);

/// How many addresses are tried.
const TRIED: usize = 8;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum Unconnected {
    /// The name has no address.
    #[error(transparent)]
    Lookup(#[from] Lookup),
    /// All addresses of a name are ones that nobody may reach.
    #[error("{name} is {address}, {why}, which no name may lead to")]
    Forbidden {
        /// As it was asked for.
        name: String,
        /// The first of them.
        address: IpAddr,
        /// Why.
        why: Forbidden,
    },
    /// None of them takes a connection.
    #[error("no connection")]
    Io(#[source] io::Error),
}

/// The addresses of a name that may be reached; never none.
pub(in super::super) async fn reachable(net: &Net, name: &str) -> Result<Vec<IpAddr>, Unconnected> {
    let found = net.resolver.addresses(name).await?;
    let (kept, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| forbidden(*address).is_none());
    match refused.first().and_then(|address| Some((*address, forbidden(*address)?))) {
        Some((address, why)) if kept.is_empty() => Err(Unconnected::Forbidden { name: name.to_owned(), address, why }),
        _ => Ok(kept),
    }
}

/// A connection to a name.
pub(in super::super) async fn connect(net: &Net, name: &str, port: u16) -> Result<TcpStream, Unconnected> {
    let addresses = reachable(net, name).await?;
    dial(&addresses, port).await.map_err(Unconnected::Io)
}

/// A connection to one of these addresses: each has a short start before the next.
pub(in super::super) async fn dial(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut left = addresses.iter().take(TRIED).map(|address| SocketAddr::new(*address, port));
    let mut tries = FuturesUnordered::new();
    let mut error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = left.next() {
            tries.push(TcpStream::connect(address));
        } else if tries.is_empty() {
            return Err(error);
        }
        let done = tokio::select! {
            done = tries.next() => done,
            () = sleep(HEAD_START), if left.len() > 0 => None,
        };
        match done {
            Some(Ok(stream)) => {
                // Whoever asks once and waits for the answer gains nothing from packets held back.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Some(Err(failed)) => error = failed,
            None => {}
        }
    }
}
