//! `gatehost rbac` on what is wrong in its directories: one line each, and no rights for half of the checks.

use std::os::unix::fs::symlink;

use super::{
    super::*,
    unreadable::{bound, closed},
};

/// A check whose `allow.objects` is this.
fn reading(name: &str, objects: &str) -> String {
    let check = GOOD.replace("{name: approved}", &format!("{{name: {name}}}"));
    let check = check.replace("gate: example.com/approved", &format!("gate: example.com/{name}"));
    format!("{check}  allow: {{objects: {objects}}}\n")
}

const DEPLOYMENT: &str = "[{apiVersion: apps/v1, kind: Deployment, namespaces: [shop], names: [db]}]";

/// What `gatehost rbac` says of directories: the exit code, stdout, and the lines of stderr.
fn rbac(args: &[&str], directories: &[&Path]) -> (i32, String, Vec<String>) {
    let (code, out, err) = run(bound(&["rbac", "--offline"]).args(args).args(directories));
    (code, out, err.lines().map(str::to_owned).collect())
}

#[test]
fn each_broken_entry_document_and_file_is_one_line_and_nothing_is_granted() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = [
        (
            "a-secret",
            reading("a", "[{apiVersion: v1, kind: Secret}]"),
            "line 10: spec.allow.objects: a Secret is never shown",
        ),
        (
            "b-unnamed",
            reading("b", "[{apiVersion: v1, kind: ConfigMap}]"),
            "spec.allow.objects: a ConfigMap is shown only",
        ),
        (
            "c-unversioned",
            reading("c", "[{kind: Deployment}]"),
            "line 10: spec.allow.objects.apiVersion: missing; expected",
        ),
        ("d-unknown", reading("d", "[{apiVersion: v1, kind: Pod, name: x}]"), "unknown field; did you mean names?"),
        ("e-no-list", reading("e", "[{apiVersion: v1, kind: Pod, namespaces: shop}]"), "expected a list"),
        ("f-labels", reading("f", "[{apiVersion: v1, kind: Pod, labels: 'app=('}]"), "\"app=(\" is no label selector"),
        ("g-fields", reading("g", "[{apiVersion: v1, kind: Node, fields: [status]}]"), "expected a JSON pointer"),
        ("h-entry", reading("h", "[Deployment]"), "expected an object with apiVersion and kind"),
        ("i-yaml", "kind: [".to_owned(), "does not parse as YAML: unclosed bracket '[' at line 1"),
        ("j-kind", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n".to_owned(), "line 2: kind: \"Service\" is"),
    ];
    for (name, text, _) in &wrong {
        fs::write(directory.path().join(format!("{name}.yaml")), text).unwrap();
    }
    fs::write(directory.path().join("k-latin.yaml"), b"a: \xe4").unwrap();
    symlink("/nonexistent", directory.path().join("l-link.yaml")).unwrap();
    closed(&directory.path().join("m-closed.yaml"), GOOD);
    // What is right does not help.
    fs::write(directory.path().join("right.yaml"), reading("right", DEPLOYMENT)).unwrap();
    let (code, out, told) = rbac(&[], &[directory.path()]);
    assert_eq!((code, out.as_str()), (2, ""), "{told:#?}");
    let expected: Vec<_> = wrong.iter().map(|(name, _, part)| (*name, *part)).collect();
    let files = [
        ("k-latin", "is not UTF-8 text"),
        ("l-link", "is a link that leads nowhere; mend or remove it"),
        ("m-closed", "this user may not read it; grant read permission"),
    ];
    let expected = [&expected[..], &files].concat();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, (name, part)) in told.iter().zip(expected) {
        let line = line.strip_prefix("gatehost: ").unwrap_or(line);
        let start = format!("{}: ", directory.path().join(format!("{name}.yaml")).display());
        assert!(line.starts_with(&start) && line.contains(part), "{line:?}: not {part:?} of {name}");
    }
}

#[test]
fn a_directory_that_cannot_be_listed_or_searched_is_exit_2() {
    let directory = tempfile::tempdir().unwrap();
    let (missing, file) = (directory.path().join("missing"), directory.path().join("file.yaml"));
    fs::write(&file, reading("a", DEPLOYMENT)).unwrap();
    let inner = directory.path().join("inner");
    fs::create_dir(&inner).unwrap();
    fs::write(inner.join("check.yaml"), reading("a", DEPLOYMENT)).unwrap();
    for (path, line) in [
        (&missing, "no such directory; create it or name another"),
        (&file, "not a directory; name the directory that the file is in"),
    ] {
        let told = rbac(&[], &[directory.path(), path]);
        assert_eq!(told, (2, String::new(), vec![format!("gatehost: {}: {line}", path.display())]));
    }
    // It can be listed, and no file in it opened: this must not look as if there were none.
    fs::set_permissions(&inner, Permissions::from_mode(0o400)).unwrap();
    let told = rbac(&[], &[&inner]);
    let line =
        format!("gatehost: {}: this user may not read it; grant read permission", inner.join("check.yaml").display());
    assert_eq!(told, (2, String::new(), vec![line]));
    fs::set_permissions(&inner, Permissions::from_mode(0o000)).unwrap();
    let line = "this user may not read the directory; grant it read and search permission";
    assert_eq!(rbac(&[], &[&inner]), (2, String::new(), vec![format!("gatehost: {}: {line}", inner.display())]));
    fs::set_permissions(&inner, Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn where_there_is_no_check_it_says_so_and_what_is_no_file_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let none = |args: &[&str]| {
        let (code, out, told) = rbac(args, &[directory.path()]);
        let line =
            format!("gatehost: {}: no document of kind Check in it; is it the right one?", directory.path().display());
        assert_eq!((code, told), (0, vec![line]));
        out
    };
    assert_eq!(none(&[]), "# The checks need no rights but those in host/deploy.\n");
    let list: Value = serde_json::from_str(&none(&["-o", "json"])).unwrap();
    assert_eq!(list, serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": [] }));
    fs::create_dir(directory.path().join("directory.yaml")).unwrap();
    let pipe = directory.path().join("pipe.yaml");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    fs::write(directory.path().join(".hidden.yaml"), "kind: [").unwrap();
    fs::write(directory.path().join("pod.yaml"), POD).unwrap();
    none(&[]);
    // A check that reads nothing needs nothing.
    fs::write(directory.path().join("approved.yaml"), GOOD).unwrap();
    let told = rbac(&[], &[directory.path()]);
    assert_eq!(told, (0, "# The checks need no rights but those in host/deploy.\n".to_owned(), vec![]));
}

#[test]
fn what_is_named_twice_is_granted_once() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    fs::write(one.path().join("a.yaml"), reading("a", DEPLOYMENT)).unwrap();
    let single = rbac(&[], &[one.path()]);
    assert_eq!((single.0, single.1.matches("resources: [deployments]").count()), (0, 1), "{single:?}");
    // The same entry twice in a check, in another check, and in another directory.
    let twice =
        DEPLOYMENT.replace("[{", "[{apiVersion: apps/v1, kind: Deployment, namespaces: [shop], names: [db]}, {");
    let both = format!("{}---\n{}", reading("c", DEPLOYMENT), reading("b", &twice));
    fs::write(other.path().join("a.yaml"), both).unwrap();
    assert_eq!(rbac(&[], &[one.path(), other.path()]), single);
}

#[test]
fn for_checks_of_one_name_or_one_gate_of_which_none_is_in_force_nothing_is_granted() {
    let [one, other] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let path = |directory: &TempDir, name: &str| directory.path().join(name).display().to_string();
    let end = "a host has none of them in force; rename or remove all but one, or name fewer directories";
    fs::write(one.path().join("a.yaml"), reading("a", DEPLOYMENT)).unwrap();
    fs::write(other.path().join("x.yaml"), reading("a", "[{apiVersion: apps/v1, kind: StatefulSet}]")).unwrap();
    let (first, second) = (path(&one, "a.yaml"), path(&other, "x.yaml"));
    let line = format!("gatehost: {first}: 2 checks are named a, in {first}, {second}: {end}");
    assert_eq!(rbac(&[], &[one.path(), other.path()]), (2, String::new(), vec![line]));
    // A live check and one in dry run may have one gate, two of a kind may not.
    let second = reading("b", DEPLOYMENT).replace("gate: example.com/b", "gate: example.com/a");
    fs::write(one.path().join("b.yaml"), second.replace("  periodSeconds", "  dryRun: true\n  periodSeconds")).unwrap();
    let (code, out, told) = rbac(&[], &[one.path()]);
    assert_eq!((code, told), (0, vec![]), "{out}");
    fs::write(one.path().join("b.yaml"), second).unwrap();
    let second = path(&one, "b.yaml");
    let line = format!("gatehost: {first}: 2 checks have the gate example.com/a, in {first}, {second}: {end}");
    assert_eq!(rbac(&[], &[one.path()]), (2, String::new(), vec![line]));
}
