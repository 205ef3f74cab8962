//! `dev` on a terminal: the table, redrawn in place.

use std::{
    collections::VecDeque,
    io::{self, Write},
    time::Duration,
};

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc::UnboundedReceiver,
    time::{MissedTickBehavior, interval, sleep},
};

use super::{
    table::{self, Paper},
    view::View,
};

/// Changes that come within this time are drawn together.
const FRAME: Duration = Duration::from_millis(40);
/// How many lines of the log are shown.
const LOG: usize = 6;
/// Takes the alternate screen, so that what was on the terminal comes back afterwards, and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The terminal while `dev` has it. Dropping it gives the terminal back as it was, with the last table on it.
pub(super) struct Screen<W: Write> {
    out: W,
    colour: bool,
    view: View,
    log: VecDeque<String>,
}

impl<W: Write> Screen<W> {
    pub(super) fn new(mut out: W, colour: bool) -> io::Result<Self> {
        out.write_all(ENTER.as_bytes())?;
        out.flush()?;
        Ok(Self { out, colour, view: View::default(), log: VecDeque::new() })
    }

    /// Draws until dropped.
    pub(super) async fn run(
        mut self,
        mut views: UnboundedReceiver<View>,
        mut log: UnboundedReceiver<String>,
    ) -> anyhow::Result<()> {
        let mut resized = signal(SignalKind::window_change()).context("SIGWINCH cannot be caught")?;
        // Ages grow while nothing happens.
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.draw().context("the terminal cannot be written to")?;
            tokio::select! {
                // Once dispatch has ended, whoever watches over the tasks knows whether it should have.
                Some(view) = views.recv() => self.view = view,
                Some(line) = log.recv() => self.keep(line),
                _ = resized.recv() => {}
                _ = second.tick() => {}
            }
            sleep(FRAME).await;
            while let Ok(view) = views.try_recv() {
                self.view = view;
            }
            while let Ok(line) = log.try_recv() {
                self.keep(line);
            }
        }
    }

    fn keep(&mut self, line: String) {
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    fn draw(&mut self) -> io::Result<()> {
        let (width, height) = size();
        let paper = Paper { width, height, colour: self.colour, now: Some(Timestamp::now().as_millisecond()) };
        let lines = table::screen(&self.view, self.log.make_contiguous(), paper);
        self.out.write_all(frame(&lines).as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Drop for Screen<W> {
    fn drop(&mut self) {
        let (width, _) = size();
        let now = Some(Timestamp::now().as_millisecond());
        let paper = Paper { width, height: usize::MAX, colour: self.colour, now };
        let mut last = LEAVE.to_owned();
        if self.view.generation > 0 {
            last += &table::screen(&self.view, &[], paper).join("\n");
            last.push('\n');
        }
        // A terminal that is gone needs no care.
        let _ = self.out.write_all(last.as_bytes()).and_then(|()| self.out.flush());
    }
}

/// One frame in one piece: each line overwrites the one before and clears only what is left of it, so that nothing
/// flickers; terminals that know how to (mode 2026) show the frame at once.
fn frame(lines: &[String]) -> String {
    let body = lines.join("\x1b[K\r\n");
    format!("\x1b[?2026h\x1b[H{body}\x1b[K\x1b[J\x1b[?2026l")
}

/// Columns and lines of the terminal.
fn size() -> (usize, usize) {
    let (width, height) = terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0, h.0));
    (usize::from(width), usize::from(height))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hands on what is written.
    struct Out(mpsc::Sender<u8>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            for byte in bytes {
                self.0.send(*byte).map_err(io::Error::other)?;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_terminal_is_given_back_with_its_cursor() {
        let (sender, written) = mpsc::channel();
        let mut screen = Screen::new(Out(sender), false).unwrap();
        screen.view.generation = 1;
        screen.draw().unwrap();
        drop(screen);
        let text = String::from_utf8(written.iter().collect()).unwrap();
        assert!(text.starts_with(ENTER));
        let after = text.split_once(LEAVE).map(|(_, after)| after).unwrap();
        assert!(after.starts_with("gatehost dev · catalog generation 1"), "{after:?}");
    }

    #[test]
    fn a_frame_never_clears_what_it_is_about_to_draw() {
        let frame = frame(&["one".into(), "two".into()]);
        assert_eq!(frame, "\u{1b}[?2026h\u{1b}[Hone\u{1b}[K\r\ntwo\u{1b}[K\u{1b}[J\u{1b}[?2026l");
    }
}
