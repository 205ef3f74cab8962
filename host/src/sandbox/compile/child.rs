//! The compiler's process, seen from inside: it limits itself before it reads a byte of the component, and ends with the
//! process that started it.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    os::fd::AsFd as _,
    process::ExitCode,
    thread,
};

use rustix::process::{Resource, Rlimit, Signal, getpid, getrlimit, kill_process, nice, setrlimit};

use super::{
    compile,
    order::{BROKEN, INVALID, NO_MEMORY, Order},
};

/// How much nicer it is than the host's own threads, which is as nice as a process can be: guests, which are less so, are
/// asked meanwhile.
const NICE: i32 = 19;

/// How many descriptors it may have: its own three, their doubles, and what the C library opens for a moment.
const FILES: u64 = 16;

enum Failed {
    Invalid(String),
    Memory,
    Broken(String),
}

/// Compiles one component for the process that started this one: from stdin, its length in front, to stdout. Stdin stays
/// open for as long as that process lives. What is wrong is one line on stderr.
pub fn compile_for_host(order: &[String]) -> ExitCode {
    let (code, line) = match work(order) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::Invalid(line)) => (INVALID, line),
        Err(Failed::Memory) => (NO_MEMORY, "out of memory".to_owned()),
        Err(Failed::Broken(line)) => (BROKEN, line),
    };
    // Whoever reads this sees the exit code, too.
    let _ = writeln!(io::stderr(), "{}", line.replace(['\n', '\r'], " "));
    code.into()
}

fn work(order: &[String]) -> Result<(), Failed> {
    let broken = |what: &str, error: io::Error| match error.kind() {
        io::ErrorKind::OutOfMemory => Failed::Memory,
        _ => Failed::Broken(format!("{what}: {error}")),
    };
    let wrong = || Failed::Broken("this verb is for the host itself; `gatehost compile` is for you".to_owned());
    let order = Order::parse(order).ok_or_else(wrong)?;
    limit(&order).map_err(|error| broken("it cannot limit itself", error))?;
    let open = |fd: io::Result<_>| fd.map(File::from).map_err(|error| broken("its descriptors", error));
    let mut input = open(io::stdin().as_fd().try_clone_to_owned())?;
    let mut output = open(io::stdout().as_fd().try_clone_to_owned())?;
    let component = read(&mut input).map_err(|error| broken("the component", error))?;
    let leash = thread::Builder::new().name("leash".to_owned()).spawn(move || end_with_parent(input));
    // All that it needs is memory for a stack.
    leash.map_err(|_| Failed::Memory)?;
    let artifact = compile(order.cpu, order.room, &component)
        .map_err(|error| if is_memory(&error) { Failed::Memory } else { Failed::Invalid(format!("{error:#}")) })?;
    output.write_all(&artifact).map_err(|error| broken("the artifact", error))
}

/// From here on it can do no more harm than the order says. Being limited is always allowed.
fn limit(order: &Order) -> io::Result<()> {
    let lower = |resource, to: u64, grace| {
        let hard = getrlimit(resource).maximum.unwrap_or(u64::MAX).min(to.saturating_add(grace));
        setrlimit(resource, Rlimit { current: Some(to.min(hard)), maximum: Some(hard) })
    };
    lower(Resource::As, order.memory, 0)?;
    // At the first a signal that tells what happened ends it; at the second the kernel would kill it.
    lower(Resource::Cpu, order.time.as_secs(), 1)?;
    lower(Resource::Fsize, order.artifact, 0)?;
    lower(Resource::Core, 0, 0)?;
    lower(Resource::Nofile, FILES, 0)?;
    // Where these are refused it works all the same.
    let _ = nice(NICE);
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

fn read(input: &mut File) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    input.read_exact(&mut length)?;
    let length = usize::try_from(u64::from_le_bytes(length)).map_err(io::Error::other)?;
    let mut component = Vec::new();
    component.try_reserve_exact(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
    component.resize(length, 0);
    input.read_exact(&mut component)?;
    Ok(component)
}

/// The other end of the pipe is closed when the host ends, however it ends.
fn end_with_parent(mut input: File) {
    let _ = input.read(&mut [0]);
    let _ = kill_process(getpid(), Signal::KILL);
}

fn is_memory(error: &wasmtime::Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error.is::<wasmtime::OutOfMemory>() || error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::OutOfMemory))
}
