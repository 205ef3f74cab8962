//! The host among full disks, closed pipes and files that somebody meant ill with.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail where it stands")]

use std::{
    fs::{self, OpenOptions, Permissions},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use gatehost_tests::gatehost_binary;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};

/// How long anything may take that is waited for.
const BOUND: Duration = Duration::from_mins(1);

/// The command, in an environment where nothing of this machine decides what it does.
fn gatehost(args: &[&str]) -> Command {
    let mut command = Command::new(gatehost_binary().unwrap());
    command.args(args).env_clear().env("HOME", "/nonexistent").stdin(Stdio::null());
    command
}

/// `gatehost run` on an API server that is not there, serving at `port`.
fn run(directory: &Path, port: u16) -> Command {
    run_on("127.0.0.1:1", directory, port)
}

fn run_on(server: &str, directory: &Path, port: u16) -> Command {
    let kubeconfig = directory.join("kubeconfig");
    let config = json!({
        "current-context": "none", "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
        "clusters": [{"name": "none", "cluster": {"server": format!("http://{server}")}}],
        "users": [{"name": "none", "user": {}}],
    });
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let mut command = gatehost(&["run", "--listen", &format!("127.0.0.1:{port}")]);
    command.arg("--kubeconfig").arg(kubeconfig).arg(directory);
    command
}

/// A child that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Ends it with SIGTERM; its exit code.
    fn end(&mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), Signal::TERM).unwrap();
        until("the process ends", || self.0.try_wait().unwrap()).code()
    }
}

/// Looks until there is something, for at most [`BOUND`].
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "waited {BOUND:?} until {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Whether the host has taken its catalog in, which it logs as well.
fn has_read_its_directories(port: u16) -> Option<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
    BufReader::new(stream).lines().map_while(Result::ok).find(|l| l == "gatehost_catalog_generation 1").map(drop)
}

#[test]
fn a_host_whose_log_cannot_be_written_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for log in [Stdio::from(full), Stdio::piped()] {
        let port = free_port();
        let mut host = Running::start(run(directory.path(), port).stderr(log));
        // Of the pipe, nobody reads the other end.
        drop(host.0.stderr.take());
        until("the directories are read", || {
            assert_eq!(host.0.try_wait().unwrap(), None, "it ended");
            has_read_its_directories(port)
        });
        assert_eq!(host.end(), Some(0));
    }
}

#[test]
fn what_is_wrong_with_a_file_is_told_without_its_control_characters() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("key.yaml"), "\"\\e[32mk\": 1\n\"\\e[32mk\": 2\n").unwrap();
    fs::write(directory.path().join("\u{1b}[35mname.yaml"), "kind: Chekc\nmore: \"\\u202e\"").unwrap();
    let mut command = gatehost(&["dev", "--once", "-o", "json"]);
    let Output { stdout, .. } = command.arg(directory.path()).output().unwrap();
    let document: Value = serde_json::from_slice(&stdout).unwrap();
    let errors = document["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{document:#}");
    for text in errors.iter().flat_map(|e| [&e["file"], &e["error"]]) {
        assert!(!text.as_str().unwrap().chars().any(char::is_control), "{text}");
    }
}

#[test]
fn a_variable_that_is_set_to_nothing_is_not_set() {
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = run(directory.path(), port);
    for name in ["CONTEXT", "NAMESPACE", "POD_SELECTOR", "DRY_RUN", "LISTEN", "LOG", "LOG_FORMAT", "KUBECONFIG"] {
        command.env(format!("GATEHOST_{name}"), "");
    }
    let mut host = Running::start(command.stderr(Stdio::piped()));
    until("the directories are read", || {
        assert_eq!(host.0.try_wait().unwrap(), None, "it ended");
        has_read_its_directories(port)
    });
    assert_eq!(host.end(), Some(0));
    let told = std::io::read_to_string(host.0.stderr.take().unwrap()).unwrap();
    assert!(told.contains("no usable check"), "no log: {told}");
}

#[test]
fn a_namespace_that_is_none_is_exit_2() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a b", "../../x", "shop,Up"] {
        let Output { status, stderr, .. } = run(directory.path(), 0).args(["--namespace", name]).output().unwrap();
        let told = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(2), "{told}");
        assert!(told.contains("no name of a namespace"), "{told}");
    }
}

#[test]
fn a_directory_that_may_be_listed_but_not_searched_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (binary, checks) = (directory.path().join("gatehost"), directory.path().join("checks"));
    fs::copy(gatehost_binary().unwrap(), &binary).unwrap();
    fs::create_dir(&checks).unwrap();
    fs::write(checks.join("pod.yaml"), "kind: Pod\n").unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    mode(directory.path(), 0o755);
    mode(&checks, 0o444);
    let mut command = Command::new(&binary);
    if geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let Output { status, stderr, .. } = command.args(["dev", "--once"]).arg(&checks).output().unwrap();
    mode(&checks, 0o755);
    let told = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.starts_with(&format!("gatehost: {}", checks.display())) && told.contains("denied"), "{told}");
}

#[test]
fn a_selector_that_the_server_refuses_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in server.incoming().map_while(Result::ok) {
            let body =
                r#"{"kind":"Status","status":"Failure","message":"unable to parse","reason":"BadRequest","code":400}"#;
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    let mut command = run_on(&address, directory.path(), 0);
    let mut host = Running::start(command.args(["-l", "a in ("]).stderr(Stdio::piped()));
    let log = BufReader::new(host.0.stderr.take().unwrap());
    // Namespaces are watched as well, and refused by this server.
    let about_pods = |line: &String| line.contains("unable to parse") && !line.contains("namespaces:");
    let told = log.lines().map_while(Result::ok).find(about_pods).unwrap();
    assert!(told.contains("--pod-selector"), "{told}");
    assert_eq!(host.end(), Some(0));
}
