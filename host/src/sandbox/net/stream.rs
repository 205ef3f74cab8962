//! A connection that knows whether an answer had begun when it broke.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What has come over a connection.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Heard(Arc<Since>);

#[derive(Debug, Default)]
struct Since {
    /// Something, since something was last sent.
    last: AtomicBool,
    /// Something before that.
    before: AtomicBool,
}

impl Heard {
    /// Whether something has come since something was last sent.
    pub(in super::super) fn anything(&self) -> bool {
        self.0.last.load(Relaxed)
    }

    /// Whether it has answered before and not since something was last sent: it may have been closed by then.
    pub(in super::super) fn only_before(&self) -> bool {
        !self.anything() && self.0.before.load(Relaxed)
    }

    fn came(&self) {
        self.0.last.store(true, Relaxed);
    }

    fn went(&self) {
        if self.0.last.swap(false, Relaxed) {
            self.0.before.store(true, Relaxed);
        }
    }
}

/// With TLS or without.
pub(in super::super) struct Stream {
    io: Box<dyn Io>,
    heard: Heard,
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Stream {
    pub(super) fn new(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { io: Box::new(io), heard: Heard::default() }
    }
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().extra(self.heard.clone())
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.heard.came();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.heard.went();
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.heard.went();
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }
}
