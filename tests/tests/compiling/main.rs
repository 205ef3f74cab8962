//! Compiling in a process of its own, and the cache of what comes of it: what is bounded, what is kept, what is refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use gatehost::sandbox::{Caches, Compiler, Options, Process, Sandbox};

mod cache;
mod compiler;
mod heavy;
mod process;
mod reload;
mod verb;

/// More than compiling any guest takes.
const MEMORY: u64 = 1 << 30;

/// Long enough for any guest on a busy machine.
const ENOUGH: Duration = Duration::from_mins(3);

/// A guest's file.
fn guest(name: &str) -> PathBuf {
    let path = gatehost_tests::target().join("wasm32-wasip2/plugin/examples").join(name).with_extension("wasm");
    assert!(path.is_file(), "{}: is missing; build it with `make guests`", path.display());
    path
}

fn elsewhere(memory: u64, time: Duration) -> Options {
    let program = gatehost_tests::gatehost_binary().unwrap();
    Options { compiler: Compiler::Process(Process { program, memory, time }), ..Options::default() }
}

/// A sandbox that compiles in this process, with a cache.
fn with_cache(directory: &Path) -> Sandbox {
    let caches = Caches { directories: vec![directory.to_owned()], ..Caches::default() };
    Sandbox::with(Options { caches, ..Options::default() }).unwrap()
}

/// The command, in an environment where nothing of this machine decides what it does.
fn gatehost(args: &[&str]) -> Command {
    let mut command = Command::new(gatehost_tests::gatehost_binary().unwrap());
    command.args(args).env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// Exit code, stdout and stderr.
fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The names in a directory, sorted; nothing where it is missing.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
