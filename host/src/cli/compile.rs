//! `gatehost compile`: fills a cache ahead of time.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use tokio::{pin, runtime::Builder, time::timeout};

use super::{
    Failure, check_directories,
    compiling::Compiling,
    logging::{Format, Logs, Sink},
};
use crate::{
    catalog,
    sandbox::{self, Caches, Cpu, MAX_FILE, Origin, Sandbox},
};

/// What takes longer is announced.
const LONG: Duration = Duration::from_secs(2);

/// Compile plugins into a cache, ahead of time
#[derive(Debug, clap::Args)]
#[command(
    long_about = "\
Compile plugins into a cache, ahead of time: for an image that holds its plugins compiled, or in an init container. A \
host that is started with the same --cache maps them instead of compiling them, which for a plugin made with Python \
saves most of its start.

Each plugin is loaded as `gatehost run` would load it, so what fails here would fail there. What is compiled runs on \
every machine of this architecture, unless --native makes use of what this one has; a host takes both. It is of use \
only to the same version of gatehost; another one compiles anew.

Compiled plugins are kept in DIR/gatehost, which is made with a mode that lets everybody read and only this user \
write. A host runs what it finds there where the directory belongs to its own user or to root.",
    after_help = "\
Examples:
  gatehost compile ./checks --cache ./cache        then: gatehost run ./checks --cache ./cache
  RUN [\"/usr/local/bin/gatehost\", \"compile\", \"/plugins\", \"--cache\", \"/cache\"]
                                                   in a Dockerfile, as root

Exit codes:
  0  every plugin is in the cache
  1  a plugin is not: it cannot be loaded or its code cannot be kept
  2  a flag or a directory is wrong, or there is no plugin in the directories

The document of -o json, sorted by file:
  {\"plugins\": [{\"file\", \"result\": \"compiled\", \"cached\" or \"failed\",
               \"error\": null or a line}, ...]}"
)]
pub(super) struct Args {
    /// Directories with plugins
    #[arg(required = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directories: Vec<PathBuf>,
    /// The directory that the cache is made in
    #[arg(long, required = true, value_name = "DIR", env = "GATEHOST_CACHE", value_hint = clap::ValueHint::DirPath)]
    cache: PathBuf,
    /// Compile for this machine's processor, and not for every one of its architecture
    #[arg(long)]
    native: bool,
    /// What is printed
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Output,
    #[command(flatten)]
    compiling: Compiling,
    #[command(flatten)]
    logs: Logs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// One line a plugin
    Text,
    /// One JSON document
    Json,
}

#[derive(Serialize)]
struct Document<'a> {
    plugins: &'a [Line],
}

#[derive(Serialize)]
struct Line {
    file: PathBuf,
    result: &'static str,
    error: Option<String>,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    check_directories(&args.directories)?;
    check_directories(std::slice::from_ref(&args.cache))?;
    let files = plugins(&args.directories)?;
    args.logs.start("warn", Format::Text, Sink::Stderr)?;
    let cpu = if args.native { Cpu::Native } else { Cpu::Baseline };
    let options = sandbox::Options { cpu, caches: Caches { fill: true, ..Caches::default() }, ..Default::default() };
    let sandbox = Sandbox::with(args.compiling.options(options, vec![args.cache])).map_err(Failure::Input)?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("the runtime does not start")?;
    let mut lines = Vec::new();
    for file in files {
        let line = runtime.block_on(compile(&sandbox, &file));
        if args.output == Output::Text {
            tell(&line)?;
        }
        lines.push(line);
    }
    if args.output == Output::Json {
        let mut out = io::stdout().lock();
        let document = Document { plugins: &lines };
        serde_json::to_writer_pretty(&mut out, &document).map_err(|e| anyhow::Error::from(io::Error::from(e)))?;
        writeln!(out).map_err(anyhow::Error::from)?;
    }
    let failed = lines.iter().any(|line| line.error.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The plugins in the directories, as the catalog sees them.
fn plugins(directories: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for directory in directories {
        let unreadable = |e: io::Error| Failure::Input(anyhow!("{}: cannot be read: {e}", directory.display()));
        let listed = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        files.extend(listed.map_err(unreadable)?.into_iter().map(|entry| entry.path()).filter(|path| is_plugin(path)));
    }
    files.sort();
    files.dedup();
    if files.is_empty() {
        return Err(Failure::Input(anyhow!("no plugins: the directories hold no file that ends in .wasm")));
    }
    Ok(files)
}

fn is_plugin(path: &Path) -> bool {
    let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !is_hidden && path.extension().is_some_and(|ending| ending == "wasm") && path.is_file()
}

async fn compile(sandbox: &Sandbox, file: &Path) -> Line {
    let work = load(sandbox, file);
    pin!(work);
    let done = if let Ok(done) = timeout(LONG, &mut work).await {
        done
    } else {
        // Nobody may be reading stderr.
        let _ = writeln!(io::stderr(), "compiling {} ...", file.display());
        work.await
    };
    let (result, error) = match done {
        Ok(Origin::Cache) => ("cached", None),
        Ok(Origin::Stored) => ("compiled", None),
        Ok(Origin::Compiled) => ("failed", Some("its code cannot be kept in the cache".to_owned())),
        Err(error) => ("failed", Some(error)),
    };
    Line { file: file.to_owned(), result, error }
}

async fn load(sandbox: &Sandbox, file: &Path) -> Result<Origin, String> {
    let unreadable = |e: io::Error| format!("cannot be read: {e}");
    let size = fs::metadata(file).map_err(unreadable)?.len();
    // One that is too large is not read; what is said of it needs no more than its size.
    let bytes = if size > MAX_FILE { return Err(too_large(size)) } else { fs::read(file).map_err(unreadable)? };
    sandbox.load(bytes).await.map(|plugin| plugin.origin()).map_err(|error| catalog::one_line(&error))
}

fn too_large(size: u64) -> String {
    sandbox::LoadError::TooLarge { size }.to_string()
}

fn tell(line: &Line) -> Result<(), Failure> {
    let Line { file, result, error } = line;
    let mut out = io::stdout().lock();
    let written = match error {
        None => writeln!(out, "{result}  {}", file.display()),
        Some(error) => writeln!(out, "{result}    {}: {error}", file.display()),
    };
    written.and_then(|()| out.flush()).map_err(|error| Failure::Work(error.into()))
}
