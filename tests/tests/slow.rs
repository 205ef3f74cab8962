//! What takes long, over the real sandbox: calls that do not end, and a file that compiles for long. Nobody waits.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// Half of the timeout that the slow check has.
const BOUND: Duration = Duration::from_secs(30);
const PODS: usize = 10;

/// A child that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn check(name: &str, plugin: &str, config: &str) -> String {
    format!(
        "apiVersion: gatehost.dev/v1alpha1\nkind: Check\nmetadata: {{name: {name}}}\nspec:\n  gate: \
         example.com/{name}\n  plugin: {plugin}\n  config: {config}\n  periodSeconds: 1\n  timeoutSeconds: 60\n  \
         startWhen: always\n  failureThreshold: 1\n"
    )
}

fn pods(word: &str) -> String {
    let pod = |n| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web-{n}, annotations: {{example.com/word: {word}}}}}\nspec:\n  \
             readinessGates: [{{conditionType: example.com/spin}}, {{conditionType: example.com/approved}}]\n"
        )
    };
    (0..PODS).map(pod).collect::<Vec<_>>().join("---\n")
}

/// Writes a file the way a careful tool does.
fn replace(directory: &Path, name: &str, content: impl AsRef<[u8]>) {
    let hidden = directory.join(format!(".{name}"));
    fs::write(&hidden, content).unwrap();
    fs::rename(hidden, directory.join(name)).unwrap();
}

/// `gatehost dev` and its lines.
fn dev(directory: &Path) -> (Running, Receiver<String>) {
    let mut command = Command::new(gatehost_tests::gatehost_binary().unwrap());
    command.arg("dev").arg(directory).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut dev = Running(command.spawn().unwrap());
    let out = BufReader::new(dev.0.stdout.take().unwrap());
    let (sender, lines) = channel();
    // Ends with the output, and so with the child.
    thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (dev, lines)
}

fn end_within_5_s(mut dev: Running, lines: &Receiver<String>) {
    let begin = Instant::now();
    kill_process(Pid::from_child(&dev.0), Signal::TERM).unwrap();
    while lines.recv_timeout(Duration::from_secs(10)).is_ok() {}
    let status = dev.0.wait().unwrap();
    assert!(status.success() && begin.elapsed() < Duration::from_secs(5), "{status} after {:?}", begin.elapsed());
}

/// Waits until this many pods have told of their gate `approved` with this text.
fn wait_for(lines: &Receiver<String>, text: &str, end: Instant) {
    let mut told = 0;
    let mut seen = Vec::new();
    while told < PODS {
        let line = lines.recv_timeout(end.saturating_duration_since(Instant::now()));
        let line = line.unwrap_or_else(|_| panic!("{told} of {PODS} told {text:?} in time:\n{}", seen.join("\n")));
        assert!(
            !line.contains("example.com/spin fault") && !line.contains("example.com/spin Unknown"),
            "the slow check was to spin all the time: {line}"
        );
        told += usize::from(line.contains("example.com/approved") && line.contains(text));
        seen.push(line);
    }
}

#[test]
fn a_check_that_spins_delays_no_other_check_and_not_even_another_gate_of_its_pod() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let target = gatehost_tests::target();
    for (from, to) in
        [("plugins/annotation.wasm", "annotation.wasm"), ("wasm32-wasip2/plugin/examples/spin.wasm", "spin.wasm")]
    {
        fs::copy(target.join(from), at.join(to)).unwrap_or_else(|e| panic!("make plugins guests: {from}: {e}"));
    }
    replace(at, "spin.yaml", check("spin", "spin.wasm", "{}"));
    replace(
        at,
        "approved.yaml",
        check("approved", "annotation.wasm", "{annotation: example.com/word, equals: \"go\"}"),
    );
    replace(at, "pods.yaml", pods("stay"));
    let (dev, lines) = dev(at);
    let end = Instant::now() + BOUND;
    wait_for(&lines, " False ", end);
    for (word, flip) in [("go", "False -> True"), ("stay", "True -> False"), ("go", "False -> True")] {
        replace(at, "pods.yaml", pods(word));
        wait_for(&lines, flip, end);
    }
    // And its calls hold up no end.
    end_within_5_s(dev, &lines);
}

/// A component with so much in it that it compiles for a good while.
fn large() -> Vec<u8> {
    let sums = "(local.set 0 (i32.mul (i32.add (local.get 0) (i32.const 3)) (i32.xor (local.get 0) (i32.const 7))))";
    let function = format!("(func (param i32) (result i32) {} (local.get 0))", sums.repeat(5_000));
    wat::parse_str(format!("(component (core module {}))", function.repeat(200))).unwrap()
}

#[test]
fn a_file_that_compiles_for_long_delays_no_edit_and_no_end() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::copy(gatehost_tests::target().join("plugins/annotation.wasm"), at.join("annotation.wasm")).unwrap();
    replace(
        at,
        "approved.yaml",
        check("approved", "annotation.wasm", "{annotation: example.com/word, equals: \"go\"}"),
    );
    replace(at, "pods.yaml", pods("stay"));
    let (dev, lines) = dev(at);
    let end = Instant::now() + BOUND;
    wait_for(&lines, " False ", end);
    replace(at, "large.wasm", large());
    for (word, flip) in [("go", "False -> True"), ("stay", "True -> False")] {
        replace(at, "pods.yaml", pods(word));
        wait_for(&lines, flip, end);
    }
    let still_compiles = lines.try_iter().all(|line| !line.contains("large.wasm"));
    assert!(still_compiles, "the file was to be compiled all the time");
    end_within_5_s(dev, &lines);
}
