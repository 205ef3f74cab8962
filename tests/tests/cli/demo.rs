//! `make demo`: what its pods, checks and server show, and what an edit of the server's files does to it.

use std::{collections::BTreeMap, fs, net::TcpListener, path::Path, process::Command};

use gatehost_tests::{gatehost_binary, target, workspace};
use serde_json::Value;
use tempfile::TempDir;

use super::super::output;

/// A copy of plugins/demo whose checks ask a port that nobody else uses.
struct Demo {
    folder: TempDir,
    address: String,
}

impl Demo {
    fn new() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let folder = tempfile::tempdir().unwrap();
        let from = workspace().join("plugins/demo");
        fs::create_dir(folder.path().join("server")).unwrap();
        for file in ["checks.yaml", "pods.yaml", "server/warm", "server/metrics"] {
            let text = fs::read_to_string(from.join(file)).unwrap();
            fs::write(folder.path().join(file), text.replace("127.0.0.1:18088", &address)).unwrap();
        }
        Self { folder, address }
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let file = self.folder.path().join(file);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replace(from, to)).unwrap();
    }

    /// Each gate's status and reason, by pod and gate; with the server beside it, or without.
    fn gates(&self, served: bool) -> BTreeMap<String, (String, String)> {
        let once = |command: &mut Command| {
            command.args(["dev", "--once", "-o", "json"]).arg(self.folder.path()).arg(target().join("plugins"));
            output(command)
        };
        let server = self.folder.path().join("server");
        let (_, shown, errors) = if served {
            once(Command::new(Path::new(env!("CARGO_BIN_EXE_demo"))).arg(&self.address).arg(server))
        } else {
            once(&mut Command::new(gatehost_binary().unwrap()))
        };
        let shown: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}{errors}"));
        assert_eq!(shown["errors"], Value::Array(Vec::new()));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let gates = shown["gates"].as_array().unwrap().iter();
        let key = |gate: &Value| format!("{} {}", text(&gate["pod"]), text(&gate["type"]));
        gates.map(|gate| (key(gate), (text(&gate["status"]), text(&gate["reason"])))).collect()
    }
}

fn is(gates: &BTreeMap<String, (String, String)>, expected: &[(&str, &str, &str)]) {
    for (gate, status, reason) in expected {
        assert_eq!(gates.get(*gate), Some(&((*status).to_owned(), (*reason).to_owned())), "{gate} of {gates:?}");
    }
}

#[test]
fn the_demo_shows_gates_that_the_files_of_its_server_flip() {
    let demo = Demo::new();
    is(
        &demo.gates(true),
        &[
            ("web-1 example.com/approved", "True", "AnnotationPresent"),
            ("web-1 example.com/settled", "True", "Settled"),
            ("web-1 example.com/warm", "True", "ResponseMatches"),
            ("web-1 example.com/queue-short", "True", "InBounds"),
            ("web-1 example.com/calm", "True", "ExpressionTrue"),
            ("web-2 example.com/approved", "False", "AnnotationMissing"),
            ("worker example.com/release", "False", "AnnotationDiffers"),
        ],
    );
    demo.edit("server/warm", "1200", "999");
    demo.edit("server/metrics", "} 12", "} 98");
    let flipped = [
        ("web-1 example.com/warm", "False", "ValueDiffers"),
        ("web-1 example.com/queue-short", "False", "OutOfBounds"),
    ];
    is(&demo.gates(true), &flipped);
}

#[test]
fn without_its_server_the_demo_says_that_nobody_listens() {
    let gates = Demo::new().gates(false);
    is(
        &gates,
        &[
            ("web-1 example.com/warm", "False", "Unreachable"),
            ("web-1 example.com/queue-short", "False", "Unreachable"),
        ],
    );
    is(&gates, &[("web-1 example.com/approved", "True", "AnnotationPresent")]);
}
