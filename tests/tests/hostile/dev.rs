//! Every guest in one directory for `dev --once`, beside a good one: those that are plugins, and those that are none.

use std::{
    fs,
    process::{Command, Output, Stdio},
};

use gatehost::decide::{Status, sanitize};
use gatehost_tests::corpus::{self, Does, Guest};
use serde_json::{Value, json};

/// A directory with these guests, their checks, and a pod with all of their gates.
fn directory(guests: &[Guest]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for guest in guests {
        fs::write(directory.path().join(guest.name).with_extension("wasm"), guest.wasm()).unwrap();
        fs::write(directory.path().join(guest.name).with_extension("yaml"), guest.check()).unwrap();
    }
    let gates: Vec<_> = guests.iter().map(|guest| json!({ "conditionType": guest.gate() })).collect();
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "shop", "name": "web-0" },
                      "spec": { "readinessGates": gates } });
    fs::write(directory.path().join("web-0.json"), pod.to_string()).unwrap();
    directory
}

/// The exit code of `dev --once -o json`, what it prints, and its log.
fn once(guests: &[Guest]) -> (Option<i32>, Value, String) {
    let directory = directory(guests);
    let mut command = Command::new(gatehost_tests::gatehost_binary().unwrap());
    command.args(["dev", "--once", "-o", "json"]).arg(directory.path()).env_clear().stdin(Stdio::null());
    let Output { status, stdout, stderr } = command.output().unwrap();
    let log = String::from_utf8(stderr).unwrap();
    (status.code(), serde_json::from_slice(&stdout).unwrap_or_else(|e| panic!("{e}: {log}")), log)
}

/// What `dev --once` with these arguments says of a directory with the good guest alone, whose check has these limits.
fn limited(limits: &Value, args: &[&str]) -> (Option<i32>, String) {
    let good: Vec<_> = corpus::all().into_iter().filter(|guest| guest.name == "good").collect();
    let directory = directory(&good);
    let mut check: Value = serde_json::from_str(&good[0].check()).unwrap();
    check["spec"]["limits"] = limits.clone();
    fs::write(directory.path().join("good.yaml"), check.to_string()).unwrap();
    let mut command = Command::new(gatehost_tests::gatehost_binary().unwrap());
    command.args(["dev", "--once"]).args(args).arg(directory.path()).env_clear().stdin(Stdio::null());
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_check_that_asks_for_more_than_the_host_grants_is_named_with_the_mend() {
    let limits = json!({ "memory": "128Mi", "handles": 500 });
    let (code, told) = limited(&limits, &[]);
    assert_eq!((code, told.lines().count()), (Some(2), 1), "{told}");
    assert!(told.contains("/good.yaml: spec.limits.memory: 128Mi is more than this host grants"), "{told}");
    assert!(told.contains("--max-limits memory=128Mi"), "{told}");
    assert_eq!(limited(&limits, &["--max-limits", "memory=128Mi"]), (Some(0), String::new()));
    let (code, told) = limited(&limits, &["--max-limits", "memory=128Mi,handles=499"]);
    assert!(code == Some(2) && told.contains("spec.limits.handles: 500 is more"), "{told}");
}

#[test]
fn a_ceiling_that_is_none_is_exit_2() {
    for (flag, told) in [("memory=1Ki", "64Ki to 2Gi"), ("stack=1Mi", "known here: memory,"), ("memory", "64Ki to 2Gi")]
    {
        let (code, err) = limited(&json!({}), &["--max-limits", flag]);
        assert!(code == Some(2) && err.contains(told), "{flag}: {err}");
    }
}

fn row<'a>(document: &'a Value, guest: &Guest) -> &'a Value {
    let rows = document["gates"].as_array().unwrap();
    rows.iter().find(|row| row["type"] == guest.gate()).unwrap_or_else(|| panic!("{}: {document:#}", guest.name))
}

fn printable(text: &Value) -> bool {
    text.as_str().unwrap().chars().all(sanitize::prints)
}

#[test]
fn each_guest_that_is_a_plugin_gets_the_line_that_it_deserves() {
    let guests: Vec<_> = corpus::all().into_iter().filter(Guest::is_in_force).collect();
    let (code, document, log) = once(&guests);
    assert_eq!((code, &document["errors"]), (Some(1), &json!([])), "{log}");
    for guest in &guests {
        let row = row(&document, guest);
        let is = (row["status"].as_str().unwrap_or("-"), row["reason"].as_str().unwrap());
        match guest.does {
            Does::Answers(status, reason) => assert_eq!(is, (status.as_str(), reason), "{}: {row:#}", guest.name),
            Does::Faults(_, reason) => {
                assert_eq!(is, (Status::Unknown.as_str(), reason), "{}: {row:#}", guest.name);
                assert!(!row["message"].as_str().unwrap().is_empty(), "{}", guest.name);
            }
            _ => assert!(matches!(is, ("True", "Met") | ("Unknown", "Trap")), "{}: {row:#}", guest.name),
        }
        assert!(printable(&row["message"]), "{}: {row:#}", guest.name);
    }
    // A terminal that shows the log obeys nothing of it, and a storm of lines is not all there.
    assert!(log.lines().all(|line| line.chars().all(sanitize::prints)), "{log:?}");
    assert!(log.len() < 1 << 20, "{} bytes of log", log.len());
}

#[test]
fn each_guest_that_is_none_is_named_with_its_fault_in_one_line() {
    let good = corpus::all().into_iter().filter(|guest| guest.name == "good");
    let guests: Vec<_> = corpus::all().into_iter().filter(|guest| !guest.is_in_force()).chain(good).collect();
    let (code, document, log) = once(&guests);
    assert_eq!(code, Some(2), "{log}");
    assert_eq!(row(&document, guests.last().unwrap())["status"], "True");
    let errors = document["errors"].as_array().unwrap();
    for guest in guests.iter().filter(|guest| guest.name != "good") {
        assert_eq!(row(&document, guest)["status"], Value::Null, "{}", guest.name);
        let told = |extension: &str| {
            let file = format!("/{}.{extension}", guest.name);
            errors.iter().filter(|e| e["file"].as_str().unwrap().ends_with(&file)).collect::<Vec<_>>()
        };
        let (of_plugin, of_check) = (told("wasm"), told("yaml"));
        match guest.does {
            Does::Rejects => assert!((1..=21).contains(&of_check.len()), "{}: {of_check:#?}", guest.name),
            Does::CannotJudge(_, reason) => {
                assert_eq!((of_plugin.len(), of_check.len()), (0, 1), "{}: {document:#}", guest.name);
                assert!(of_check[0]["error"].as_str().unwrap().contains(reason), "{of_check:#?}");
            }
            _ => assert_eq!((of_plugin.len(), of_check.len()), (1, 1), "{}: {document:#}", guest.name),
        }
        for error in of_plugin.iter().chain(&of_check) {
            assert!(printable(&error["error"]) && !error["error"].as_str().unwrap().is_empty(), "{error:#}");
        }
    }
}
