//! A plugin replaced again and again while others are called 1,000 times a second: from due to verdict of the others, next
//! to no reload.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, ensure};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    Size,
    beside::{self, GOOD, Host},
    call::shipped,
    reload::rebuilt,
    report::{Report, quantile},
};

const PODS: usize = 1000;
const REPLACED: &str = "replaced";
const REPLACED_PODS: usize = 20;
/// Between two of them; compiling takes longer.
const PAUSE: Duration = Duration::from_millis(200);

const WITHOUT: &str = "without reloads: due to verdict";
const DURING: &str = "during reloads: due to verdict";

pub(crate) fn run(size: Size) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(size.pick(100, 10)));
    // The host lives on: it ends with the process.
    runtime.shutdown_background();
    report
}

async fn measure(reloads: u32) -> Result<Report> {
    let mut report = Report::new("swaps", &format!("{reloads} reloads while others are called {PODS} times a second"));
    let (dir, wasm) = (tempfile::tempdir()?, shipped("annotation")?);
    let files = dir.path().join("files");
    fs::create_dir(&files)?;
    let spec = json!({ "config": { "annotation": "example.com/approved" } });
    beside::check(&files, GOOD, &wasm, spec.clone())?;
    beside::check(&files, REPLACED, &rebuilt(&wasm, 0), spec)?;
    let mut host = Host::start(&files, true)?;
    host.pods(GOOD, PODS, 0).await?;
    host.pods(REPLACED, REPLACED_PODS, 0).await?;
    host.until_asked(PODS).await?;
    sleep(Duration::from_secs(2)).await;
    drop(host.take()?);
    sleep(Duration::from_secs(10)).await;
    let without = host.take()?;
    without.ensure_right("without reloads")?;
    for round in 1..=reloads {
        place(&dir.path().join("new"), &files, &rebuilt(&wasm, round))?;
        host.until_versions(REPLACED, 1 + usize::try_from(round)?).await?;
        sleep(PAUSE).await;
    }
    let during = host.take()?;
    during.ensure_right("during reloads")?;
    ensure!(host.lost() == 0, "{} gates were lost", host.lost());
    for (name, took) in [(WITHOUT, &without.took), (DURING, &during.took)] {
        for took in took {
            report.add(name, "ms", *took);
        }
    }
    let [without, during] = [without, during].map(|happened| quantile(&happened.took, 0.99));
    report.add("during reloads: p99", "ms", during);
    report.aim("during reloads: p99", (1.2 * without).max(without + 2.0));
    Ok(report)
}

fn place(partial: &Path, files: &Path, wasm: &[u8]) -> Result<()> {
    fs::write(partial, wasm)?;
    Ok(fs::rename(partial, files.join(REPLACED).with_extension("wasm"))?)
}
