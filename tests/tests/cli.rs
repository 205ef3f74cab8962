//! The command line, as a user meets it: the built binary, its output and its exit codes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail where it stands")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

mod cli {
    mod demo;
    mod overriding;
}

/// How long anything may take that is waited for.
const BOUND: Duration = Duration::from_mins(1);

fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

fn built(path: &str, build: &str) -> PathBuf {
    let file = target().join(path);
    assert!(file.is_file(), "{} is missing: run `{build}`", file.display());
    file
}

/// The command, in an environment where nothing of this machine decides what it does.
fn gatehost(args: &[&str]) -> Command {
    let mut command = Command::new(built("debug/gatehost", "cargo build"));
    command.args(args).env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin");
    command
}

fn output(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.stdin(Stdio::null()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A directory with the shipped annotation check for `example.com/approved`.
fn checks() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let build = "cargo build --profile plugin --target wasm32-wasip2 -p annotation";
    let plugin = built("wasm32-wasip2/plugin/annotation.wasm", build);
    fs::copy(plugin, directory.path().join("annotation.wasm")).unwrap();
    let check = "apiVersion: gatehost.dev/v1alpha1\nkind: Check\nmetadata: {name: approved}\nspec:\n  \
                 gate: example.com/approved\n  plugin: annotation.wasm\n  \
                 config: {annotation: example.com/approved, equals: \"yes\"}\n  \
                 startWhen: always\n  failureThreshold: 1\n";
    fs::write(directory.path().join("check.yaml"), check).unwrap();
    directory
}

/// A pod's file, put into place in one step.
fn pod(directory: &TempDir, name: &str, gate: &str, approved: &str) {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "annotations": {"example.com/approved": approved}},
        "spec": {"containers": [], "readinessGates": [{"conditionType": gate}]},
    });
    let hidden = directory.path().join(format!(".{name}"));
    fs::write(&hidden, pod.to_string()).unwrap();
    fs::rename(hidden, directory.path().join(format!("{name}.yaml"))).unwrap();
}

fn once(directory: &TempDir) -> (i32, Value, String) {
    let (code, out, err) = output(gatehost(&["dev", "--once", "-o", "json"]).arg(directory.path()));
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")), err)
}

/// A child that does not outlive the test.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn code(&mut self) -> i32 {
        let code = until("the process ends", || self.0.try_wait().unwrap());
        code.code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
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

/// The lines of a stream as they come.
fn lines(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The first line that holds all of `parts`.
fn line_with(lines: &Receiver<String>, parts: &[&str]) -> String {
    let end = Instant::now() + BOUND;
    let mut seen = Vec::new();
    while let Ok(line) = lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
        if parts.iter().all(|part| line.contains(part)) {
            return line;
        }
        seen.push(line);
    }
    panic!("no line with {parts:?} in\n{}", seen.join("\n"));
}

/// Runs a command on a terminal of its own: 120 columns, 30 lines.
fn on_terminal(command: &Command) -> Running {
    let quoted = |text: &std::ffi::OsStr| format!("'{}'", text.to_str().unwrap());
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).map(quoted).collect();
    let line = format!("stty cols 120 rows 30; exec {}", words.join(" "));
    let mut script = Command::new("script");
    script.args(["-qefc", &line, "/dev/null"]).env_clear().env("TERM", "xterm-256color").env("PATH", "/usr/bin:/bin");
    script.env("SHELL", "/bin/sh");
    script.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    script.stdin(Stdio::piped()).stdout(Stdio::piped());
    Running(script.spawn().expect("script (util-linux) is missing"))
}

/// What a terminal shows until a text has been seen.
fn terminal_until(running: &mut Running, text: &str) -> String {
    let mut out = running.0.stdout.take().unwrap();
    let (sender, pieces) = channel();
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(n @ 1..) = out.read(&mut piece) {
            if sender.send(piece[..n].to_vec()).is_err() {
                break;
            }
        }
    });
    let mut seen = Vec::new();
    let mut stopped = false;
    let end = Instant::now() + BOUND;
    while let Ok(piece) = pieces.recv_timeout(end.saturating_duration_since(Instant::now())) {
        seen.extend(piece);
        if !stopped && String::from_utf8_lossy(&seen).contains(text) {
            // Ctrl-C, as typed.
            running.0.stdin.as_mut().unwrap().write_all(b"\x03").unwrap();
            stopped = true;
        }
    }
    let seen = String::from_utf8_lossy(&seen).into_owned();
    assert!(stopped, "{text:?} was not shown: {seen:?}");
    seen
}

#[test]
fn help_teaches_every_verb_with_examples_and_exit_codes() {
    for (args, parts) in [
        (&["--help"][..], &["run", "dev", "explain", "completion", "Examples:", "Exit codes:"][..]),
        (&["run", "--help"], &["GATEHOST_NAMESPACE", "GATEHOST_LOG", "KUBECONFIG", "0.0.0.0:8080", "Exit codes:"]),
        (&["override", "--help"], &["--clear", "--reason", "--context", "24h", "--max-override", "Exit codes:"]),
        (&["dev", "--help"], &["--once", "NO_COLOR", "\"gates\"", "Exit codes of --once:"]),
        (&["explain", "--help"], &["pod NAME", "--context", "KUBECONFIG", "\"findings\"", "Exit codes:"]),
    ] {
        let (code, out, err) = output(&mut gatehost(args));
        assert_eq!((code, err.as_str()), (0, ""));
        for part in parts {
            assert!(out.contains(part), "{args:?} does not tell of {part}:\n{out}");
        }
    }
    let (code, out, _) = output(&mut gatehost(&["--version"]));
    assert_eq!((code, out.split_whitespace().next()), (0, Some("gatehost")));
}

#[test]
fn a_wrong_flag_is_exit_2_and_names_the_right_one() {
    let (code, out, err) = output(&mut gatehost(&["run", "--namespce", "shop", "/tmp"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--namespace"), "{err}");
    let (code, _, err) = output(gatehost(&["run", "/tmp"]).env("GATEHOST_LOG", "gatehost=loud"));
    assert_eq!(code, 2);
    assert!(err.contains("--log-level"), "{err}");
}

#[test]
fn completion_is_printed_for_each_shell() {
    for (shell, part) in [("bash", "complete -F"), ("zsh", "#compdef gatehost"), ("fish", "complete -c gatehost")] {
        let (code, out, _) = output(&mut gatehost(&["completion", shell]));
        assert_eq!(code, 0);
        assert!(out.contains(part) && out.contains("pod-selector"), "{shell}: {out}");
    }
}

#[test]
fn a_missing_directory_is_one_line_and_exit_2() {
    for args in [&["dev", "/nonexistent"][..], &["dev", "--once", "/tmp", "/nonexistent"], &["run", "/nonexistent"]] {
        let (code, out, err) = output(&mut gatehost(args));
        assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
        assert!(err.starts_with("gatehost: /nonexistent: no such directory"), "{err}");
    }
}

#[test]
fn once_is_0_when_every_gate_is_true_and_1_when_one_is_not() {
    let directory = checks();
    pod(&directory, "web-1", "example.com/approved", "yes");
    pod(&directory, "web-0", "example.com/approved", "yes");
    let (code, document, err) = once(&directory);
    assert_eq!(code, 0, "{document:#} {err}");
    assert_eq!(document["errors"], json!([]));
    let gate = &document["gates"][0];
    for (key, value) in [
        ("namespace", "shop"),
        ("pod", "web-0"),
        ("type", "example.com/approved"),
        ("status", "True"),
        ("check", "approved"),
        ("plugin", "annotation.wasm"),
    ] {
        assert_eq!(gate[key], json!(value));
    }
    assert!(gate["reason"].is_string() && gate["message"].is_string());
    assert!(gate["dryRun"].is_null());
    assert_eq!(gate.as_object().unwrap().len(), 9);
    assert_eq!(document["gates"][1]["pod"], "web-1");

    pod(&directory, "web-1", "example.com/approved", "no");
    let (code, document, _) = once(&directory);
    assert_eq!((code, &document["gates"][1]["status"]), (1, &json!("False")));
}

#[test]
fn a_gate_that_no_check_answers_is_null_and_exit_1() {
    let directory = checks();
    pod(&directory, "web-0", "example.com/other", "yes");
    let (code, document, _) = once(&directory);
    let gate = &document["gates"][0];
    assert_eq!((code, &gate["status"], &gate["check"], &gate["plugin"]), (1, &json!(null), &json!(null), &json!(null)));
    assert_eq!(gate["message"], "no check answers this gate");
}

#[test]
fn a_wrong_document_is_exit_2_and_is_named_beside_the_gates() {
    let directory = checks();
    pod(&directory, "web-0", "example.com/approved", "yes");
    fs::write(directory.path().join("service.yaml"), "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n").unwrap();
    let (code, document, _) = once(&directory);
    assert_eq!((code, &document["gates"][0]["status"]), (2, &json!("True")));
    assert!(document["errors"][0]["file"].as_str().unwrap().ends_with("service.yaml"));
    let (code, out, err) = output(gatehost(&["dev", "--once"]).arg(directory.path()));
    assert_eq!(code, 2);
    assert!(out.starts_with("NAMESPACE") && err.contains("service.yaml: "), "{out}{err}");
}

#[test]
fn directories_without_a_gate_are_exit_2() {
    let directory = tempfile::tempdir().unwrap();
    let (code, document, err) = once(&directory);
    assert_eq!((code, document), (2, json!({"gates": [], "errors": []})));
    assert!(err.contains("no gates"), "{err}");
}

#[test]
fn dev_tells_of_an_edited_pod_and_of_a_broken_and_mended_file() {
    let directory = checks();
    pod(&directory, "web-0", "example.com/approved", "no");
    let mut command = gatehost(&["dev"]);
    let mut dev = Running(command.arg(directory.path()).stdout(Stdio::piped()).spawn().unwrap());
    let lines = lines(dev.0.stdout.take().unwrap());
    line_with(&lines, &["shop/web-0 example.com/approved False", "[approved]"]);
    pod(&directory, "web-0", "example.com/approved", "yes");
    line_with(&lines, &["shop/web-0 example.com/approved False -> True"]);
    let broken = directory.path().join("broken.yaml");
    fs::write(&broken, "kind: [").unwrap();
    line_with(&lines, &["problem ", "broken.yaml: "]);
    fs::remove_file(&broken).unwrap();
    line_with(&lines, &["mended ", "broken.yaml"]);
    fs::remove_file(directory.path().join("web-0.yaml")).unwrap();
    let gone = line_with(&lines, &["shop/web-0 example.com/approved gone"]);
    assert!(!gone.contains('\u{1b}'), "{gone:?}");
    dev.signal(Signal::INT);
    assert_eq!(dev.code(), 0);
}

#[test]
fn the_table_is_coloured_unless_no_color_is_set_and_ctrl_c_restores_the_terminal() {
    let directory = checks();
    pod(&directory, "web-0", "example.com/approved", "yes");
    for (key, coloured) in [("COLUMNS_UNUSED", true), ("NO_COLOR", false)] {
        let mut command = gatehost(&["dev"]);
        command.arg(directory.path()).env(key, "1");
        let mut dev = on_terminal(&command);
        let shown = terminal_until(&mut dev, "1 True");
        assert_eq!(shown.contains("\u{1b}[32m"), coloured, "{shown:?}");
        let (_, after) = shown.rsplit_once("\u{1b}[?25h").expect("the cursor comes back");
        assert!(after.contains("web-0") && !after.contains("\u{1b}[?25l"), "{after:?}");
        assert_eq!(dev.code(), 0);
    }
}

/// A kubeconfig for an API server that is not there.
fn kubeconfig(directory: &TempDir) -> PathBuf {
    let file = directory.path().join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "none",
        "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "none", "user": {}}],
        "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    });
    fs::write(&file, config.to_string()).unwrap();
    file
}

/// The status and body of one GET, where there is an answer.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split_whitespace().nth(1)?.parse().ok()?, body.to_owned()))
}

#[test]
fn run_without_a_kubeconfig_is_one_line_and_exit_2() {
    let (code, out, err) = output(gatehost(&["run", "--listen", "127.0.0.1:0"]).arg("/tmp"));
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert_eq!(err.lines().filter(|line| line.starts_with("gatehost: ")).count(), 1, "{err}");
}

#[test]
fn explain_of_a_server_that_is_not_there_is_one_line_and_exit_2() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = gatehost(&["explain", "pod", "web-0", "--kubeconfig"]);
    let (code, out, err) = output(command.arg(kubeconfig(&directory)));
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 1), "{err}");
    assert!(err.starts_with("gatehost: http://127.0.0.1:1: connection refused"), "{err}");
}

#[test]
fn a_port_in_use_is_one_line_and_exit_1() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = gatehost(&["run", "--listen", &address]);
    let (code, _, err) = output(command.arg(directory.path()).env("GATEHOST_KUBECONFIG", kubeconfig(&directory)));
    assert_eq!(code, 1, "{err}");
    assert!(err.lines().any(|line| line.starts_with(&format!("gatehost: --listen {address}: "))), "{err}");
}

#[test]
fn run_starts_without_a_check_is_alive_but_not_ready_and_ends_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = kubeconfig(&directory);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = gatehost(&["run", "--listen", &format!("127.0.0.1:{port}"), "--log-format", "json"]);
    command.arg(directory.path()).env("GATEHOST_KUBECONFIG", kubeconfig).stderr(Stdio::piped());
    let mut host = Running(command.spawn().unwrap());
    let log = lines(host.0.stderr.take().unwrap());
    let told: Value = serde_json::from_str(&line_with(&log, &["no usable check"])).unwrap();
    assert_eq!(told["level"], "WARN");
    let (status, _) = until("it serves", || get(port, "/livez"));
    assert_eq!(status, 200);
    let (status, body) = get(port, "/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("the pods have not been listed"), "{body}");
    let (status, metrics) = get(port, "/metrics").unwrap();
    assert_eq!(status, 200);
    assert!(metrics.contains("gatehost_build_info{version=") && metrics.contains("gatehost_catalog_generation 1"));
    let begin = Instant::now();
    host.signal(Signal::TERM);
    assert_eq!(host.code(), 0);
    assert!(begin.elapsed() < Duration::from_secs(5), "it took {:?}", begin.elapsed());
}
