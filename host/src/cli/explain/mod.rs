//! `gatehost explain`: why is a pod not Ready. From the API alone; no host is asked.
//!
//! ```text
//! cluster::inspect  what the API server says
//! diagnose          → report; `reasons`, `budgets` and `overrides` know one thing each
//! text              the report for people; as JSON it is the document of -o json
//! ```

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::anyhow;
use jiff::Timestamp;

use super::{
    Failure,
    once::Output,
    target::{Target, pod_name},
};

mod budgets;
mod diagnose;
mod overrides;
mod reasons;
mod report;
mod text;

const USAGE: &str = "gatehost explain [OPTIONS] pod NAME";

/// Tell why a pod is not Ready
#[derive(Debug, clap::Args)]
#[command(
    override_usage = USAGE,
    long_about = "\
Tell why a pod is not Ready: what kubelet says, each readiness gate with its condition, what is wrong and what to do \
next.

It asks the API server only, never a host: the rights of somebody who may look at pods are enough. Where \
PodDisruptionBudgets or Events may not be read, it says so and goes on.",
    after_help = "\
Examples:
  gatehost explain pod web-0
  gatehost explain pod/web-0 -n shop --context staging
  gatehost explain pod web-0 -o json | jq -r '.findings[].message'

Exit codes:
  0  the pod is Ready
  1  it is not Ready
  2  it cannot be told: no such pod, no access, or a wrong flag

The document of -o json; what is not there is null, times are RFC 3339:
  {\"namespace\", \"pod\", \"uid\", \"node\", \"phase\", \"generation\", \"created\", \"ready\",
   \"kubelet\":   {\"ready\": CONDITION, \"containersReady\": CONDITION},
   \"gates\":     [{\"type\", \"blocks\", \"condition\": CONDITION}, ...],
   \"findings\":  [{\"kind\", \"gate\", \"message\", \"next\"}, ...],
   \"overrides\": [{\"gate\", \"status\", \"until\", \"reason\"}, ...],
   \"events\":    [{\"at\", \"type\", \"reason\", \"message\", \"count\"}, ...],
   \"notes\":     [what could not be read, ...]}
CONDITION is {\"status\", \"reason\", \"message\", \"since\", \"observedGeneration\", \"writer\"}.
A kind, such as ConditionMissing or HeldByBudget, keeps its meaning; there may be
more of them, and more keys, in later versions.

KUBECONFIG is honoured as by kubectl. NO_COLOR, where it is set, turns colours off."
)]
pub(super) struct Args {
    /// The pod, as for kubectl: pod NAME or pod/NAME
    #[arg(required = true, num_args = 1.., value_name = "POD")]
    pod: Vec<String>,
    /// What is printed
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Output,
    #[command(flatten)]
    target: Target,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args { pod, output, target } = args;
    let (name, rest) = pod_name(&pod, USAGE)?;
    if !rest.is_empty() {
        return Err(Failure::Input(anyhow!("{}: one pod at a time: write {USAGE}", rest.join(" "))));
    }
    let inspected = target.on(async |to| {
        let inspected = to.cluster.inspect(&to.namespace, name).await;
        inspected.map_err(Failure::input)
    })?;
    let now = Timestamp::now().as_millisecond();
    let report = diagnose::diagnose(&inspected, now);
    match print(&report, output, now) {
        // Nobody reads any more; who started the command may still ask for its exit code.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Failure::Input(anyhow::Error::new(error).context("stdout")));
        }
        _ => {}
    }
    Ok(if report.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &report::Report, output: Output, now: i64) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    match output {
        Output::Json => {
            let text = serde_json::to_string_pretty(report).map_err(io::Error::from)?;
            writeln!(out, "{text}")?;
        }
        Output::Text => out.write_all(text::text(report, now).as_bytes())?,
    }
    out.flush()
}
