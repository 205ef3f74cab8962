//! A plugin renamed into place to the first verdict by the new code, next to compiling alone.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use gatehost::{
    catalog::{self, Catalog},
    dispatch::{self, Call, Core, Event, Inputs, Note, Observer, Outcome, Patch, Writer, drive},
    pod::{Pod, Seen},
    sandbox::{Evaluated, Sandbox},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{Size, bare, report::Report};

const GATE: &str = "example.com/approved";

/// Longer than any reload takes.
const BOUND: Duration = Duration::from_mins(1);

const CHECK: &str = "apiVersion: gatehost.dev/v1alpha1
kind: Check
metadata: {name: approved}
spec:
  gate: example.com/approved
  plugin: annotation.wasm
  config: {annotation: example.com/approved}
  periodSeconds: 3600
  startWhen: always
  failureThreshold: 1
";

pub(crate) fn run(size: Size) -> Result<Report> {
    let path = gatehost_tests::target().join("plugins/annotation.wasm");
    let wasm = fs::read(&path).with_context(|| format!("{}: run `make plugins`", path.display()))?;
    let sandbox = Sandbox::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(sandbox.clone(), wasm, size.pick(25, 5)));
    // The host lives on: it ends with the process.
    runtime.shutdown_background();
    report
}

async fn measure(sandbox: Sandbox, wasm: Vec<u8>, rounds: u32) -> Result<Report> {
    let mut report = Report::new("reload", "`annotation` renamed into place to the first verdict by the new code");
    let dir = tempfile::tempdir()?;
    let files = dir.path().join("files");
    fs::create_dir(&files)?;
    fs::write(files.join("check.yaml"), CHECK)?;
    place(&dir.path().join("new"), &files, &wasm)?;
    let mut answers = start_host(&files, sandbox).await?;
    let mut generation = next(&mut answers, 0).await?;
    let engine = bare::engine()?;
    for round in 0..=rounds {
        let wasm = rebuilt(&wasm, round);
        let begin = Instant::now();
        bare::compile(&engine, &wasm)?;
        let compiled = begin.elapsed();
        let begin = Instant::now();
        place(&dir.path().join("new"), &files, &wasm)?;
        generation = next(&mut answers, generation).await?;
        let live = begin.elapsed();
        if round > 0 {
            let millis = |time: Duration| time.as_secs_f64() * 1e3;
            report.add("renamed into place to first verdict", "ms", millis(live));
            report.add("compiling alone", "ms", millis(compiled));
            report.add("on top of compiling", "ms", millis(live) - millis(compiled));
        }
    }
    report.aim("on top of compiling", 300.0);
    Ok(report)
}

/// Another file with the same code, as a build with another comment would be: a custom section of its own at the end.
pub(crate) fn rebuilt(wasm: &[u8], round: u32) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    wasm.extend([0, 6, 1, b'n']);
    wasm.extend(round.to_le_bytes());
    wasm
}

fn place(partial: &Path, files: &Path, wasm: &[u8]) -> Result<()> {
    fs::write(partial, wasm)?;
    Ok(fs::rename(partial, files.join("annotation.wasm"))?)
}

/// The host without a cluster: the catalog and dispatch, one gated pod, and writes that always succeed.
async fn start_host(files: &Path, sandbox: Sandbox) -> Result<mpsc::UnboundedReceiver<u64>> {
    let options = catalog::Options::default();
    let (catalog, scanning) = Catalog::start(vec![files.to_owned()], options, sandbox)?;
    tokio::spawn(scanning);
    let (pods, events) = mpsc::channel(8);
    let pod = Pod { uid: "u".into(), name: "p".into(), gates: vec![GATE.into()], ..Pod::default() };
    pods.send(Event::Pod(0, Box::new(Seen { pod, ..Seen::default() }))).await?;
    let (answers, answered) = mpsc::unbounded_channel();
    let inputs = Inputs { catalog, events, writer: Paper, options: dispatch::Options::default() };
    tokio::spawn(async move {
        // Dropped, they would end the host.
        let _pods = pods;
        let (_stop, stopped) = oneshot::channel::<()>();
        drive(inputs, Generations(answers), async { drop(stopped.await) }).await
    });
    Ok(answered)
}

/// Waits for an answer by code of a later generation; that generation.
async fn next(answers: &mut mpsc::UnboundedReceiver<u64>, after: u64) -> Result<u64> {
    loop {
        match timeout(BOUND, answers.recv()).await.context("no verdict by the new code")? {
            Some(generation) if generation > after => return Ok(generation),
            Some(_) => {}
            None => bail!("the host ended"),
        }
    }
}

/// Takes every write.
#[derive(Clone)]
pub(crate) struct Paper;

impl Writer for Paper {
    async fn write(&self, _: Patch) -> Outcome {
        Outcome::Written(None)
    }
}

/// Reports the generation of each answer.
struct Generations(mpsc::UnboundedSender<u64>);

impl Observer for Generations {
    fn answered(&mut self, call: &Call, ended: &Evaluated, _: Duration) {
        if ended.answer.is_ok() {
            // Nobody listens any more once all is measured.
            let _ = self.0.send(call.generation);
        }
    }

    fn wrote(&mut self, _: &Patch, _: &Outcome, _: Duration) {}

    fn noted(&mut self, _: &Note) {}

    fn changed(&mut self, _: &Core) {}
}
