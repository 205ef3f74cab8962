//! The compiler's process beside a host: what it is given, how it ends with the host, and what it leaves.

use std::{
    fs,
    os::unix::process::CommandExt as _,
    path::Path,
    time::{Duration, Instant},
};

use gatehost_tests::{
    process::Process,
    wait::{SOON, Seen, until},
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{gatehost, heavy};

/// A host at work on a directory with a component that compiles for long.
struct Bed {
    directory: TempDir,
    host: Process,
}

impl Bed {
    /// With a descriptor that is not meant for anybody else, and a variable that is a secret.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = directory.path().join("files");
        fs::create_dir(&files).unwrap();
        fs::write(files.join("slow.wasm"), heavy::slow()).unwrap();
        let mut shell = std::process::Command::new("/bin/sh");
        let mut command = gatehost(&["dev", "--compile-memory", "2Gi", "--compile-timeout", "100s"]);
        command.arg(&files);
        shell.args(["-c", "exec 9</etc/passwd; exec \"$@\"", "sh"]).arg(command.get_program());
        shell.args(command.get_args()).env("SECRET", "not for strangers").current_dir(directory.path());
        let host = Process::spawn("gatehost", shell, &directory.path().join("log")).unwrap();
        Self { directory, host }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// The compiler, when it has read its component and is at work.
    async fn compiler(&mut self) -> Pid {
        let host = self.host.id();
        until(SOON, "the compiler works", async || {
            self.host.check()?;
            let children = children(host);
            let at_work = children.iter().find(|child| threads(**child) > 2);
            Ok(at_work.map_or_else(|| Seen::NotYet(format!("{children:?}")), |child| Seen::Yes(*child)))
        })
        .await
        .unwrap()
    }
}

/// Those that ended and were not waited for included.
fn children(process: u32) -> Vec<Pid> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<i32>>())
        .filter_map(Pid::from_raw)
        .collect()
}

fn proc(process: Pid, file: &str) -> String {
    let bytes = fs::read(format!("/proc/{}/{file}", process.as_raw_nonzero())).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn threads(process: Pid) -> u32 {
    let status = proc(process, "status");
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

async fn until_gone(process: Pid) {
    let name = format!("/proc/{}", process.as_raw_nonzero());
    until(SOON, "it is gone", async || Ok(Seen::when(!Path::new(&name).exists(), || proc(process, "status"))))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_compiler_is_bounded_and_given_nothing_and_one_that_is_killed_is_tried_again() {
    let mut bed = Bed::new();
    let compiler = bed.compiler().await;
    let limits = proc(compiler, "limits");
    let limit = |name: &str| limits.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert!(limit("Max address space").starts_with("2147483648"), "{limits}");
    assert!(limit("Max cpu time").starts_with("100 "), "{limits}");
    assert!(limit("Max file size").starts_with(&(256 << 20).to_string()), "{limits}");
    assert!(limit("Max core file size").starts_with('0'), "{limits}");
    assert_eq!(proc(compiler, "oom_score_adj").trim(), "1000");
    let stat = proc(compiler, "stat");
    let nice: i32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap();
    assert!(nice >= 10, "{stat}");

    let environment = proc(compiler, "environ");
    let given = ["RAYON_NUM_THREADS=", "MALLOC_ARENA_MAX="];
    let is_given = |line: &str| given.iter().any(|name| line.starts_with(name));
    assert!(environment.split_terminator('\0').all(is_given), "{environment}");
    let files = format!("/proc/{}/", compiler.as_raw_nonzero());
    assert_eq!(fs::read_link(format!("{files}cwd")).unwrap(), Path::new("/"));
    let open = fs::read_dir(format!("{files}fd")).unwrap();
    for file in open.map(|file| fs::read_link(file.unwrap().path()).unwrap_or_default()) {
        let name = file.to_string_lossy().into_owned();
        assert!(name.is_empty() || name.starts_with("pipe:") || name.starts_with("/memfd:gatehost artifact"), "{name}");
    }

    kill_process(compiler, Signal::KILL).unwrap();
    until_gone(compiler).await;
    let told = "the compiler was killed while it worked on it";
    until(SOON, "that is told", async || Ok(Seen::when(bed.log().contains(told), || bed.log()))).await.unwrap();
    // A good turn later, with nobody's help.
    let again = bed.compiler().await;
    assert_ne!(again, compiler);
    assert_eq!(children(bed.host.id()), [again], "one that ended was not waited for");
}

#[tokio::test]
async fn the_compiler_ends_with_the_host_however_that_ends() {
    for signal in [Signal::TERM, Signal::INT, Signal::KILL] {
        let mut bed = Bed::new();
        let compiler = bed.compiler().await;
        let begin = Instant::now();
        bed.host.signal(signal).unwrap();
        let status = bed.host.wait(Duration::from_secs(10)).unwrap();
        assert_eq!(status.success(), signal != Signal::KILL, "{signal:?}: {status}: {}", bed.log());
        until_gone(compiler).await;
        assert!(begin.elapsed() < Duration::from_secs(10), "{signal:?}");
    }
}

#[test]
fn the_verb_is_of_no_use_to_anybody_else() {
    let (code, out, err) = crate::output(gatehost(&["compile-for-host", "what"]).arg0("gatehost"));
    assert_eq!((code, out.as_str()), (71, ""));
    assert_eq!(err, "this verb is for the host itself; `gatehost compile` is for you\n");
    let (_, help, _) = crate::output(&mut gatehost(&["--help"]));
    assert!(!help.contains("compile-for-host"), "{help}");
}
