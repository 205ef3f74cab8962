//! A report for people. Pure; the stream takes the colours away where they are not wanted.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::report::{Condition, Event, Finding, Report, rfc3339};
use crate::{cli::text::age, decide::sanitize};

const BOLD: Style = Style::new().bold();
/// The longest text of others that is shown, in bytes.
const MOST: usize = 1024;

/// The report as lines. `now`, in Unix milliseconds, is what ages are told from.
pub(super) fn text(report: &Report, now: i64) -> String {
    let mut page = Page { text: String::new(), now };
    page.head(report);
    for gate in &report.gates {
        page.blank();
        let status = gate.condition.as_ref();
        page.heading("Gate", &gate.r#type, status);
        if let Some(condition) = status {
            page.told(condition);
        }
        for one in report.overrides.iter().filter(|one| one.gate == gate.r#type) {
            let until = one.until.and_then(rfc3339).unwrap_or_default();
            page.line(&format!("overridden to {} until {until}: {}", one.status, one.reason));
        }
        page.findings(&report.findings, Some(&gate.r#type));
    }
    let named = |f: &&Finding| f.gate.as_ref().is_some_and(|g| report.gates.iter().all(|gate| gate.r#type != *g));
    let mut strays: Vec<_> = report.findings.iter().filter(named).filter_map(|f| f.gate.as_deref()).collect();
    strays.dedup();
    for stray in strays {
        page.blank();
        page.heading("Condition", stray, None);
        page.findings(&report.findings, Some(stray));
    }
    page.events(&report.events);
    if !report.notes.is_empty() {
        page.blank();
        page.notes(&report.notes);
    }
    page.text
}

struct Page {
    text: String,
    now: i64,
}

impl Page {
    fn head(&mut self, report: &Report) {
        let word = if report.ready { paint("Ready", green()) } else { paint("not Ready", red()) };
        let pod = paint(&clean(&format!("pod {}/{}", report.namespace, report.pod)), BOLD);
        self.push(&format!("{pod} is {word}"));
        let node = report.node.as_deref().unwrap_or("none yet");
        let old = report.created.map(|at| format!(", {} old", self.age(at))).unwrap_or_default();
        self.line(&format!("on node {node}, {}{old}", report.phase));
        let kubelet = &report.kubelet;
        for (kind, condition) in [("Ready", &kubelet.ready), ("ContainersReady", &kubelet.containers_ready)] {
            let Some(condition) = condition else {
                self.line(&format!("kubelet says nothing of {kind} yet"));
                continue;
            };
            let why = because(condition);
            let status = status(&condition.status);
            let since = self.since(condition);
            self.push(&format!("  kubelet says {kind} is {status}{since}{}", clean(&why)));
        }
        self.findings(&report.findings, None);
    }

    /// `Gate example.com/warm is False for 3m, written by gatehost`.
    fn heading(&mut self, what: &str, kind: &str, condition: Option<&Condition>) {
        let name = paint(&clean(kind), BOLD);
        let told = match condition {
            Some(condition) => {
                let writer = condition.writer.as_ref().map(|w| clean(&format!(", written by {w}"))).unwrap_or_default();
                format!(" is {}{}{writer}", status(&condition.status), self.since(condition))
            }
            None if what == "Gate" => format!(" has {}", paint("no condition", red())),
            None => String::new(),
        };
        self.push(&format!("{what} {name}{told}"));
    }

    fn told(&mut self, condition: &Condition) {
        let Condition { reason, message, .. } = condition;
        match (reason.as_str(), message.as_str()) {
            ("", "") => {}
            ("", text) | (text, "") => self.line(text),
            (reason, message) => self.line(&format!("{reason}: {message}")),
        }
    }

    fn findings(&mut self, findings: &[Finding], gate: Option<&str>) {
        for found in findings.iter().filter(|f| f.gate.as_deref() == gate) {
            let mark = paint("!", AnsiColor::Yellow.on_default());
            self.push(&format!("  {mark} {}", clean(&found.message)));
            self.push(&format!("    next: {}", clean(&found.next)));
        }
    }

    fn events(&mut self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        self.blank();
        self.push(&format!("{} of gatehost, the latest last", paint("Events", BOLD)));
        for event in events {
            let ago = event.at.map(|at| format!("{} ago", self.age(at))).unwrap_or_default();
            let times = if event.count > 1 { format!(", {} times", event.count) } else { String::new() };
            self.line(&format!("{ago}{times}: {} {}: {}", event.r#type, event.reason, event.message));
        }
    }

    fn notes(&mut self, notes: &[String]) {
        for note in notes {
            self.push(&paint(&clean(&format!("not read: {note}")), Style::new().dimmed()));
        }
    }

    fn since(&self, condition: &Condition) -> String {
        condition.since.map(|at| format!(" for {}", self.age(at))).unwrap_or_default()
    }

    fn age(&self, at: i64) -> String {
        age(self.now.saturating_sub(at))
    }

    /// An indented line of somebody's text.
    fn line(&mut self, text: &str) {
        self.push(&format!("  {}", clean(text)));
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn push(&mut self, line: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

fn because(condition: &Condition) -> String {
    let Condition { reason, message, .. } = condition;
    match (reason.as_str(), message.as_str()) {
        ("", "") => String::new(),
        ("", text) | (text, "") => format!(": {text}"),
        (reason, message) => format!(": {reason}: {message}"),
    }
}

fn status(status: &str) -> String {
    let style = match status {
        "True" => green(),
        "False" => red(),
        _ => AnsiColor::Yellow.on_default(),
    };
    paint(&clean(status), style)
}

fn paint(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

fn green() -> Style {
    AnsiColor::Green.on_default()
}

fn red() -> Style {
    AnsiColor::Red.on_default()
}

/// Whatever somebody wrote into the API must not speak to the terminal.
fn clean(text: &str) -> String {
    sanitize::text(text, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::explain::report::{Gate, Kind, Kubelet};

    const NOW: i64 = 1_795_450_422_000;

    fn condition(status: &str, reason: &str, message: &str) -> Condition {
        Condition {
            status: status.into(),
            reason: reason.into(),
            message: message.into(),
            since: Some(NOW - 5000),
            observed_generation: None,
            writer: None,
        }
    }

    fn finding(kind: Kind, gate: Option<&str>, message: &str) -> Finding {
        Finding { kind, gate: gate.map(Into::into), message: message.into(), next: "do it".into() }
    }

    fn report() -> Report {
        let warm = Condition { writer: Some("gatehost".into()), ..condition("False", "Cold", "3 of 9\u{1b}[2J") };
        Report {
            namespace: "shop".into(),
            pod: "web-0".into(),
            uid: "u-1".into(),
            node: Some("node-7".into()),
            phase: "Running".into(),
            generation: 1,
            created: Some(NOW - 60_000),
            ready: false,
            kubelet: Kubelet { ready: Some(condition("False", "Gates", "m")), containers_ready: None },
            gates: vec![
                Gate { r#type: "a.io/warm".into(), blocks: true, condition: Some(warm) },
                Gate { r#type: "a.io/none".into(), blocks: true, condition: None },
            ],
            findings: vec![
                finding(Kind::BlocksEviction, None, "a budget"),
                finding(Kind::ConditionMissing, Some("a.io/none"), "nothing"),
                finding(Kind::NoSuchGate, Some("a.io/nine"), "no such gate"),
            ],
            overrides: Vec::new(),
            events: vec![Event {
                at: Some(NOW - 1000),
                r#type: "Warning".into(),
                reason: "Faulted".into(),
                message: "it broke".into(),
                count: 2,
            }],
            notes: vec!["budgets".into()],
        }
    }

    #[test]
    fn the_page_holds_each_finding_under_what_it_is_about() {
        let text = anstream::adapter::strip_str(&text(&report(), NOW)).to_string();
        let expected = "\
pod shop/web-0 is not Ready
  on node node-7, Running, 60s old
  kubelet says Ready is False for 5s: Gates: m
  kubelet says nothing of ContainersReady yet
  ! a budget
    next: do it

Gate a.io/warm is False for 5s, written by gatehost
  Cold: 3 of 9 [2J

Gate a.io/none has no condition
  ! nothing
    next: do it

Condition a.io/nine
  ! no such gate
    next: do it

Events of gatehost, the latest last
  1s ago, 2 times: Warning Faulted: it broke

not read: budgets
";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_somebody_wrote_cannot_reach_the_terminal() {
        let mut report = report();
        report.gates[0].r#type = "a\u{1b}[31mb\nc".into();
        let shown = text(&report, NOW);
        assert!(!shown.contains("[2J\u{1b}") && !shown.contains("\u{1b}[2J") && !shown.contains("b\nc"), "{shown:?}");
    }
}
