//! `gatehost dev --once`: every gate asked once, one document.

use std::{
    collections::HashSet,
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use tokio::time::timeout;

use super::{
    Failure,
    dev::Work,
    local::is_over,
    table::{self, Paper},
    view::{Row, View},
};
use crate::{
    catalog::{Problem, Snapshot},
    decide::Status,
};

/// How much longer than the longest timeout of a check nothing may happen before it is a defect of the host.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Output {
    /// A table
    Text,
    /// One JSON document
    Json,
}

#[derive(Serialize)]
struct Document<'a> {
    gates: Vec<Gate<'a>>,
    errors: Vec<Error<'a>>,
}

#[derive(Serialize)]
struct Gate<'a> {
    namespace: &'a str,
    pod: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    status: Option<&'static str>,
    reason: &'a str,
    message: &'a str,
    check: Option<&'a str>,
    plugin: Option<&'a str>,
    #[serde(rename = "dryRun")]
    dry_run: Option<Dry<'a>>,
}

#[derive(Serialize)]
struct Dry<'a> {
    check: &'a str,
    status: Option<&'static str>,
    reason: &'a str,
    message: &'a str,
    differs: bool,
}

#[derive(Serialize)]
struct Error<'a> {
    file: &'a Path,
    error: &'a str,
}

pub(super) async fn run(work: Work, output: Output) -> Result<ExitCode, Failure> {
    let Work { tasks, mut catalog, mut views } = work;
    let answers = async {
        let snapshot = catalog.wait_for(|s| s.generation > 0).await.context("the catalog ended")?.clone();
        let expected = expected(&snapshot);
        let longest = snapshot.checks.values().map(|live| live.check.timeout).max().unwrap_or_default();
        loop {
            let next = timeout(longest + PATIENCE, views.recv()).await;
            let view = next.context("the gates are not answered")?.context("dispatch ended")?;
            if is_complete(&view, &expected, &snapshot) {
                return anyhow::Ok((view, snapshot));
            }
        }
    };
    let (view, snapshot) = tokio::select! {
        answers = answers => answers?,
        ended = tasks.finish("dispatch") => {
            ended?;
            return Err(Failure::Work(anyhow!("ended before every gate was answered")));
        }
    };
    let rows: Vec<_> = view.rows.into_iter().map(judged).collect();
    for Problem { file, error } in &snapshot.warnings {
        tracing::warn!(file = %file.display(), warning = error, "in force, and likely a mistake");
    }
    print(&rows, &snapshot.problems, output)?;
    if rows.is_empty() && snapshot.problems.is_empty() {
        return Err(Failure::Input(anyhow!(
            "no gates: no pod in the directories has spec.readinessGates; add a document of kind Pod that has"
        )));
    }
    Ok(verdict(&rows, &snapshot.problems))
}

/// 0, 1 or 2, as the help says.
fn verdict(rows: &[Row], problems: &[Problem]) -> ExitCode {
    if !problems.is_empty() {
        return ExitCode::from(2);
    }
    if rows.iter().all(|row| row.status == Some(Status::True)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Namespace, pod and type of each gate in the directories.
fn expected(snapshot: &Snapshot) -> HashSet<(String, String, String)> {
    let pods = snapshot.pods.iter().filter(|pod| !is_over(pod));
    pods.flat_map(|pod| pod.gates.iter().map(|gate| (pod.namespace.clone(), pod.name.clone(), gate.clone()))).collect()
}

/// Whether every gate is there and each that the catalog has a check for is answered.
fn is_complete(view: &View, expected: &HashSet<(String, String, String)>, snapshot: &Snapshot) -> bool {
    let ruled = |row: &&Row| row.check.is_some() || !snapshot.checks.contains_key(row.gate.as_str());
    view.settled && view.rows.iter().filter(ruled).count() >= expected.len()
}

/// A fault is no answer, and what stood before says nothing about now.
fn judged(row: Row) -> Row {
    if row.fault { Row { status: Some(Status::Unknown), ..row } } else { row }
}

fn print(rows: &[Row], problems: &[Problem], output: Output) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Json => {
            serde_json::to_writer_pretty(&mut out, &document(rows, problems)).map_err(io::Error::from)?;
            writeln!(out)?;
        }
        Output::Text => {
            let colour = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
            let width = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
            let width = width.filter(|_| io::stdout().is_terminal()).unwrap_or(usize::MAX);
            if !rows.is_empty() {
                let table = table::table(rows, Paper { width, height: usize::MAX, colour, now: None });
                writeln!(out, "{}", table.join("\n"))?;
            }
            let mut err = anstream::stderr().lock();
            let red = anstyle::AnsiColor::Red.on_default();
            for problem in problems {
                writeln!(err, "{red}{}: {}{red:#}", problem.file.display(), problem.error)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn document<'a>(rows: &'a [Row], problems: &'a [Problem]) -> Document<'a> {
    let gate = |row: &'a Row| Gate {
        namespace: &row.namespace,
        pod: &row.pod,
        kind: &row.gate,
        status: row.status.map(Status::as_str),
        reason: &row.reason,
        message: &row.message,
        check: row.check.as_deref(),
        plugin: row.plugin.as_deref(),
        dry_run: row.dry_run.as_ref().map(|dry| Dry {
            check: &dry.check,
            status: dry.status.map(Status::as_str),
            reason: &dry.reason,
            message: &dry.message,
            differs: row.differs(),
        }),
    };
    let error = |problem: &'a Problem| Error { file: &problem.file, error: &problem.error };
    Document { gates: rows.iter().map(gate).collect(), errors: problems.iter().map(error).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: Option<Status>) -> Row {
        let (namespace, pod, gate) = ("shop".into(), "web-0".into(), "example.com/warm".into());
        Row { namespace, pod, gate, status, message: "m".into(), ..Row::default() }
    }

    #[test]
    fn the_document_has_exactly_the_promised_keys() {
        let rows = [row(Some(Status::True)), row(None)];
        let problems = [Problem { file: "a.yaml".into(), error: "wrong".into() }];
        let text = serde_json::to_string(&document(&rows, &problems)).unwrap();
        assert_eq!(
            text,
            r#"{"gates":[{"namespace":"shop","pod":"web-0","type":"example.com/warm","status":"True","reason":"","message":"m","check":null,"plugin":null,"dryRun":null},{"namespace":"shop","pod":"web-0","type":"example.com/warm","status":null,"reason":"","message":"m","check":null,"plugin":null,"dryRun":null}],"errors":[{"file":"a.yaml","error":"wrong"}]}"#
        );
    }

    #[test]
    fn a_fault_is_unknown_whatever_stands() {
        let row = judged(Row { fault: true, ..row(Some(Status::True)) });
        assert_eq!(row.status, Some(Status::Unknown));
    }

    #[test]
    fn the_exit_code_tells_wrong_input_from_a_gate_that_is_not_true() {
        let broken = [Problem { file: "a.yaml".into(), error: "wrong".into() }];
        let code = |rows: &[Row], problems: &[Problem]| format!("{:?}", verdict(rows, problems));
        let is = |n: u8| format!("{:?}", ExitCode::from(n));
        assert_eq!(code(&[row(Some(Status::True))], &[]), is(0));
        assert_eq!(code(&[row(Some(Status::True)), row(Some(Status::False))], &[]), is(1));
        assert_eq!(code(&[row(None)], &[]), is(1));
        assert_eq!(code(&[row(Some(Status::True))], &broken), is(2));
    }
}
