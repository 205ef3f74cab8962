//! A good check, asked 100 times a second, alone and beside a hostile one that is asked about 500 pods which change once a
//! second: from due to verdict, with the quarantine off, so that what is hostile stays at full tilt, and on.
//!
//! Each runs in a process of its own, whose memory is read at the end, and in which /livez is asked ten times a second.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gatehost::serve::{self, Metrics, Pulse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::sleep,
};

use crate::{
    Size,
    beside::{self, GOOD, Host},
    call::{guest, shipped},
    report::{Report, quantile},
    usage,
};

/// The first argument of the process that measures.
pub(crate) const CHILD: &str = "blast-beside";

const PODS: usize = 100;
const HOSTILE: usize = 500;
const ALONE: &str = "alone";

/// By name: the guest, its config, and whether it may be quarantined.
type Beside = (&'static str, &'static str, &'static str, bool);
const BESIDE: [Beside; 6] = [
    ("beside one that spins", "spin", "{}", false),
    ("beside one that eats memory", "eat", "{}", false),
    ("beside one that traps", "panic", "{}", false),
    ("beside one that says too much", "rude", "{}", false),
    ("beside one that spins, quarantined", "spin", "{}", true),
    ("beside one that traps, quarantined", "panic", "{}", true),
];

/// What one process measured.
#[derive(Serialize, Deserialize)]
struct Measured {
    /// In milliseconds.
    took: Vec<f64>,
    livez: Vec<f64>,
    others: f64,
    peak_mib: f64,
}

pub(crate) fn run(size: Size) -> Result<Report> {
    let mut report =
        Report::new("blast", "a good check at 100 calls a second, from due to verdict, beside hostile ones");
    let seconds = size.pick("15", "5");
    let mut alone = 0.0;
    let beside = BESIDE.iter().enumerate().map(|(at, beside)| (beside.0, at.to_string()));
    for (name, at) in std::iter::once((ALONE, ALONE.to_owned())).chain(beside) {
        let measured = measure(&at, seconds)?;
        for took in &measured.took {
            report.add(&format!("{name}: due to verdict"), "ms", *took);
        }
        for took in &measured.livez {
            report.add(&format!("{name}: /livez"), "ms", *took);
        }
        report.add(&format!("{name}: calls of the other"), "/s", measured.others);
        report.add(&format!("{name}: peak memory"), "MiB", measured.peak_mib);
        let p99 = quantile(&measured.took, 0.99);
        if name == ALONE {
            alone = p99;
        } else {
            let figure = format!("{name}: p99");
            report.add(&figure, "ms", p99);
            report.aim(&figure, (1.3 * alone).max(alone + 2.0));
        }
    }
    Ok(report)
}

fn measure(which: &str, seconds: &str) -> Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.args([CHILD, which, seconds]).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "the measuring process failed: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The measuring process: prints what it measured as JSON.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [which, seconds] = arguments else { anyhow::bail!("give who is beside it, and for how many seconds") };
    let beside = which.parse::<usize>().ok().and_then(|at| BESIDE.get(at));
    let span = Duration::from_secs(seconds.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(work(beside, span))?;
    println!("{}", serde_json::to_string(&measured)?);
    // What is still at work ends with the process.
    runtime.shutdown_background();
    Ok(())
}

async fn work(beside: Option<&Beside>, span: Duration) -> Result<Measured> {
    let files = tempfile::tempdir()?;
    beside::check(
        files.path(),
        GOOD,
        &shipped("annotation")?,
        json!({ "config": { "annotation": "example.com/approved" } }),
    )?;
    if let Some((_, plugin, config, _)) = beside {
        beside::check(
            files.path(),
            "hostile",
            &guest(plugin)?,
            json!({ "config": serde_json::from_str::<serde_json::Value>(config)? }),
        )?;
    }
    let mut host = Host::start(files.path(), beside.is_none_or(|beside| beside.3))?;
    host.pods(GOOD, PODS, 0).await?;
    host.until_asked(PODS).await?;
    if beside.is_some() {
        host.pods("hostile", HOSTILE, 0).await?;
        host.change_all_the_time("hostile", HOSTILE);
        sleep(Duration::from_secs(3)).await;
    }
    let (metrics, registry) = Metrics::new();
    let listener = serve::bind("127.0.0.1:0".parse()?).await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(serve::serve(listener, registry, metrics, Pulse::default));
    drop(host.take()?);
    let (begin, mut livez) = (Instant::now(), Vec::new());
    while begin.elapsed() < span {
        let asked = Instant::now();
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        ensure!(answer.starts_with("HTTP/1.0 200"), "/livez says {answer:?}");
        livez.push(asked.elapsed().as_secs_f64() * 1e3);
        sleep(Duration::from_millis(100)).await;
    }
    let happened = host.take()?;
    happened.ensure_right(beside.map_or(ALONE, |beside| beside.0))?;
    serving.abort();
    let peak_mib = usage::of(std::process::id()).context("this process")?.peak_kib / 1024.0;
    #[allow(clippy::cast_precision_loss, reason = "far fewer calls than that")]
    let others = happened.others as f64 / span.as_secs_f64();
    Ok(Measured { took: happened.took, livez, others, peak_mib })
}
