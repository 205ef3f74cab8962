//! The rules of the house, kept by a test: who uses what, how long a file may be, what tests may not do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use gatehost_tests::workspace;

/// The longest file, with its unit tests.
const LINES: usize = 400;
/// The longest that half of the files may be.
const MEDIAN: usize = 150;
/// The most lines of a shipped check, without comments, empty lines and tests.
const CHECK: usize = 300;

struct Source {
    /// From the top of the repository.
    path: String,
    text: String,
}

impl Source {
    /// The code without its unit tests, comments and texts of documentation.
    fn code(&self) -> impl Iterator<Item = &str> {
        let tests =
            self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || self.path.ends_with("testing.rs");
        let end = if tests { 0 } else { self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len()) };
        self.text[..end].lines().map(str::trim).filter(|line| !line.starts_with("//"))
    }

    fn uses(&self, name: &str) -> bool {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        self.code().any(|line| {
            line.match_indices(name)
                .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + name.len()..].starts_with(is_word))
        })
    }
}

fn collect(directory: &Path, to: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, to);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            to.push(path);
        }
    }
}

fn sources(tops: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for top in tops {
        collect(&workspace().join(top), &mut paths);
    }
    let read = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(workspace()).unwrap().to_str().unwrap().to_owned(),
    };
    paths.into_iter().map(read).collect()
}

/// The files that use one of these names, but for those under one of the folders that may.
fn users(names: &[&str], but: &[&str]) -> Vec<String> {
    let sources = sources(&["host/src"]);
    let found = sources.iter().filter(|source| names.iter().any(|name| source.uses(name)));
    found.map(|source| source.path.clone()).filter(|path| !but.iter().any(|may| path.starts_with(may))).collect()
}

#[test]
fn no_file_is_longer_than_it_may_be() {
    let sources = sources(&["host/src", "plugins", "tests"]);
    let mut lengths: Vec<_> = sources.iter().map(|source| (source.text.lines().count(), &source.path)).collect();
    lengths.sort();
    let long: Vec<_> = lengths.iter().filter(|(lines, _)| *lines > LINES).collect();
    assert!(long.is_empty(), "more than {LINES} lines: {long:?}");
    assert!(
        lengths[lengths.len() / 2].0 <= MEDIAN,
        "half of the files are longer than {:?}",
        lengths[lengths.len() / 2]
    );
}

#[test]
fn a_shipped_check_is_small() {
    let mut lines: BTreeMap<String, usize> = BTreeMap::new();
    for source in sources(&["plugins"]) {
        let name = source.path.split('/').nth(1).unwrap().to_owned();
        let code = source.text.split("\n#[cfg(test)]").next().unwrap();
        let code = if source.path.ends_with("/tests.rs") { "" } else { code };
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        *lines.entry(name).or_default() += code.lines().filter(is_code).count();
    }
    lines.remove("sdk").unwrap();
    assert!(lines.len() >= 10, "{lines:?}");
    assert!(lines.values().all(|lines| *lines <= CHECK), "more than {CHECK} lines: {lines:?}");
}

#[test]
fn each_library_has_one_user() {
    let nobody: [String; 0] = [];
    assert_eq!(users(&["wasmtime", "wasmtime_wasi", "wasmtime_wasi_io"], &["host/src/sandbox/"]), nobody);
    assert_eq!(users(&["kube", "k8s_openapi"], &["host/src/cluster/"]), nobody);
    assert_eq!(users(&["notify"], &["host/src/catalog/"]), nobody);
    assert_eq!(users(&["axum", "prometheus_client"], &["host/src/serve/"]), nobody);
    assert_eq!(users(&["clap"], &["host/src/cli/", "host/src/main.rs"]), nobody);
}

#[test]
fn what_is_pure_reads_no_clock_and_waits_for_nothing() {
    let pure = [
        "host/src/check/",
        "host/src/decide/",
        "host/src/pod",
        "host/src/cluster/objects/fields.rs",
        "host/src/cluster/objects/pods.rs",
        "host/src/cluster/objects/store",
        "host/src/cli/rbac/",
        "host/src/dispatch/core.rs",
        "host/src/dispatch/asking.rs",
        "host/src/dispatch/entry.rs",
        "host/src/dispatch/overriding.rs",
        "host/src/dispatch/owners.rs",
        "host/src/dispatch/pace.rs",
        "host/src/dispatch/reading.rs",
        "host/src/dispatch/ruling.rs",
        "host/src/dispatch/writes.rs",
        "host/src/dispatch/gate.rs",
    ];
    let impure = users(&["async", "await", "tokio", "Instant", "SystemTime", "UNIX_EPOCH", "sleep", "fs", "env"], &[]);
    let both: Vec<_> = impure.iter().filter(|path| pure.iter().any(|part| path.starts_with(part))).collect();
    assert!(both.is_empty(), "{both:?}");
    assert!(impure.len() > 10, "the search finds nothing: {impure:?}");
}

#[test]
fn nothing_is_global_and_no_task_is_left_alone() {
    for (what, needles) in [
        ("a task that nobody waits for", &["tokio::spawn(", "task::spawn(", "thread::spawn("][..]),
        ("global state", &["static mut ", "thread_local!", "OnceLock<", "LazyLock<", "OnceCell<"]),
        ("a way around the lints", &["todo!(", "unimplemented!(", "dbg!("]),
    ] {
        for source in sources(&["host/src", "plugins"]) {
            let found = source.code().find(|line| needles.iter().any(|needle| line.contains(needle)));
            assert!(found.is_none(), "{}: {what}: {found:?}", source.path);
        }
    }
}

#[test]
fn nothing_is_unsafe_but_what_is_listed() {
    let lint = concat!("unsafe", "_code");
    let mut found: Vec<_> = sources(&["host/src", "plugins", "tests"])
        .into_iter()
        .filter(|s| s.text.contains(lint))
        .map(|s| s.path)
        .collect();
    found.sort();
    let listed = [
        // Two numbers for the allocator of the C library, before there are threads.
        "host/src/cli/allocator.rs",
        // The one place where the host trusts bytes: what makes them the compiler's is written there.
        "host/src/sandbox/artifact.rs",
        // Guests that reach past their bindings; the sandbox holds them.
        "tests/guests/examples/gamble.rs",
        "tests/guests/examples/hoard.rs",
        // The tests' own.
        "tests/src/bin/bench/compile.rs",
        "tests/src/netns.rs",
        "tests/src/process.rs",
    ];
    assert_eq!(found, listed);
    let top = fs::read_to_string(workspace().join("Cargo.toml")).unwrap();
    assert!(top.contains(&format!("\n{lint} = \"deny\"\n")));
    let members = top.split_once("members = [").unwrap().1.split_once(']').unwrap().0.split('"').skip(1).step_by(2);
    for member in members {
        let crate_ = fs::read_to_string(workspace().join(member).join("Cargo.toml")).unwrap();
        assert!(crate_.contains("\n[lints]\nworkspace = true\n"), "{member} has lints of its own");
    }
}

#[test]
fn what_plugins_can_import_is_linked_in_two_places() {
    let linking = ["add_to_linker", "func_wrap", "func_wrap_async", "func_new", "func_new_async", "LinkerInstance"];
    let found = users(&linking, &["host/src/sandbox/wasi.rs"]);
    assert_eq!(found, ["host/src/sandbox/engine.rs"]);
    let engine = sources(&["host/src"]).into_iter().find(|s| s.path == "host/src/sandbox/engine.rs").unwrap();
    let lines: Vec<_> = engine.code().filter(|line| linking.iter().any(|name| line.contains(name))).collect();
    let all_of =
        ["bindings::Plugin::add_to_linker::<State, HasSelf<State>>(&mut linker", "wasi::add_to_linker(&mut linker)"];
    assert!(lines.len() == 2 && lines.iter().zip(all_of).all(|(line, all)| line.starts_with(all)), "{lines:?}");
}

#[test]
fn no_test_is_left_out_and_none_skips_itself() {
    let ignore = concat!("#[ign", "ore");
    for source in sources(&["host/src", "plugins", "tests"]) {
        assert!(!source.text.contains(ignore), "{}: a test that is never run", source.path);
    }
}
