//! The compiler's process, seen from the host: started, fed, watched, and judged by how it ended.

use std::{
    fs::File,
    io,
    os::unix::process::{CommandExt as _, ExitStatusExt as _},
    process::{self, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    join,
    process::Command,
    time::timeout,
};

use super::{
    Process,
    budget::Budget,
    order::{INVALID, NO_MEMORY, Order, VERB},
};
use crate::{decide::sanitize, sandbox::load::LoadError};

/// How many threads compile at most: each adds to the memory that one component takes.
const THREADS: usize = 2;

/// How many bytes are kept of what it says.
const TOLD: u64 = 4 << 10;

/// What Rust says on its way to abort, where the allocator has nothing left.
const ALLOCATION: &str = "memory allocation of ";

/// What is said where there is no room for the stacks of threads.
const THREAD: &str = "ThreadPoolBuildError";

/// Has a component compiled into `artifact`. Dropping the future ends the process.
pub(super) async fn compile(
    process: &Process,
    order: Order,
    budget: Budget,
    component: &[u8],
    artifact: &File,
) -> Result<(), LoadError> {
    let mut child = command(process, order, artifact).and_then(|mut c| c.spawn()).map_err(LoadError::Compiler)?;
    let (input, told) = (child.stdin.take(), child.stderr.take());
    let (Some(mut input), Some(told)) = (input, told) else {
        return Err(LoadError::Compiler(io::Error::other("its pipes are missing")));
    };
    // `input` stays open until the process has ended: it ends when that is closed.
    let work = async { join!(feed(&mut input, component), listen(told), child.wait()) };
    let Ok(((), told, status)) = timeout(process.time, work).await else {
        child.kill().await.map_err(LoadError::Compiler)?;
        return Err(LoadError::CompilerTime { limit: process.time });
    };
    judge(status.map_err(LoadError::Compiler)?, &told, &order, budget)
}

/// Nothing of the host's is handed on but the three descriptors: no environment of its own, and everything else that the host opens
/// is closed by `exec`.
fn command(process: &Process, order: Order, artifact: &File) -> io::Result<Command> {
    let threads = thread::available_parallelism().map_or(1, Into::into).min(THREADS);
    let mut command = process::Command::new(&process.program);
    command
        .arg(VERB)
        .args(order.words())
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        // Of glibc's heaps each reserves 64 MiB, so there are no more than threads that compile; with fewer these wait for
        // each other.
        .env("MALLOC_ARENA_MAX", threads.to_string())
        .current_dir("/")
        // Ctrl-C is for the host, which ends it in order.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(artifact.try_clone()?)
        .stderr(Stdio::piped());
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    Ok(command)
}

/// A process that ends before it has read everything is judged by how it ended.
async fn feed(input: &mut (impl AsyncWrite + Unpin), component: &[u8]) {
    let length = (component.len() as u64).to_le_bytes();
    if input.write_all(&length).await.is_ok() && input.write_all(component).await.is_ok() {
        let _ = input.flush().await;
    }
}

async fn listen(told: impl AsyncRead + Unpin) -> String {
    let (mut text, mut told) = (Vec::new(), told.take(TOLD));
    // What was read before an error is told.
    let _ = told.read_to_end(&mut text).await;
    let _ = tokio::io::copy(&mut told.into_inner(), &mut tokio::io::sink()).await;
    sanitize::text(String::from_utf8_lossy(&text).trim(), 1 << 10)
}

fn judge(status: ExitStatus, told: &str, order: &Order, budget: Budget) -> Result<(), LoadError> {
    let signal = status.signal();
    let is = |of: Signal| signal == Some(of.as_raw());
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Err(match code {
        Some(0) => return Ok(()),
        Some(INVALID) => LoadError::Invalid(told.into()),
        Some(NO_MEMORY) => LoadError::CompilerMemory(budget),
        _ if is(Signal::ABORT) && told.contains(ALLOCATION) => LoadError::CompilerMemory(budget),
        _ if told.contains(THREAD) => LoadError::CompilerMemory(budget),
        _ if is(Signal::XCPU) => LoadError::CompilerTime { limit: order.time },
        _ if is(Signal::XFSZ) => LoadError::CompilerArtifact { limit: order.artifact },
        _ if is(Signal::KILL) => LoadError::CompilerKilled,
        _ => LoadError::CompilerCrashed { how: how(status, told) },
    })
}

fn how(status: ExitStatus, told: &str) -> String {
    if told.is_empty() { status.to_string() } else { format!("{status}: {told}") }
}

/// The longest that it may take, in whole seconds.
pub(super) fn whole_seconds(time: Duration) -> Duration {
    Duration::from_secs(time.as_secs() + u64::from(time.subsec_nanos() > 0)).max(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::engine::{Cpu, Room};

    fn judged(raw: i32, told: &str) -> Result<(), LoadError> {
        let order =
            Order { cpu: Cpu::Native, room: Room::Pool, memory: 1, time: Duration::from_secs(3), artifact: 64 << 20 };
        judge(ExitStatus::from_raw(raw), told, &order, Budget { memory: 256 << 20, container: None })
    }

    #[test]
    fn each_end_of_the_compiler_is_an_error_of_its_own() {
        let exit = |code: u8| i32::from(code) << 8;
        assert!(judged(exit(0), "").is_ok());
        let says = |raw, told, what: &str| {
            let line = judged(raw, told).unwrap_err().to_string();
            assert!(line.contains(what), "{line}");
        };
        says(exit(INVALID), "unexpected end", "not a component that this host can compile");
        says(exit(NO_MEMORY), "", "more than 256 MiB of memory");
        says(6, "memory allocation of 4096 bytes failed", "more than 256 MiB of memory");
        says(exit(101), "thread panicked: ThreadPoolBuildError { .. }", "more than 256 MiB of memory");
        says(24, "", "more than 3 s");
        says(25, "", "more than 64 MiB of code");
        says(9, "", "was killed");
        says(11, "", "crashed on it: signal: 11 (SIGSEGV)");
        says(exit(101), "a panic", "crashed on it: exit status: 101: a panic");
    }
}
