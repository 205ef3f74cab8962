//! A plugin's first load, next to compiling it alone; and the next host's, next to mapping the artifact alone.

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, ensure};
use gatehost::sandbox::{Caches, Compiler, Digest, Options, Origin, Process, Sandbox};
use wasmtime::component::Component;

use crate::{Size, bare, report::Report};

/// What is there is measured: a plugin in Rust that is small and one that is large, and the examples in each language.
const SHIPPED: [&str; 2] = ["annotation.wasm", "expression.wasm"];

/// More than any of them takes.
const MEMORY: u64 = 2 << 30;
const TIME: Duration = Duration::from_mins(10);

pub(crate) fn run(size: Size) -> Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::new(
        "compile",
        "cold: compiled by a process of its own, written to the cache, mapped, described; warm: by the next host",
    );
    for path in guests()? {
        let wasm = fs::read(&path).with_context(|| path.display().to_string())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Large ones take tens of seconds to compile, and their figures are steady.
        let (cold, warm) = if wasm.len() > 4 << 20 { (size.pick(3, 1), 10) } else { (size.pick(10, 3), 10) };
        runtime.block_on(measure(&mut report, &name, &wasm, cold, warm))?;
    }
    Ok(report)
}

fn guests() -> Result<Vec<PathBuf>> {
    let target = gatehost_tests::target();
    let mut guests: Vec<_> = SHIPPED.iter().map(|name| target.join("plugins").join(name)).collect();
    if let Ok(examples) = fs::read_dir(target.join("examples")) {
        let mut examples = examples.map(|file| file.map(|file| file.path())).collect::<Result<Vec<_>, _>>()?;
        examples.retain(|path| path.extension().is_some_and(|ending| ending == "wasm"));
        examples.sort();
        guests.extend(examples);
    }
    ensure!(guests.iter().all(|path| path.is_file()), "{guests:?}: run `make plugins`");
    Ok(guests)
}

#[expect(unsafe_code, reason = "mapping alone is what is measured")]
async fn measure(report: &mut Report, name: &str, wasm: &[u8], colds: u32, warms: u32) -> Result<()> {
    let on_demand = bare::on_demand()?;
    let pooling = bare::engine()?;
    let directory = tempfile::tempdir()?;
    let artifact = directory.path().join("artifact");
    let [alone, cold, more] =
        ["compiling alone", "cold load", "cold load on top of compiling"].map(|what| format!("{name}: {what}"));
    for _ in 0..colds {
        let (code, time) = timed(|| on_demand.precompile_component(wasm).map_err(plain));
        fs::write(&artifact, code?)?;
        report.add(&alone, "ms", millis(time));
        let cache = tempfile::tempdir()?;
        report.add(&cold, "ms", millis(load(cache.path(), wasm, Origin::Stored).await?));
    }
    report.difference(&more, "ms", &cold, &alone, 1.0);
    let median = report.median(&alone);
    report.aim(&more, (median / 10.0).max(50.0));

    let [map, hash, warm, more] =
        ["mapping alone", "hashing the file alone", "warm load", "warm load on top of hashing"]
            .map(|what| format!("{name}: {what}"));
    load(directory.path(), wasm, Origin::Stored).await?;
    for _ in 0..warms {
        // SAFETY: the engine above has just compiled it, and nobody else knows of the file.
        let (mapped, time) = timed(|| unsafe { Component::deserialize_file(&pooling, &artifact) });
        mapped.map_err(plain)?;
        report.add(&map, "ms", millis(time));
        let (_, time) = timed(|| black_box(Digest::of(wasm)));
        report.add(&hash, "ms", millis(time));
        report.add(&warm, "ms", millis(load(directory.path(), wasm, Origin::Cache).await?));
    }
    report.difference(&more, "ms", &warm, &hash, 1.0);
    report.aim(&more, 30.0);
    Ok(())
}

/// Loads with a host that has loaded nothing before.
async fn load(cache: &Path, wasm: &[u8], origin: Origin) -> Result<Duration> {
    let compiler = compiler()?;
    let caches = Caches { directories: vec![cache.to_owned()], ..Caches::default() };
    let sandbox = Sandbox::with(Options { compiler, caches, ..Options::default() })?;
    let wasm = wasm.to_vec();
    let begin = Instant::now();
    let plugin = sandbox.load(wasm).await?;
    let time = begin.elapsed();
    ensure!(plugin.origin() == origin, "{:?} and not {origin:?}", plugin.origin());
    Ok(time)
}

/// The compiler as the host has it.
pub(crate) fn compiler() -> Result<Compiler> {
    let program = gatehost_tests::gatehost_binary()?;
    Ok(Compiler::Process(Process { program, memory: MEMORY, time: TIME }))
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let done = work();
    (done, begin.elapsed())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn plain(error: wasmtime::Error) -> Error {
    Error::from_boxed(error.into_boxed_dyn_error())
}
