//! The example through `gatehost dev`, as its page says: the check in C, because it loads in no time.

use std::{fs, process::Command};

use gatehost_tests::{gatehost_binary, target, workspace};
use serde_json::{Value, json};

use crate::{LANGUAGES, file};

/// A folder with the example's pod and checks, and one plugin in the place of all; what is to be replaced in them.
fn once(replace: &[(&str, &str)]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["checks.yaml", "pod.yaml"] {
        let mut text = fs::read_to_string(workspace().join("plugins/examples").join(name)).unwrap();
        for (from, to) in replace {
            text = text.replace(from, to);
        }
        fs::write(folder.path().join(name), text).unwrap();
    }
    let plugin = target().join("examples").join(file("c"));
    for language in LANGUAGES {
        fs::copy(&plugin, folder.path().join(file(language))).unwrap();
    }
    let mut gatehost = Command::new(gatehost_binary().unwrap());
    gatehost.args(["dev", "--once", "-o", "json", "--log-level", "debug"]).arg(folder.path());
    let output = gatehost.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}")), said)
}

#[test]
fn the_pod_of_the_example_is_met_and_the_plugin_logs_why() {
    let (shown, said) = once(&[]);
    assert_eq!(shown["errors"], json!([]));
    let gates = shown["gates"].as_array().unwrap();
    assert_eq!(gates.len(), LANGUAGES.len());
    for gate in gates {
        assert_eq!((&gate["status"], &gate["reason"]), (&json!("True"), &json!("Settled")), "{gate}");
    }
    assert!(said.contains("on track canary, settled at 2026-01-05T10:00:34Z"), "{said}");
}

#[test]
fn what_the_examples_pod_says_of_its_faults_is_so() {
    let annotated = "labels: {track: canary}\n  annotations: {example.com/settle-seconds: soon}";
    let (shown, _) = once(&[("labels: {track: canary}", annotated)]);
    for gate in shown["gates"].as_array().unwrap() {
        assert_eq!((&gate["status"], &gate["reason"]), (&json!("Unknown"), &json!("BadSettleSeconds")), "{gate}");
        assert!(gate["message"].as_str().unwrap().contains("not soon"), "{gate}");
    }
}

#[test]
fn a_wrong_config_is_a_load_error_with_the_place() {
    let (shown, _) = once(&[("tracks: [stable, canary]", "tracks: [stable, 7]")]);
    let errors = shown["errors"].as_array().unwrap();
    assert_eq!(errors.len(), LANGUAGES.len(), "{shown}");
    for error in errors {
        let error = error["error"].as_str().unwrap();
        assert!(error.contains("spec.config/tracks/1: give 1 to 63 letters"), "{error}");
    }
}
