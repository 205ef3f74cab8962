//! What goes wrong on the way, told by its type: a kind, and words that stay the same.

use std::{error::Error, io};

use super::{
    super::bindings::gatehost::check::reach::FailureKind, connect::Unconnected, resolver::Lookup, tls::distrust,
};

/// A failure before it is put into words for the guest: its kind, and what stands after whom was asked.
#[derive(Debug)]
pub(in super::super) struct Trouble {
    pub(in super::super) kind: Option<FailureKind>,
    pub(in super::super) what: String,
}

impl Trouble {
    pub(in super::super) fn new(kind: FailureKind, what: impl Into<String>) -> Self {
        Self { kind: Some(kind), what: what.into() }
    }

    /// One of the address filter: refused, not failed.
    fn refused(what: String) -> Self {
        Self { kind: None, what }
    }

    /// There was no complete answer in time.
    pub(in super::super) fn late() -> Self {
        Self::new(FailureKind::TimedOut, "no complete answer in time")
    }
}

impl From<&Unconnected> for Trouble {
    fn from(error: &Unconnected) -> Self {
        match error {
            Unconnected::Lookup(lookup) => Self::new(lookup_kind(lookup), lookup.to_string()),
            Unconnected::Forbidden { .. } => Self::refused(error.to_string()),
            Unconnected::Io(error) => io_trouble(error),
        }
    }
}

fn lookup_kind(lookup: &Lookup) -> FailureKind {
    match lookup {
        Lookup::Unknown(_) => FailureKind::Unresolved,
        Lookup::Silent(_) => FailureKind::TimedOut,
        Lookup::Failed(..) | Lookup::Unconfigured(_) => FailureKind::Unavailable,
    }
}

/// What the system or TLS has against a connection.
pub(in super::super) fn io_trouble(error: &io::Error) -> Trouble {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return match distrust(tls) {
            Some(what) => Trouble::new(FailureKind::Untrusted, what),
            None => Trouble::new(FailureKind::Garbled, "it does not speak TLS"),
        };
    }
    let (kind, what) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (FailureKind::Unreachable, "nobody listens there (connection refused)"),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            (FailureKind::Unreachable, "there is no way to it (no route)")
        }
        io::ErrorKind::TimedOut => (FailureKind::TimedOut, "no answer to the attempt to connect"),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => (FailureKind::Unreachable, "it broke the connection off"),
        _ => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE) => {
                (FailureKind::Unavailable, "the host has too many files open; raise its limit (ulimit -n)")
            }
            Some(rustix::io::Errno::ADDRNOTAVAIL | rustix::io::Errno::NOBUFS | rustix::io::Errno::NOMEM) => {
                (FailureKind::Unavailable, "the host has no room for another connection")
            }
            _ => return Trouble::new(FailureKind::Unreachable, format!("it cannot be reached ({})", error.kind())),
        },
    };
    Trouble::new(kind, what)
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
}

/// What became of a request; `heard`: whether a part of the answer had come.
pub(in super::super) fn http_trouble(error: &(dyn Error + 'static), heard: bool) -> Trouble {
    let mut broken = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<Unconnected>() {
            return error.into();
        }
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            if error.is_parse_too_large() {
                return Trouble::new(FailureKind::Garbled, "its answer has more than 64 KiB of headers");
            }
            if error.is_parse() {
                return Trouble::new(FailureKind::Garbled, "its answer is no HTTP");
            }
            if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
                broken = Some(io_trouble(&io::ErrorKind::ConnectionReset.into()));
            }
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            let nonsense = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData);
            broken = (!nonsense || is_tls(error)).then(|| io_trouble(error));
        }
        next = error.source();
    }
    match broken {
        Some(Trouble { kind: Some(FailureKind::Unreachable), .. }) if heard => {
            Trouble::new(FailureKind::Garbled, "its answer ends in its middle")
        }
        Some(trouble) => trouble,
        None if heard => Trouble::new(FailureKind::Garbled, "its answer is no HTTP"),
        None => Trouble::new(FailureKind::Unreachable, "it broke the connection off"),
    }
}
