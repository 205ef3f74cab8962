//! Where log lines go and what they look like.

use std::io::{self, IsTerminal as _, Write};

use anyhow::anyhow;
use tokio::sync::mpsc::UnboundedSender;
use tracing_subscriber::{EnvFilter, fmt, util::SubscriberInitExt as _};

use super::Failure;

/// The client's own lines on every failed attempt: what they say is told once by `cluster`.
const QUIET: &str = "kube_client=off,kube_runtime=off";

/// The flags about logs.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Logs")]
pub(super) struct Logs {
    /// What log lines on stderr look like: text, one JSON object a line, or text on a terminal and JSON elsewhere
    #[arg(long, value_enum, default_value = "auto", env = "GATEHOST_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Format,
    /// What is logged: error, warn, info, debug or trace, or by module, such as info,kube=debug
    #[arg(long, value_name = "FILTER", env = "GATEHOST_LOG", value_parser = filter)]
    log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Auto,
    Text,
    Json,
}

/// Where log lines go.
pub(super) enum Sink {
    Stderr,
    /// To whoever owns the terminal: bare text, a line each.
    Screen(UnboundedSender<String>),
}

impl Logs {
    /// Starts logging for the rest of the process, at `default` where the user asked for nothing else.
    pub(super) fn start(&self, default: &str, auto: Format, sink: Sink) -> Result<(), Failure> {
        // In front, so that a filter that names these modules wins.
        let filter = EnvFilter::new(format!("{QUIET},{}", self.log_level.as_deref().unwrap_or(default)));
        let format = match self.log_format {
            Format::Auto => auto,
            chosen => chosen,
        };
        // A line that cannot be written, on a full disk or because its reader is gone, is lost: the crate would tell so on
        // stderr, and panic where that is what is full.
        let lines = fmt().with_env_filter(filter).log_internal_errors(false);
        match sink {
            Sink::Screen(sender) => {
                let writer = move || Lines(sender.clone());
                lines.with_ansi(false).without_time().with_target(false).with_writer(writer).finish().try_init()
            }
            Sink::Stderr if format == Format::Json || (format == Format::Auto && !io::stderr().is_terminal()) => {
                lines.json().flatten_event(true).with_writer(io::stderr).finish().try_init()
            }
            Sink::Stderr => {
                let colour = io::stderr().is_terminal()
                    && anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
                lines.with_ansi(colour).with_target(false).with_writer(io::stderr).finish().try_init()
            }
        }
        .map_err(|e| Failure::Work(anyhow!(e)))
    }
}

fn filter(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::try_new(text).map(|_| text.to_owned())
}

/// Hands each log line on; the formatter writes one line a call.
pub(super) struct Lines(pub(super) UnboundedSender<String>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A screen that is gone shows nothing any more.
        let _ = self.0.send(String::from_utf8_lossy(bytes).trim_end().to_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_judged_before_anything_starts() {
        assert!(filter("info,gatehost::cluster=debug").is_ok());
        assert!(filter("gatehost=loud").is_err());
    }
}
