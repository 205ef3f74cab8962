//! `gatehost compile`, and hosts that use what it made: of the same user, of root, and of others.

use std::{
    fs::{self, Permissions},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
    time::Duration,
};

use gatehost_tests::{
    host::Host,
    wait::{SOON, Seen, until},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{gatehost, guest, names, output};

/// As the image's user.
const USER: u32 = 65_532;

const CHECK: &str = "apiVersion: gatehost.dev/v1alpha1\nkind: Check\nmetadata: {name: good}\n\
                     spec: {gate: example.com/good, plugin: good.wasm, startWhen: always}\n";

/// A directory with plugins, a check and a pod, and one for the cache, that everybody may read.
struct Bed {
    place: TempDir,
}

impl Bed {
    fn new(plugins: &[&str]) -> Self {
        let place = tempfile::tempdir().unwrap();
        for name in ["checks", "cache"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        for directory in [place.path().to_owned(), place.path().join("checks"), place.path().join("cache")] {
            fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        }
        for name in plugins {
            fs::copy(guest(name), place.path().join("checks").join(name).with_extension("wasm")).unwrap();
        }
        fs::write(place.path().join("checks/check.yaml"), CHECK).unwrap();
        let gates = json!([{ "conditionType": "example.com/good" }]);
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "namespace": "shop", "name": "web" },
                          "spec": { "readinessGates": gates } });
        fs::write(place.path().join("checks/pod.yaml"), pod.to_string()).unwrap();
        Self { place }
    }

    fn checks(&self) -> String {
        self.place.path().join("checks").to_str().unwrap().to_owned()
    }

    fn cache(&self) -> String {
        self.place.path().join("cache").to_str().unwrap().to_owned()
    }

    fn compile(&self, more: &[&str]) -> (i32, String, String) {
        output(gatehost(&["compile", &self.checks(), "--cache", &self.cache()]).args(more))
    }

    /// What `dev --once` says of where the plugin's code came from, and of the cache.
    fn once(&self, change: impl FnOnce(&mut Command)) -> String {
        let mut command = gatehost(&["dev", "--once", "--log-level", "info,gatehost::sandbox=debug"]);
        command.args(["--cache", &self.cache(), &self.checks()]);
        change(&mut command);
        let (_, out, err) = output(&mut command);
        assert!(out.contains("example.com/good"), "{out}{err}");
        err
    }
}

#[test]
fn a_line_tells_of_each_plugin_and_the_second_time_all_are_there() {
    let bed = Bed::new(&["good", "panic"]);
    let (code, out, err) = bed.compile(&[]);
    let lines = |word: &str| ["good", "panic"].map(|n| format!("{word}  {}/{n}.wasm\n", bed.checks())).concat();
    assert_eq!((code, out), (0, lines("compiled")), "{err}");
    assert_eq!(bed.compile(&[]).1, lines("cached"));
    // What is for this machine only is kept beside.
    assert_eq!(bed.compile(&["--native"]).1, lines("compiled"));
    assert_eq!(names(&bed.place.path().join("cache/gatehost")).len(), 4);
    assert_eq!(bed.compile(&["--native"]).1, lines("cached"));
}

#[test]
fn what_a_host_would_refuse_fails() {
    let bed = Bed::new(&["good", "spin_describe"]);
    fs::write(bed.place.path().join("checks/cut.wasm"), &fs::read(guest("good")).unwrap()[..999]).unwrap();
    let (code, out, err) = bed.compile(&["-o", "json"]);
    assert_eq!(code, 1, "{out}{err}");
    let document: Value = serde_json::from_str(&out).unwrap();
    let plugins = document["plugins"].as_array().unwrap();
    let told: Vec<_> = plugins.iter().map(|p| p["result"].as_str().unwrap()).collect();
    assert_eq!(told, ["failed", "compiled", "failed"], "{out}");
    assert!(plugins[0]["file"].as_str().unwrap().ends_with("cut.wasm"), "{out}");
    assert!(plugins[0]["error"].as_str().unwrap().starts_with("the file is cut off"), "{out}");
    assert!(plugins[2]["error"].as_str().unwrap().contains("cannot describe itself"), "{out}");
    assert_eq!(plugins[1]["error"], Value::Null);
}

#[test]
fn a_cache_that_cannot_be_filled_and_a_directory_without_plugins_are_wrong_input() {
    let bed = Bed::new(&["good"]);
    let (code, _, err) = output(&mut gatehost(&["compile", &bed.checks(), "--cache", "/nonexistent/cache"]));
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.starts_with("gatehost: /nonexistent/cache: no such directory"), "{err}");
    let (code, _, err) = output(&mut gatehost(&["compile", &bed.cache(), "--cache", &bed.cache()]));
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.contains("hold no file that ends in .wasm"), "{err}");
    fs::create_dir(bed.place.path().join("cache/gatehost")).unwrap();
    fs::set_permissions(bed.place.path().join("cache/gatehost"), Permissions::from_mode(0o777)).unwrap();
    let (code, _, err) = bed.compile(&[]);
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.contains("may be written to by others"), "{err}");
}

#[test]
fn a_host_takes_what_root_has_compiled_for_every_machine_and_nobody_else_can_change() {
    let bed = Bed::new(&["good"]);
    assert_eq!(bed.compile(&[]).0, 0);
    let inner = bed.place.path().join("cache/gatehost");
    let file = inner.join(&names(&inner)[0]);
    let user = |command: &mut Command| {
        command.uid(USER).gid(USER);
    };
    let from_cache = |err: &str| err.contains("origin=Cache");
    assert!(from_cache(&bed.once(user)), "{}", bed.once(user));
    assert!(from_cache(&bed.once(|_| {})), "root itself");

    let is_refused = |what: &str, why: &str| {
        let err = bed.once(user);
        assert!(err.contains("origin=Compiled") && err.contains(why), "{what}: {err}");
        assert_eq!(err.lines().filter(|line| line.contains(why)).count(), 1, "{what}: {err}");
    };
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    is_refused("a file that others may write to", "others may write to it");
    fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(&inner, Permissions::from_mode(0o777)).unwrap();
    is_refused("a directory that others may write to", "may be written to by others");
    fs::set_permissions(&inner, Permissions::from_mode(0o755)).unwrap();
    chown(&inner, Some(54_321), None).unwrap();
    is_refused("somebody else's directory", "may be written to by others");
    chown(&inner, Some(0), None).unwrap();
    assert!(from_cache(&bed.once(user)), "all is as it was");
}

#[tokio::test]
async fn a_host_of_a_cluster_starts_from_the_cache_that_it_has_filled() {
    let bed = Bed::new(&["good"]);
    let kubeconfig = bed.place.path().join("kubeconfig");
    let nobody = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "none",
        "contexts": [{ "name": "none", "context": { "cluster": "none", "user": "none" } }],
        "clusters": [{ "name": "none", "cluster": { "server": "http://127.0.0.1:9" } }],
        "users": [{ "name": "none", "user": {} }],
    });
    fs::write(&kubeconfig, nobody.to_string()).unwrap();
    let log = bed.place.path().join("log");
    for origin in ["Stored", "Cache"] {
        let (checks, config) = (bed.checks(), kubeconfig.to_str().unwrap());
        let args = [checks.as_str(), "--kubeconfig", config, "--log-level", "info,gatehost::sandbox=debug"];
        let mut host = Host::start(&args, &[("GATEHOST_CACHE", &bed.cache())], &log).unwrap();
        until(SOON, &format!("the plugin is {origin}"), async || {
            host.check()?;
            let lines = host.log_lines()?;
            Ok(Seen::when(lines.iter().any(|line| line["origin"] == origin), || format!("{lines:?}")))
        })
        .await
        .unwrap();
        assert!(host.terminate(Duration::from_secs(10)).unwrap().success());
    }
    assert!(Path::new(&bed.cache()).join("gatehost").is_dir());
}
