//! What a guest prints: a bounded ring, so that a guest that chats is neither stopped nor paid for.

use std::{
    cell::LazyCell,
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tracing::Level;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::{
    limits::{Allowance, LOG_LINE},
    lograte::LogRate,
};
use crate::{check::Limit, decide::sanitize};

/// What each piece costs besides its bytes, so that many tiny ones are bounded too.
const PIECE: usize = 16;

/// How many bytes a guest may write at once.
const PERMIT: usize = 64 << 10;

/// How many bytes of the output's end are shown in a fault.
const TAIL: usize = 800;

/// Standard output, standard error and log lines of one call, in their order: the newest bytes.
#[derive(Clone, Debug)]
pub(super) struct Output(Arc<Mutex<Ring>>);

#[derive(Debug)]
struct Ring {
    /// How many bytes are kept.
    most: usize,
    pieces: VecDeque<Piece>,
    size: usize,
    dropped: usize,
}

#[derive(Debug)]
enum Piece {
    /// Bytes of standard output or standard error.
    Stream(VecDeque<u8>),
    /// A line of the import `log`.
    Line(Level, String),
}

impl Output {
    /// Nothing is printed yet.
    pub(super) fn new(allowance: &Allowance) -> Self {
        let most = allowance.size(Limit::Log);
        Self(Arc::new(Mutex::new(Ring { most, pieces: VecDeque::new(), size: 0, dropped: 0 })))
    }

    /// Adds bytes of standard output or standard error.
    pub(super) fn stream(&self, bytes: &[u8]) {
        let mut ring = self.lock();
        let kept = &bytes[bytes.len().saturating_sub(ring.most)..];
        ring.dropped += bytes.len() - kept.len();
        if let Some(Piece::Stream(last)) = ring.pieces.back_mut() {
            last.extend(kept);
        } else {
            ring.pieces.push_back(Piece::Stream(kept.iter().copied().collect()));
            ring.size += PIECE;
        }
        ring.size += kept.len();
        ring.shrink();
    }

    /// Adds a log line, cut at [`LOG_LINE`].
    pub(super) fn line(&self, level: Level, mut line: String) {
        let mut ring = self.lock();
        let end = line.floor_char_boundary(LOG_LINE);
        ring.dropped += line.len() - end;
        line.truncate(end);
        line.shrink_to_fit();
        ring.size += line.len() + PIECE;
        ring.pieces.push_back(Piece::Line(level, line));
        ring.shrink();
    }

    /// The end of all that was printed, as one printable line; empty where nothing was.
    pub(super) fn tail(&self) -> String {
        let mut all = String::new();
        for (_, line) in self.lock().lines() {
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(&line);
        }
        let all = sanitize::text(&all, usize::MAX);
        all[all.ceil_char_boundary(all.len().saturating_sub(TAIL))..].trim_start().to_owned()
    }

    /// Writes what was printed to the host's log, as far as the rate admits it. The pod is named where there is something.
    pub(super) fn log(&self, call: &str, check: &str, pod: impl FnOnce() -> String, rate: &LogRate) {
        let (ring, now) = (self.lock(), Instant::now());
        let pod = LazyCell::new(pod);
        for (level, line) in ring.lines() {
            let line = escape(&line);
            if !is_shown(level) || !rate.admits(line.len(), now) {
                continue;
            }
            match level {
                Level::ERROR => tracing::error!(call, check, pod = pod.as_str(), "plugin: {line}"),
                Level::WARN => tracing::warn!(call, check, pod = pod.as_str(), "plugin: {line}"),
                Level::INFO => tracing::info!(call, check, pod = pod.as_str(), "plugin: {line}"),
                _ => tracing::debug!(call, check, pod = pod.as_str(), "plugin: {line}"),
            }
        }
        if ring.dropped > 0 && rate.admits(0, now) {
            tracing::warn!(call, check, pod = pod.as_str(), bytes = ring.dropped, "the plugin's output was cut");
        }
        if let Some((lines, bytes)) = rate.left_out(now) {
            let most = rate.per_second();
            tracing::warn!(
                check,
                lines,
                bytes,
                "left out: the plugin prints more than {most} bytes a second (spec.limits.logPerSecond)"
            );
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    /// Drops the oldest until the rest is within the budget.
    fn shrink(&mut self) {
        while self.size > self.most {
            let excess = self.size - self.most;
            match self.pieces.front_mut() {
                Some(Piece::Stream(bytes)) if bytes.len() > excess => {
                    bytes.drain(..excess);
                    self.size -= excess;
                    self.dropped += excess;
                }
                Some(Piece::Stream(bytes)) => {
                    self.size -= bytes.len() + PIECE;
                    self.dropped += bytes.len();
                    self.pieces.pop_front();
                }
                Some(Piece::Line(_, line)) => {
                    self.size -= line.len() + PIECE;
                    self.dropped += line.len();
                    self.pieces.pop_front();
                }
                None => return,
            }
        }
    }

    /// The lines that hold anything, in their order; bytes that are no UTF-8 are replaced.
    fn lines(&self) -> Vec<(Level, String)> {
        let mut lines = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Line(level, line) => lines.push((*level, line.clone())),
                Piece::Stream(bytes) => {
                    let bytes: Vec<u8> = bytes.iter().copied().collect();
                    let text = String::from_utf8_lossy(&bytes);
                    let full = text.lines().filter(|line| !line.trim().is_empty());
                    lines.extend(full.map(|line| (Level::INFO, line.to_owned())));
                }
            }
        }
        lines
    }
}

/// Whether anybody sees lines of this level: the others must not count.
fn is_shown(level: Level) -> bool {
    match level {
        Level::ERROR => tracing::enabled!(Level::ERROR),
        Level::WARN => tracing::enabled!(Level::WARN),
        Level::INFO => tracing::enabled!(Level::INFO),
        _ => tracing::enabled!(Level::DEBUG),
    }
}

/// The line with what does not print escaped.
fn escape(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    for c in line.chars() {
        if sanitize::prints(c) {
            escaped.push(c);
        } else {
            escaped.extend(c.escape_default());
        }
    }
    escaped
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.stream(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PERMIT)
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.stream(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Limits;

    const OUTPUT: usize = Limit::Log.usual() as usize;

    fn output() -> Output {
        Output::new(&Allowance::ceilings(&Limits::default()))
    }

    #[test]
    fn the_newest_bytes_are_kept_and_the_others_counted() {
        let output = output();
        output.stream(&vec![b'a'; 3 * OUTPUT]);
        output.stream(b"the end");
        let ring = output.lock();
        assert!(ring.size <= OUTPUT);
        let kept: usize = ring.lines().iter().map(|(_, line)| line.len()).sum();
        assert_eq!(kept + ring.dropped, 3 * OUTPUT + 7);
        drop(ring);
        assert!(output.tail().ends_with("aaa the end") || output.tail().ends_with("aaathe end"));
        assert!(output.tail().len() <= TAIL);
    }

    #[test]
    fn log_lines_share_the_budget_and_tiny_ones_are_bounded() {
        let output = output();
        for _ in 0..100_000 {
            output.line(Level::INFO, String::new());
            output.stream(b"x");
        }
        let ring = output.lock();
        assert!(ring.pieces.len() <= OUTPUT / PIECE);
        assert!(ring.dropped > 0);
    }

    #[test]
    fn a_log_line_is_cut_between_characters() {
        let output = output();
        output.line(Level::WARN, "世".repeat(LOG_LINE));
        let lines = output.lock().lines();
        assert_eq!(lines, [(Level::WARN, "世".repeat(LOG_LINE / 3))]);
    }

    #[test]
    fn what_was_printed_is_logged_under_the_checks_name() {
        let log = logged(|| {
            let output = output();
            output.stream(b"one\n\ntw");
            output.stream(b"o\x07\n");
            output.line(Level::WARN, "three".into());
            output.stream(&vec![b'x'; 2 * OUTPUT]);
            output.log("evaluate", "cache-warm", || "shop/web-0".to_owned(), &LogRate::new(1 << 20));
        });
        assert!(!log.contains("one"), "the oldest go first: {log}");
        assert!(log.contains("WARN") && log.contains("the plugin's output was cut"), "{log}");
        assert!(log.lines().all(|line| line.contains(r#"check="cache-warm" pod="shop/web-0""#)), "{log}");
    }

    /// What is logged.
    fn logged(work: impl FnOnce()) -> String {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let subscriber = tracing_subscriber::fmt().with_writer(file.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, work);
        let (mut file, mut log) = (&*file, String::new());
        std::io::Seek::rewind(&mut file).unwrap();
        std::io::Read::read_to_string(&mut file, &mut log).unwrap();
        log
    }

    #[test]
    fn calls_that_all_print_are_logged_at_a_rate_and_the_rest_is_counted() {
        let rate = LogRate::new(1024);
        let log = logged(|| {
            for _ in 0..1000 {
                let output = output();
                output.line(Level::WARN, "x".repeat(LOG_LINE));
                // Nobody sees it, so it costs nothing.
                output.line(Level::DEBUG, "y".repeat(LOG_LINE));
                output.log("evaluate", "cache-warm", || "shop/web-0".to_owned(), &rate);
            }
        });
        let lines = log.lines().filter(|line| line.contains("xxx")).count();
        assert!((7..100).contains(&lines), "{lines} of 1000 lines");
        assert_eq!(
            log.lines().filter(|line| line.contains("left out: the plugin prints more than 1024 bytes")).count(),
            1
        );
    }

    #[test]
    fn the_log_shows_what_does_not_print() {
        assert_eq!(escape("a\u{1b}[2J\u{202e}é"), "a\\u{1b}[2J\\u{202e}é");
    }
}
