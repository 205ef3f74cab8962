//! Short and full runs of the fault tests, and the figures that they leave.
//!
//! One switch: the environment variable `GATEHOST_SOAK=1`, which `make soak` sets. Without it each test of a fault is
//! done in 30 s.

use std::{fs::OpenOptions, io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

/// Whether faults last, and pods are as many, as the promises name: `GATEHOST_SOAK` is set, and not to `0` or nothing.
pub fn full() -> bool {
    std::env::var("GATEHOST_SOAK").is_ok_and(|value| !value.is_empty() && value != "0")
}

/// `full` in a full run, else `short`: how long, how many.
pub fn scale<T>(short: T, full: T) -> T {
    if self::full() { full } else { short }
}

/// Where [`record`] writes: `faults.jsonl` in cargo's target directory.
pub fn figures() -> PathBuf {
    crate::target().join("faults.jsonl")
}

/// Adds what a test saw as one line of JSON to [`figures`], at once and whole, so that tests that run side by side do
/// not mix their lines: `{"row": ROW, "full": true|false, "figures": {NAME: VALUE, ...}}`. The last line of a row is
/// the one that counts.
///
/// # Errors
/// The file cannot be written.
pub fn record(row: &str, figures: &[(&str, String)]) -> Result<()> {
    let figures: serde_json::Map<_, _> =
        figures.iter().map(|(name, value)| ((*name).to_owned(), Value::String(value.clone()))).collect();
    let line = format!("{}\n", json!({ "row": row, "full": full(), "figures": figures }));
    let path = self::figures();
    let mut file = OpenOptions::new().create(true).append(true).open(&path).context(path.display().to_string())?;
    file.write_all(line.as_bytes()).with_context(|| path.display().to_string())
}
