//! `dev` where there is no terminal: one line a change.

use std::{
    collections::{BTreeMap, HashSet},
    io::{self, Write},
};

use jiff::Timestamp;

use super::{
    text::printable,
    view::{Row, View},
};
use crate::{catalog::Problem, decide::Status};

/// Turns views into lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    generation: u64,
    rows: BTreeMap<(String, String, String), Row>,
    problems: Vec<Problem>,
}

impl Lines {
    /// Writes what changed since the view before, each line in one call so that readers see whole lines.
    pub(super) fn write(&mut self, out: &mut impl Write, view: View, now: Timestamp) -> io::Result<()> {
        for change in self.take(view) {
            out.write_all(format!("{now:.0} {change}\n").as_bytes())?;
        }
        out.flush()
    }

    fn take(&mut self, view: View) -> Vec<String> {
        let mut changes = Vec::new();
        if view.generation != self.generation {
            self.generation = view.generation;
            changes.push(format!("catalog generation {}: {} in force", view.generation, count(view.checks, "check")));
        }
        for problem in view.problems.iter().filter(|problem| !self.problems.contains(problem)) {
            changes.push(format!("problem {}: {}", problem.file.display(), printable(&problem.error)));
        }
        let broken: HashSet<_> = view.problems.iter().map(|problem| &problem.file).collect();
        for mended in self.problems.iter().filter(|problem| !broken.contains(&problem.file)) {
            changes.push(format!("mended {}", mended.file.display()));
        }
        self.problems = view.problems;
        let mut before = std::mem::take(&mut self.rows);
        for row in view.rows {
            let key = (row.namespace.clone(), row.pod.clone(), row.gate.clone());
            let old = before.remove(&key);
            // A gate that waits for its first answer has nothing to tell yet.
            if row.status.is_none() && row.check.is_some() && !row.fault && old.is_none() {
                continue;
            }
            if old.as_ref().is_none_or(|old| differs(old, &row)) {
                changes.push(change(old.as_ref(), &row));
            }
            self.rows.insert(key, row);
        }
        changes.extend(
            before.into_keys().map(|(namespace, pod, gate)| printable(&format!("{namespace}/{pod} {gate} gone"))),
        );
        changes
    }
}

fn differs(old: &Row, new: &Row) -> bool {
    let told = |row: &Row| {
        (row.status, row.fault, row.reason.clone(), row.message.clone(), row.check.clone(), row.dry_run.clone())
    };
    told(old) != told(new)
}

fn change(old: Option<&Row>, row: &Row) -> String {
    let mut parts = vec![format!("{}/{} {}", row.namespace, row.pod, row.gate)];
    if let Some(old) = old.filter(|old| old.status != row.status) {
        parts.push(format!("{} ->", word(old.status)));
    }
    parts.push(word(row.status).to_owned());
    parts.extend(row.fault.then(|| "fault".to_owned()));
    parts.extend([&row.reason, &row.message].into_iter().filter(|part| !part.is_empty()).cloned());
    parts.extend(row.check.as_ref().map(|check| format!("[{check}]")));
    if let Some(dry) = row.dry_run.as_ref().filter(|_| row.differs()) {
        parts.push(format!("(dry run: {} {} {} [{}])", word(dry.status), dry.reason, dry.message, dry.check));
    }
    printable(&parts.join(" "))
}

pub(super) fn word(status: Option<Status>) -> &'static str {
    status.map_or("-", Status::as_str)
}

/// `1 check`, `2 checks`.
pub(super) fn count(n: usize, word: &str) -> String {
    format!("{n} {word}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: Option<Status>, message: &str) -> Row {
        let check = Some("cache-warm".to_owned());
        let (namespace, pod, gate) = ("shop".into(), "web-0".into(), "example.com/warm".into());
        Row { namespace, pod, gate, status, message: message.into(), check, ..Row::default() }
    }

    fn view(rows: Vec<Row>) -> View {
        View { generation: 1, checks: 1, rows, ..View::default() }
    }

    #[test]
    fn only_what_changed_is_told_and_an_unanswered_gate_is_not() {
        let mut lines = Lines::default();
        let told = lines.take(view(vec![row(None, "not answered yet")]));
        assert_eq!(told, ["catalog generation 1: 1 check in force"]);
        let told = lines.take(view(vec![row(Some(Status::False), "cold")]));
        assert_eq!(told, ["shop/web-0 example.com/warm False cold [cache-warm]"]);
        let later = Row { since: Some(1), ..row(Some(Status::False), "cold") };
        assert_eq!(lines.take(view(vec![later])), Vec::<String>::new());
        let told = lines.take(view(vec![row(Some(Status::True), "warm")]));
        assert_eq!(told, ["shop/web-0 example.com/warm False -> True warm [cache-warm]"]);
        assert_eq!(lines.take(view(vec![])), ["shop/web-0 example.com/warm gone"]);
    }

    #[test]
    fn problems_are_told_once_and_so_is_their_end() {
        let mut lines = Lines::default();
        let problem = Problem { file: "a.yaml".into(), error: "unknown field `gaet`".into() };
        let broken = View { problems: vec![problem], ..view(vec![]) };
        assert!(lines.take(broken.clone()).contains(&"problem a.yaml: unknown field `gaet`".to_owned()));
        assert_eq!(lines.take(broken), Vec::<String>::new());
        assert_eq!(lines.take(view(vec![])), ["mended a.yaml"]);
    }
}
