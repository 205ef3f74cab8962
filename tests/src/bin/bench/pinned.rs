//! A process that measures, on one core: pinned before its runtimes count the cores.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;

/// Runs this program again on the first core that it may run on: `child` and `arguments` are what it is given. What it
/// prints, read as JSON.
pub(crate) fn run<T: DeserializeOwned>(child: &str, arguments: &[&str]) -> Result<T> {
    run_on(1, child, arguments)
}

/// The same on the first so many cores.
pub(crate) fn run_on<T: DeserializeOwned>(cores: usize, child: &str, arguments: &[&str]) -> Result<T> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &first(cores)?]).arg(std::env::current_exe()?).arg(child).args(arguments);
    let output = command.stderr(Stdio::inherit()).output().context("taskset (of util-linux)")?;
    ensure!(output.status.success(), "the measuring process failed: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The first cores that this process may run on, as taskset reads them.
fn first(cores: usize) -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no list of cores")?;
    let mut all = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        all.extend(first.parse::<usize>()?..=last.parse()?);
    }
    ensure!(all.len() >= cores, "{cores} cores are wanted, and there are {}", all.len());
    Ok(all[..cores].iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}
