//! The table of `dev`: a view as lines that fit the terminal. Pure.

use anstyle::{AnsiColor, Style};

use super::{
    lines::{count, word},
    text::{age, cut, pad, width, wrap},
    view::{Row, View},
};
use crate::decide::Status;

/// The columns, with how far each may be cut to fit. Those of dry runs and ages are there where they have something to
/// tell.
const COLUMNS: [(&str, Option<usize>); 7] = [
    ("NAMESPACE", Some(6)),
    ("POD", Some(8)),
    ("GATE", Some(12)),
    ("STATUS", None),
    ("REASON", Some(8)),
    ("MESSAGE", Some(12)),
    ("CHECK", Some(8)),
];
const DRY_RUN: (&str, Option<usize>) = ("DRY RUN", Some(8));
const AGE: (&str, Option<usize>) = ("AGE", None);
const STATUS: usize = 3;
const GAPS: &str = "  ";
const GAP: usize = GAPS.len();
/// Lines that one problem may take.
const PROBLEM: usize = 3;

/// What a view is drawn for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paper {
    /// Columns.
    pub(super) width: usize,
    /// Lines.
    pub(super) height: usize,
    pub(super) colour: bool,
    /// Unix milliseconds; nothing leaves the column of ages out.
    pub(super) now: Option<i64>,
}

/// The whole screen: a line of counts, the gates, the problems, the last lines of the log.
pub(super) fn screen(view: &View, log: &[String], paper: Paper) -> Vec<String> {
    let room = paper.width;
    let mut below = Vec::new();
    for problem in &view.problems {
        let text = format!("{}: {}", problem.file.display(), problem.error);
        let lines = wrap(&text, room, PROBLEM);
        below.extend(lines.into_iter().map(|line| paint(&line, AnsiColor::Red.on_default(), paper)));
    }
    if !log.is_empty() {
        below.push(String::new());
        below.extend(log.iter().map(|line| paint(&cut(line, room), Style::new().dimmed(), paper)));
    }
    // The gates keep at least half of the screen.
    below.truncate(paper.height / 2);
    let mut lines = vec![cut(&summary(view), room), String::new()];
    if view.rows.is_empty() && view.generation > 0 {
        lines.push(cut("no gates: no pod in the directories has spec.readinessGates", room));
    } else {
        let space = paper.height.saturating_sub(lines.len() + below.len() + usize::from(!below.is_empty()));
        let mut table = table(&view.rows, paper);
        if table.len() > space {
            let shown = space.saturating_sub(1).max(1);
            let hidden = table.len() - shown;
            table.truncate(shown);
            table.push(cut(&format!("… and {}", count(hidden, "more gate")), room));
        }
        lines.extend(table);
    }
    if !below.is_empty() {
        lines.push(String::new());
        lines.extend(below);
    }
    lines.truncate(paper.height);
    lines
}

/// The gates alone, under their heads.
pub(super) fn table(rows: &[Row], paper: Paper) -> Vec<String> {
    let dry_runs = rows.iter().any(|row| row.dry_run.is_some());
    let cells: Vec<_> = rows.iter().map(|row| cells(row, dry_runs, paper.now)).collect();
    let columns = COLUMNS.into_iter().chain(dry_runs.then_some(DRY_RUN)).chain(paper.now.map(|_| AGE));
    let (heads, least): (Vec<_>, Vec<_>) = columns.map(|(head, least)| (head.to_owned(), least)).unzip();
    let widths = fit(&heads, &least, &cells, paper.width);
    // On a terminal too narrow even for the narrowest columns, lines are cut and not coloured.
    let fits = widths.iter().sum::<usize>() + GAP * (widths.len() - 1) <= paper.width;
    let mut lines = vec![paint(&cut(&line(&heads, &widths, None), paper.width), Style::new().bold(), paper)];
    lines.extend(rows.iter().zip(&cells).map(|(row, cells)| {
        let style = Some(style(row)).filter(|_| fits && paper.colour);
        let line = line(cells, &widths, style);
        if fits { line } else { cut(&line, paper.width) }
    }));
    lines
}

fn summary(view: &View) -> String {
    if view.generation == 0 {
        return "gatehost dev · reading the directories".into();
    }
    let mut counts = Vec::new();
    for status in [Some(Status::True), Some(Status::False), Some(Status::Unknown), None] {
        let n = view.count(status);
        if n > 0 {
            counts.push(format!("{n} {}", status.map_or("undecided", Status::as_str)));
        }
    }
    let mut parts = vec![
        "gatehost dev".to_owned(),
        format!("catalog generation {}", view.generation),
        count(view.checks, "check"),
        count(view.rows.len(), "gate"),
    ];
    if !counts.is_empty() {
        parts.push(counts.join(", "));
    }
    if !view.problems.is_empty() {
        parts.push(count(view.problems.len(), "problem"));
    }
    parts.join(" · ")
}

fn cells(row: &Row, dry_runs: bool, now: Option<i64>) -> Vec<String> {
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let message = if row.fault { format!("fault: {}", row.message) } else { row.message.clone() };
    let mut cells = vec![
        or_dash(&row.namespace),
        row.pod.clone(),
        row.gate.clone(),
        word(row.status).into(),
        or_dash(&row.reason),
        or_dash(&message),
        row.check.clone().unwrap_or_else(|| "-".into()),
    ];
    cells.extend(dry_runs.then(|| dry_run(row)));
    cells.extend(now.map(|now| row.since.map_or_else(|| "-".into(), |since| age(now - since))));
    cells
}

/// What the dry-run check makes of it.
fn dry_run(row: &Row) -> String {
    match &row.dry_run {
        None => "-".into(),
        Some(dry) if row.differs() => format!("{} {} ({})", word(dry.status), dry.reason, dry.check),
        Some(dry) if dry.status.is_some() => "the same".into(),
        Some(_) => "not answered yet".into(),
    }
}

/// The width of each column: what its cells need, the widest cut down first where the terminal is too narrow.
fn fit(heads: &[String], least: &[Option<usize>], cells: &[Vec<String>], room: usize) -> Vec<usize> {
    let mut widths: Vec<_> = heads.iter().map(String::len).collect();
    for row in cells {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = width(cell).max(*w);
        }
    }
    let gaps = GAP * (widths.len() - 1);
    while widths.iter().sum::<usize>() + gaps > room {
        let shrinkable = |i: &usize| least[*i].is_some_and(|least| widths[*i] > least);
        let Some(widest) = (0..widths.len()).filter(shrinkable).max_by_key(|i| widths[*i]) else { break };
        widths[widest] -= 1;
    }
    widths
}

fn line(cells: &[String], widths: &[usize], status: Option<Style>) -> String {
    let mut line = String::new();
    for (i, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let cell = pad(cell, *width);
        match status.filter(|_| i == STATUS) {
            Some(style) => line.extend([style.render().to_string(), cell, style.render_reset().to_string()]),
            None => line += &cell,
        }
        if i + 1 < cells.len() {
            line += GAPS;
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn style(row: &Row) -> Style {
    match row.status {
        _ if row.fault => AnsiColor::Red.on_default(),
        Some(Status::True) => AnsiColor::Green.on_default(),
        Some(Status::False) => AnsiColor::Yellow.on_default(),
        Some(Status::Unknown) => AnsiColor::Magenta.on_default(),
        None => Style::new().dimmed(),
    }
}

fn paint(text: &str, style: Style, paper: Paper) -> String {
    if paper.colour && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Problem;

    const PAPER: Paper = Paper { width: 120, height: 24, colour: false, now: Some(90_000) };

    fn row(pod: &str, status: Option<Status>) -> Row {
        Row {
            namespace: "shop".into(),
            pod: pod.into(),
            gate: "example.com/cache-warm".into(),
            status,
            reason: "Warm".into(),
            message: "the cache holds 12,000 entries, of which none is older than an hour".into(),
            check: status.map(|_| "cache-warm".into()),
            since: Some(60_000),
            ..Row::default()
        }
    }

    fn view(rows: Vec<Row>) -> View {
        View { generation: 3, checks: 1, rows, ..View::default() }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_no_screen_higher() {
        let rows: Vec<_> = (0..40).map(|i| row(&format!("web-{i}-日本語"), Some(Status::False))).collect();
        let problem = Problem { file: "checks/a.yaml".into(), error: "wrong ".repeat(90) };
        let view = View { problems: vec![problem.clone(), problem], ..view(rows) };
        let log = vec!["WARN something long that happened".repeat(9)];
        for columns in [1, 20, 60, 79, 80, 100, 200] {
            for height in [1, 5, 24, 80] {
                let lines = screen(&view, &log, Paper { width: columns, height, ..PAPER });
                assert!(lines.len() <= height, "{columns}x{height}: {} lines", lines.len());
                assert!(lines.iter().all(|l| width(l) <= columns), "{columns}x{height}: {lines:#?}");
            }
        }
        let lines = screen(&view, &log, PAPER);
        assert!(lines.iter().any(|l| l.starts_with("… and ") && l.ends_with(" more gates")), "{lines:#?}");
    }

    #[test]
    fn the_message_gives_way_before_names_do() {
        let lines = table(&[row("web-0", Some(Status::True))], Paper { width: 100, ..PAPER });
        let heads =
            "NAMESPACE  POD    GATE                    STATUS  REASON  MESSAGE                    CHECK       AGE";
        let cells =
            "shop       web-0  example.com/cache-warm  True    Warm    the cache holds 12,000 e…  cache-warm  30s";
        assert_eq!(lines, [heads, cells]);
        assert_eq!(width(heads), 100);
    }

    #[test]
    fn what_a_dry_run_would_decide_has_a_column_where_there_is_one() {
        let dry_run = |status| {
            let (check, reason) = ("warm-v2".into(), "Cold".into());
            Some(super::super::view::DryRun { check, status, reason, message: String::new() })
        };
        let with = |status| Row { dry_run: dry_run(status), ..row("web-0", Some(Status::True)) };
        let rows = [with(Some(Status::False)), with(Some(Status::True)), with(None), row("web-1", None)];
        let lines = table(&rows, Paper { width: 200, now: None, ..PAPER });
        let cells = ["DRY RUN", "False Cold (warm-v2)", "the same", "not answered yet", "-"];
        assert!(lines.iter().zip(cells).all(|(line, cell)| line.ends_with(cell)), "{lines:#?}");
    }

    #[test]
    fn colours_take_no_room_and_none_are_used_without_leave() {
        let rows = [row("web-0", Some(Status::True)), row("web-1", None)];
        let plain = table(&rows, PAPER);
        let coloured = table(&rows, Paper { colour: true, ..PAPER });
        assert!(plain.iter().all(|line| !line.contains('\u{1b}')));
        assert!(coloured[1].contains("\u{1b}[32mTrue"));
        let stripped: Vec<_> = coloured.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect();
        assert_eq!(stripped, plain);
    }

    #[test]
    fn an_empty_directory_says_what_is_missing() {
        let lines = screen(&view(vec![]), &[], PAPER);
        assert!(lines.iter().any(|line| line.contains("no pod in the directories has spec.readinessGates")));
    }
}
