//! Bad input, as a user meets it: one line that names the file, the fault and the mend, and exit 2.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail where it stands")]

use std::{
    fs::{self, Permissions},
    io::{BufRead as _, BufReader},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

mod input {
    mod rights;
    mod unreadable;
}

const GOOD: &str = "\
apiVersion: gatehost.dev/v1alpha1
kind: Check
metadata: {name: approved}
spec:
  gate: example.com/approved
  plugin: annotation.wasm
  config: {annotation: example.com/approved}
  periodSeconds: 10
  startWhen: always
";

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {namespace: shop, name: web-0, annotations: {example.com/approved: 'yes'}}
spec: {readinessGates: [{conditionType: example.com/approved}]}
";

fn gatehost() -> Command {
    let mut command = Command::new(gatehost_tests::gatehost_binary().unwrap());
    command.env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A directory with the shipped plugin, a check that is right, and a pod that it approves.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let plugin = gatehost_tests::target().join("plugins/annotation.wasm");
    fs::copy(&plugin, directory.path().join("annotation.wasm")).unwrap_or_else(|e| panic!("make plugins: {e}"));
    fs::write(directory.path().join("approved.yaml"), GOOD).unwrap();
    fs::write(directory.path().join("pod.yaml"), POD).unwrap();
    directory
}

/// What `dev --once` says of a directory.
fn once(directory: &Path) -> (i32, Value, String) {
    let (code, out, err) = run(gatehost().args(["dev", "--once", "-o", "json"]).arg(directory));
    (code, serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}")), err)
}

/// More files in a directory that is right: the one line about each. Nothing else is disturbed.
fn told<C: AsRef<[u8]>>(files: &[(String, C)]) -> Vec<String> {
    let directory = directory();
    for (name, content) in files {
        fs::write(directory.path().join(name), content).unwrap();
    }
    let (code, document, err) = once(directory.path());
    assert_eq!((code, &document["gates"][0]["status"]), (2, &Value::from("True")), "{document:#}{err}");
    let errors = document["errors"].as_array().unwrap();
    assert_eq!(errors.len(), files.len(), "{document:#}");
    let of = |name: &str| {
        let mut all = errors.iter().filter(|error| error["file"].as_str().unwrap().ends_with(&format!("/{name}")));
        let error = all.next().unwrap_or_else(|| panic!("{name} is not named: {document:#}"));
        let error = error["error"].as_str().unwrap();
        assert!(!error.is_empty() && error.lines().count() == 1, "{error:?}");
        error.to_owned()
    };
    files.iter().map(|(name, _)| of(name)).collect()
}

/// Other checks, each for a gate of its own, each with one change.
fn changed(changes: &[(&str, &str)]) -> Vec<String> {
    let check = |(i, (from, to)): (usize, &(&str, &str))| {
        let other = GOOD.replace("name: approved", &format!("name: other-{i}"));
        let other = other.replace("gate: example.com/approved", &format!("gate: example.com/other-{i}"));
        assert!(other.contains(from), "{from}");
        (format!("other-{i}.yaml"), other.replace(from, to))
    };
    told(&changes.iter().enumerate().map(check).collect::<Vec<_>>())
}

#[test]
fn a_wrong_check_is_one_line_with_the_mend() {
    let cases = [
        (
            "periodSeconds: 10",
            "periodSecond: 10",
            "line 8: spec.periodSecond: unknown field; did you mean periodSeconds?",
        ),
        (
            "periodSeconds: 10",
            "periodSeconds: soon",
            "line 8: spec.periodSeconds: the text \"soon\"; expected a whole number of seconds, 1 to 2147483647",
        ),
        (
            "periodSeconds: 10",
            "periodSeconds: 0",
            "line 8: spec.periodSeconds: the number 0; expected a whole number of seconds, 1 to 2147483647",
        ),
        (
            "gate: example.com",
            "gate: example.com/a",
            "line 5: spec.gate: the text \"example.com/a/other-3\"; expected a qualified name such as example.com/cache-warm",
        ),
        (
            "gate: example.com/other-4",
            "gate: ContainersReady",
            "line 5: spec.gate: ContainersReady belongs to Kubernetes; use a domain of your own",
        ),
        (
            "gate: example.com",
            "gate: kubernetes.io",
            "line 5: spec.gate: kubernetes.io/other-5 belongs to Kubernetes; use a domain of your own",
        ),
        (
            "annotation.wasm",
            "../annotation.wasm",
            "line 6: spec.plugin: the text \"../annotation.wasm\"; expected the name of a .wasm file in one of the directories",
        ),
        (
            "periodSeconds: 10",
            "failureThreshold: 0",
            "line 8: spec.failureThreshold: the number 0; expected a whole number, 1 to 2147483647",
        ),
        (
            "periodSeconds: 10",
            "onFault: True",
            "line 8: spec.onFault: True would lie, a fault is no verdict; expected hold, \"False\" or \"Unknown\"",
        ),
        (
            "periodSeconds: 10",
            "maxUnready: 120%",
            "line 8: spec.maxUnready: the text \"120%\"; expected a whole number of pods, 1 to 2147483647, or a share of them, 1% to 100%",
        ),
        (
            "periodSeconds: 10",
            "select: {labels: app=web tier=front}",
            "line 8: spec.select.labels: the text \"app=web tier=front\" is no label selector: \"tier\" after the end of a requirement; expected a comma",
        ),
        ("kind: Check", "kind: Deployment", "line 2: kind: \"Deployment\" is not a known kind; expected Check or Pod"),
    ];
    let changes: Vec<_> = cases.iter().map(|(from, to, _)| (*from, *to)).collect();
    assert_eq!(changed(&changes), cases.map(|(_, _, line)| line));
}

#[test]
fn what_only_the_plugin_can_judge_is_named_with_its_place() {
    let config = "{annotation: example.com/approved}";
    let lines = changed(&[
        (config, "{annotation: example.com/approved, equal: x}"),
        (config, "{annotation: 3}"),
        ("annotation.wasm", "other.wasm"),
    ]);
    assert!(lines[0].contains("spec.config/equal") && lines[0].contains("annotation.wasm"), "{lines:?}");
    assert!(lines[1].contains("spec.config/annotation"), "{lines:?}");
    assert!(lines[2].starts_with("spec.plugin: other.wasm is missing; looked in "), "{lines:?}");
}

#[test]
fn yaml_that_does_not_parse_is_located() {
    let lines = told(&[("other.yaml".to_owned(), "a: [1, 2")]);
    assert_eq!(lines, ["does not parse as YAML: unclosed bracket '[' at line 1, column 4"]);
}

#[test]
fn a_file_that_is_no_plugin_says_what_a_plugin_is() {
    let mut large = fs::read(gatehost_tests::target().join("plugins/annotation.wasm")).unwrap();
    large.resize(100_000_000, 0);
    let lines = told(&[
        ("text.wasm".to_owned(), b"hello".to_vec()),
        ("module.wasm".to_owned(), wat::parse_str("(module)").unwrap()),
        ("world.wasm".to_owned(), wat::parse_str("(component)").unwrap()),
        ("large.wasm".to_owned(), large),
    ]);
    assert_eq!(
        lines[..3],
        [
            "this is not WebAssembly; a plugin is a component, built for wasm32-wasip2",
            "this is a core module, not a component; build for wasm32-wasip2",
            "this component is not a plugin: it does not export gatehost:check/gate@0.1.1",
        ]
    );
    assert!(lines[3].contains("100000000 bytes"), "{lines:?}");
}

#[test]
fn a_gate_without_a_domain_is_a_warning_and_no_error() {
    let directory = directory();
    fs::write(directory.path().join("approved.yaml"), GOOD.replace("gate: example.com/approved", "gate: approved"))
        .unwrap();
    fs::write(
        directory.path().join("pod.yaml"),
        POD.replace("conditionType: example.com/approved", "conditionType: approved"),
    )
    .unwrap();
    let (code, document, err) = once(directory.path());
    assert_eq!((code, &document["errors"]), (0, &serde_json::json!([])), "{document:#}{err}");
    let line = "line 5: spec.gate: approved has no domain; example.com/approved cannot clash with another owner's";
    assert!(
        err.contains("WARN") && err.contains(line) && err.contains("approved.yaml") && err.lines().count() == 1,
        "{err}"
    );
}

#[test]
fn a_selection_by_namespace_labels_is_refused_where_the_host_sees_only_its_namespaces() {
    let directory = directory();
    fs::write(directory.path().join("approved.yaml"), format!("{GOOD}  select: {{namespaceLabels: team=a}}\n"))
        .unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let server = "clusters: [{name: none, cluster: {server: 'http://127.0.0.1:1'}}]";
    let context = "contexts: [{name: none, context: {cluster: none, user: none}}]\nusers: [{name: none, user: {}}]";
    let text = format!("apiVersion: v1\nkind: Config\ncurrent-context: none\n{server}\n{context}\n");
    fs::write(&kubeconfig, text).unwrap();
    for (args, refused) in [(&["--namespace", "shop"][..], true), (&[], false)] {
        let mut command = gatehost();
        command.args(["run", "--listen", "127.0.0.1:0"]).args(args).arg(directory.path());
        let mut host = command.env("KUBECONFIG", &kubeconfig).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(host.stderr.take().unwrap()).lines().map(Result::unwrap);
        // The catalog tells of what it has found, whatever else there is to tell.
        let told = log.find(|line| line.contains("approved.yaml") || line.contains("catalog")).unwrap();
        host.kill().unwrap();
        host.wait().unwrap();
        let line = "spec.select.namespaceLabels: check approved needs them, but the host runs with --namespace and cannot \
                    see namespace labels; use select.namespaces, or run without --namespace";
        assert_eq!(told.contains(line), refused, "{told}");
    }
}

#[test]
fn a_directory_that_may_not_be_read_is_one_line_and_exit_2() {
    let directory = directory();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o000)).unwrap();
    // Where anybody may start it, wherever the workspace is.
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), Permissions::from_mode(0o755)).unwrap();
    let binary = open.path().join("gatehost");
    fs::copy(gatehost_tests::gatehost_binary().unwrap(), &binary).unwrap();
    for verb in ["dev", "run"] {
        let mut command = Command::new(&binary);
        command.env_clear().stdin(Stdio::null()).arg(verb).arg(directory.path());
        if rustix::process::geteuid().is_root() {
            // Who may read everything is told nothing.
            command.uid(65_534).gid(65_534);
        }
        let (code, out, err) = run(&mut command);
        let line = "this user may not read the directory; grant it read and search permission";
        assert_eq!((code, out), (2, String::new()), "{err}");
        assert_eq!(err, format!("gatehost: {}: {line}\n", directory.path().display()));
    }
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_file_in_the_place_of_a_directory_is_one_line_and_exit_2() {
    let directory = directory();
    let file = directory.path().join("approved.yaml");
    let (code, out, err) = run(gatehost().arg("run").arg(&file));
    assert_eq!((code, out), (2, String::new()), "{err}");
    assert_eq!(err, format!("gatehost: {}: not a directory; name the directory that the file is in\n", file.display()));
}
