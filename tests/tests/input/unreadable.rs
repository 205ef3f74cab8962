//! Files that may not be read, and such as lead nowhere: each is one line that names it, and disturbs nothing else.

use std::os::unix::fs::symlink;

use super::super::*;

/// The command as somebody whom the permissions of files bind, whoever runs the tests.
pub(super) fn bound(args: &[&str]) -> Command {
    let binary = gatehost_tests::gatehost_binary().unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all"]).arg(binary);
        command
    } else {
        Command::new(binary)
    };
    command.args(args).env_clear().env("HOME", "/nonexistent").env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    command
}

/// A file that nobody may read.
pub(super) fn closed(file: &Path, content: &str) {
    fs::write(file, content).unwrap();
    fs::set_permissions(file, Permissions::from_mode(0o000)).unwrap();
}

/// The errors that `dev --once` tells of: the file's name, and the one line.
fn errors(command: &mut Command) -> Vec<(String, String)> {
    let (code, out, err) = run(command);
    let document: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let text = |error: &Value, field: &str| error[field].as_str().unwrap().to_owned();
    let errors: Vec<_> = document["errors"].as_array().unwrap().iter().collect();
    assert_eq!(code == 2, !errors.is_empty(), "{document:#}{err}");
    // What is right goes on.
    assert_eq!(document["gates"][0]["status"], "True", "{document:#}");
    let name = |file: &str| Path::new(file).file_name().unwrap().to_str().unwrap().to_owned();
    errors.into_iter().map(|error| (name(&text(error, "file")), text(error, "error"))).collect()
}

#[test]
fn a_check_and_a_plugin_that_may_not_be_read_are_named() {
    let directory = directory();
    closed(&directory.path().join("closed.yaml"), GOOD);
    closed(&directory.path().join("closed.wasm"), "");
    let mut command = bound(&["dev", "--once", "-o", "json"]);
    let line = "this user may not read it; grant read permission".to_owned();
    let expected = [("closed.wasm".to_owned(), line.clone()), ("closed.yaml".to_owned(), line)];
    assert_eq!(errors(command.arg(directory.path())), expected);
}

#[test]
fn a_link_that_leads_nowhere_is_named() {
    let directory = directory();
    symlink("/nonexistent/check.yaml", directory.path().join("gone.yaml")).unwrap();
    let told = errors(bound(&["dev", "--once", "-o", "json"]).arg(directory.path()));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 == "gone.yaml" && told[0].1.contains("link"), "{told:?}");
}

#[test]
fn a_credential_that_may_not_be_read_or_is_not_there_is_named_with_its_entry() {
    let (directory, credentials) = (directory(), tempfile::tempdir().unwrap());
    closed(&credentials.path().join("closed"), "secret");
    for name in ["closed", "none"] {
        let check =
            GOOD.replace("approved\n", &format!("{name}\n")).replace("{name: approved}", &format!("{{name: {name}}}"));
        let allow = format!("  allow: {{http: [{{url: \"https://api.example.com\", bearerToken: {name}}}]}}\n");
        fs::write(directory.path().join(format!("{name}.yaml")), check + &allow).unwrap();
    }
    let mut command = bound(&["dev", "--once", "-o", "json", "--credentials"]);
    let told = errors(command.arg(credentials.path()).arg(directory.path()));
    let of = |name: &str| told.iter().find(|(file, _)| file == &format!("{name}.yaml")).map(|(_, line)| line.as_str());
    let place = format!("in the directory of --credentials ({})", credentials.path().display());
    let line = of("closed").unwrap_or_else(|| panic!("{told:?}"));
    assert!(
        line.contains(&format!("spec.allow.http: bearerToken: closed cannot be read {place}: Permission denied")),
        "{line}"
    );
    let line = of("none").unwrap_or_else(|| panic!("{told:?}"));
    assert!(
        line.contains(&format!("spec.allow.http: bearerToken: none is not {place}; put it there, or correct the name")),
        "{line}"
    );
    assert_eq!(told.len(), 2, "{told:?}");
}
