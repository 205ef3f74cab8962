//! What a process has used.

use std::{fs, time::Duration};

use anyhow::{Context as _, Result};
use rustix::time::{ClockId, clock_gettime};

/// The kernel counts processor time for others in these.
const TICK: Duration = Duration::from_millis(10);

/// What a process has used since it began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Processor time of all its threads, those that have ended included; in steps of 10 ms.
    pub(crate) cpu: Duration,
    /// Resident memory now.
    pub(crate) resident_kib: f64,
    /// The most it ever was.
    pub(crate) peak_kib: f64,
}

/// The processor time of this process.
pub(crate) fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// What another process has used.
pub(crate) fn of(id: u32) -> Result<Usage> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).context("the process is gone");
    let (stat, status) = (read("stat")?, read("status")?);
    // The name, in parentheses, may hold anything.
    let fields: Vec<_> = stat.rsplit_once(')').context("no name")?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u32>().ok()).context("no times");
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().context("no size")
    };
    Ok(Usage { cpu: TICK * (ticks(11)? + ticks(12)?), resident_kib: kib("VmRSS:")?, peak_kib: kib("VmHWM:")? })
}
