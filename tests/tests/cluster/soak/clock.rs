//! The wall clock jumps.

use std::{
    fs::OpenOptions,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gatehost_tests::{
    history::History,
    host::Host,
    objects::{APPROVED, condition},
    soak::{record, scale},
    trial::{Trial, path, run},
    wait::SOON,
    workspace,
};
use jiff::Timestamp;
use kube::{ResourceExt as _, api::PostParams};
use serde_json::json;

use super::{another_host, check, idle_pod, make_idle, say, sum, wait_until_right};

const PODS: usize = 20;
const HOUR: i64 = 3600;

/// A wall clock that is shifted in the process that preloads it.
struct Shift {
    library: PathBuf,
    file: PathBuf,
}

impl Shift {
    fn build(folder: &Path) -> Result<Self> {
        let shift = Self { library: folder.join("clock.so"), file: folder.join("shift") };
        let source = workspace().join("tests/shims/clock.c");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"]).arg(&shift.library).arg(&source);
        let output = command.arg("-ldl").output().context("cc: a C compiler is missing")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::write(&shift.file, 0i64.to_ne_bytes())?;
        Ok(shift)
    }

    /// In place: the process has the file mapped.
    fn set(&self, seconds: i64) -> Result<()> {
        Ok(OpenOptions::new().write(true).open(&self.file)?.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}

/// How far from now the gate of a pod turned, in seconds.
async fn turned_at(t: &Trial, pod: &str) -> Result<i64> {
    let pod = t.pods().get(pod).await?;
    let time = condition(&pod, APPROVED).and_then(|c| c.last_transition_time.as_ref()).context("no transition time")?;
    Ok(time.0.as_second() - Timestamp::now().as_second())
}

/// Calls a second, over a while.
async fn rate(host: &Host, over: Duration) -> Result<f64> {
    let (begin, before) = (Instant::now(), sum(host, "gatehost_evaluations_total").await?);
    tokio::time::sleep(over).await;
    Ok((sum(host, "gatehost_evaluations_total").await? - before) / begin.elapsed().as_secs_f64())
}

#[test]
fn a_wall_clock_that_jumps_by_an_hour_moves_no_schedule_and_no_transition_time_backwards() {
    run(async |t: &mut Trial| {
        let shift = Shift::build(&t.scratch("shim"))?;
        let env = [("LD_PRELOAD", path(&shift.library)?), ("CLOCK_SHIFT_FILE", path(&shift.file)?)];
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", check("yes", 1, &json!({})));
        make_idle(t, 0..PODS, "no").await?;
        let kubeconfig = t.deployed_kubeconfig().await?;
        let host = another_host(t, &kubeconfig, &env, "host").await?;
        let pods = wait_until_right(t, "yes", SOON).await?;
        let pod = pods[0].name_any();
        let history = History::open(t.pods(), APPROVED).await?;
        let over = scale(Duration::from_secs(4), Duration::from_secs(30));
        let before = rate(&host, over).await?;

        shift.set(HOUR)?;
        let ahead = rate(&host, over).await?;
        say(t, 0..PODS, "yes").await?;
        wait_until_right(t, "yes", SOON).await?;
        let turned = turned_at(t, &pod).await?;
        assert!((HOUR - 60..=HOUR).contains(&turned), "the shim does not work: turned {turned} s from now");

        shift.set(-HOUR)?;
        let behind = rate(&host, over).await?;
        say(t, 0..PODS, "no").await?;
        wait_until_right(t, "yes", SOON).await?;
        let kept = turned_at(t, &pod).await?;
        assert!((HOUR - 120..=HOUR).contains(&kept), "turned {kept} s from now");
        // A gate without a past has the time of the clock as it is.
        t.pods().create(&PostParams::default(), &serde_json::from_value(idle_pod("new", &[APPROVED], "yes"))?).await?;
        wait_until_right(t, "yes", SOON).await?;
        let fresh = turned_at(t, "new").await?;
        assert!((-HOUR - 60..=-HOUR).contains(&fresh), "the shim does not work: turned {fresh} s from now");

        let rates = [before, ahead, behind];
        assert!(rates.iter().all(|rate| (0.6..1.5).contains(&(rate / before))), "calls a second: {rates:?}");
        let backwards = history.backwards();
        assert!(backwards.is_empty(), "{backwards:?}");
        record(
            "clock",
            &[
                ("jumps, s", format!("+{HOUR}, -{}", 2 * HOUR)),
                ("calls a second before", format!("{before:.1}")),
                ("calls a second an hour ahead", format!("{ahead:.1}")),
                ("calls a second an hour behind", format!("{behind:.1}")),
                ("transition times that ran backwards", backwards.len().to_string()),
            ],
        )
    });
}
