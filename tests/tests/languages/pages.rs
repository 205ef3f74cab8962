//! What README.md shows of each language: its code runs, and its versions are those that the tests stand on.

use std::{fs, path::Path, process::Command};

use gatehost_tests::{readme, target, workspace};

/// The pods that the check of README.md is asked about, by their node, and the reasons that it gives.
const ON_NODE: &str = "OnNode OnOtherNode NotScheduled";

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

/// What a command prints; fails with all that it said.
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run `make bindings`"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_check_in_python_answers() {
    let folder = tempfile::tempdir().unwrap();
    let tools = target().join("wit/venv/bin");
    let mut bindings = Command::new(tools.join("componentize-py"));
    output(bindings.arg("-d").arg(workspace().join("wit")).args(["-w", "plugin", "bindings"]).arg(folder.path()));
    write(folder.path(), "check.py", &readme::block("python", "class Gate"));
    let asks = "\
from types import SimpleNamespace
import check
gate = check.Gate()
assert gate.describe().name == 'on-node'
gate.validate('{\"node\": \"node-1\"}')
try:
    gate.validate('{}')
    raise SystemExit('a config without a node was accepted')
except check.Err as error:
    assert error.value[0].path == '/node'
pods = [SimpleNamespace(node=lambda node=node: node) for node in ('node-1', 'node-2', None)]
print(*(gate.evaluate(pod, '{\"node\": \"node-1\"}').reason for pod in pods))
";
    let mut python = Command::new(tools.join("python3"));
    assert_eq!(output(python.args(["-B", "-c", asks]).env("PYTHONPATH", folder.path())), ON_NODE);
}

#[test]
fn the_check_in_javascript_answers() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "check.mjs", &readme::block("javascript", "export const gate"));
    let asks = "\
import { gate } from './check.mjs';
if (gate.describe().name !== 'on-node') throw gate.describe();
gate.validate('{\"node\": \"node-1\"}');
try {
  gate.validate('{}');
  process.exit(1);
} catch ([{ path }]) {
  if (path !== '/node') throw path;
}
const reasons = ['node-1', 'node-2', undefined].map((node) => gate.evaluate({ node: () => node }, '{\"node\":\"node-1\"}').reason);
console.log(...reasons);
";
    write(folder.path(), "asks.mjs", asks);
    assert_eq!(output(Command::new("node").arg(folder.path().join("asks.mjs"))), ON_NODE);
}

#[test]
fn the_versions_that_are_named_are_those_of_the_tests() {
    let text = readme::text();
    let source = |path: &str| fs::read_to_string(workspace().join(path)).unwrap();
    assert!(text.contains(&format!("pip install {}", source("tests/wit/requirements.txt").trim())));
    let package: serde_json::Value = serde_json::from_str(&source("tests/wit/package.json")).unwrap();
    for name in ["@bytecodealliance/componentize-js", "@bytecodealliance/preview2-shim"] {
        let version = package["dependencies"][name].as_str().unwrap();
        assert!(text.contains(&format!("{name}@{version}")), "{name} {version}");
    }
    let lock = source("Cargo.lock");
    for (tool, library) in [("wit-bindgen-cli@", "wit-bindgen-c"), ("wasm-tools@1.", "wit-component")] {
        let version = text.split_once(tool).unwrap().1.split_whitespace().next().unwrap();
        let version = if tool.ends_with('.') { format!("0.{version}") } else { version.to_owned() };
        assert!(lock.contains(&format!("name = \"{library}\"\nversion = \"{version}\"")), "{library} {version}");
    }
    let setup = source("tests/wit/setup.sh");
    let packages = text.split_once("apt-get install ").unwrap().1.lines().next().unwrap();
    for package in packages.split(' ') {
        assert!(setup.contains(package), "{package}");
    }
}
