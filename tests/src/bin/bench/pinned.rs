//! A process that measures, on one core: pinned before its runtimes count the cores.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde::de::DeserializeOwned;

/// Runs this program again on the first core that it may run on: `child` and `arguments` are what it is given. What it
/// prints, read as JSON.
pub(crate) fn run<T: DeserializeOwned>(child: &str, arguments: &[&str]) -> Result<T> {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &first_core()?]).arg(std::env::current_exe()?).arg(child).args(arguments);
    let output = command.stderr(Stdio::inherit()).output().context("taskset (of util-linux)")?;
    ensure!(output.status.success(), "the measuring process failed: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The first core that this process may run on.
fn first_core() -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).context("no list of cores")?;
    Ok(list.trim().split([',', '-']).next().unwrap_or("0").to_owned())
}
