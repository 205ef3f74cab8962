//! The import `tcp`.

use std::{net::IpAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    bindings::gatehost::check::{
        reach::FailureKind,
        tcp::{Exchange, Failure, Host},
    },
    net::{Net, Trouble, connect, dial, io_trouble},
    reach::{Reach, Whom, failure},
    state::State,
};
use crate::check;

const IMPORT: &str = "tcp";

/// How many bytes are read at most.
const READ: u32 = 64 << 10;

/// How many bytes are sent at most.
const SENT: usize = 1 << 20;

impl Host for State {
    async fn connect(&mut self, exchange: Exchange) -> wasmtime::Result<Result<Vec<u8>, Failure>> {
        let time = self.reach.time(exchange.timeout_ms);
        let prepared = match prepare(&self.reach, exchange) {
            Ok(prepared) => prepared,
            Err(failure) => return Ok(Err(failure)),
        };
        let asked = prepared.asked.clone();
        let read = self.outside(time, prepared.run()).await?;
        Ok(read.unwrap_or_else(|| Err(Trouble::late())).map_err(|trouble| {
            if let Some(kind) = trouble.kind {
                return failure(kind, &format!("{asked}: {}", trouble.what));
            }
            let what = format!("{}; an entry of spec.allow.tcp has to name the address itself", trouble.what);
            self.reach.refuse(IMPORT, &what)
        }))
    }
}

/// An exchange that is allowed.
struct Prepared {
    net: Arc<Net>,
    exchange: Exchange,
    /// Where no look-up is needed.
    address: Option<IpAddr>,
    name: String,
    asked: String,
}

fn prepare(reach: &Reach, exchange: Exchange) -> Result<Prepared, Failure> {
    let invalid = |what: String| failure(FailureKind::Invalid, &what);
    let Exchange { host_name, port, payload, most_bytes, .. } = &exchange;
    let bare = host_name.parse().map(check::Host::Address);
    let host =
        bare.or_else(|_| check::Host::read(host_name)).map_err(|what| invalid(format!("{host_name:?} {what}")))?;
    if *port == 0 {
        return Err(invalid("the port is 0".to_owned()));
    }
    if *most_bytes > READ {
        return Err(invalid(format!("most-bytes is {most_bytes}; it may be at most {READ}")));
    }
    if payload.len() > SENT {
        return Err(invalid(format!("the payload has {} bytes; at most {SENT} are sent", payload.len())));
    }
    let asked = format!("{host}:{port}");
    let whom = Whom { import: IMPORT, host: &host, asked: asked.clone(), entry: format!("{}:{port}", host.written()) };
    let granted = reach.granted();
    let entries = granted.iter().flat_map(|granted| &granted.allow.tcp).filter(|entry| entry.means(&host, *port));
    reach.choose(&whom, entries, |entry| (&entry.host, entry.host_network))?;
    let address = reach.address(&whom)?;
    let Some(granted) = granted else { return Err(reach.refuse(IMPORT, "nothing is allowed here")) };
    // The dot at the end keeps its meaning.
    let name = format!("{host}{}", if host_name.ends_with('.') { "." } else { "" });
    Ok(Prepared { net: granted.net.clone(), exchange, address, name, asked })
}

impl Prepared {
    async fn run(self) -> Result<Vec<u8>, Trouble> {
        let Self { net, exchange, address, name, .. } = self;
        let stream = match address {
            Some(address) => dial(&[address], exchange.port).await.map_err(|error| io_trouble(&error))?,
            None => connect(&net, &name, exchange.port).await.map_err(|error| Trouble::from(&error))?,
        };
        talk(stream, &exchange).await.map_err(|error| io_trouble(&error))
    }
}

async fn talk(mut stream: TcpStream, exchange: &Exchange) -> std::io::Result<Vec<u8>> {
    let Exchange { payload, until, most_bytes, .. } = exchange;
    let most = *most_bytes as usize;
    stream.write_all(payload).await?;
    let mut read = Vec::with_capacity(most.min(4096));
    let mut stream = stream.take(most as u64);
    loop {
        let before = read.len();
        if before >= most || stream.read_buf(&mut read).await? == 0 {
            return Ok(read);
        }
        if let Some(end) = end(&read, before, until) {
            read.truncate(end);
            return Ok(read);
        }
    }
}

/// Where what is waited for ends, if it has come: in what is new, or where that meets what was there.
fn end(read: &[u8], before: usize, until: &[u8]) -> Option<usize> {
    if until.is_empty() {
        return None;
    }
    let start = before.saturating_sub(until.len() - 1);
    let at = read[start..].windows(until.len()).position(|window| window == until)?;
    Some(start + at + until.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_found_where_two_reads_meet() {
        assert_eq!(end(b"+OK ready\r\n", 0, b"\r\n"), Some(11));
        assert_eq!(end(b"+OK ready\r\nmore", 10, b"\r\n"), Some(11));
        assert_eq!(end(b"+OK ready\r", 9, b"\r\n"), None);
        assert_eq!(end(b"abc", 0, b""), None);
        assert_eq!(end(b"a", 0, b"abc"), None);
    }
}
