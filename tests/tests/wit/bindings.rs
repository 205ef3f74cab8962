//! Bindings of wit/ in other languages: generated with their own generators, and used by a small check each
//! (`tests/wit/plugin.*`), which is imported, type-checked or compiled with them.

use std::{env, fs, path::PathBuf, process::Command};

use gatehost_tests::component;

use crate::root;

/// Where `tests/wit/setup.sh` installs the generators.
fn tools() -> PathBuf {
    root().join("target/wit")
}

/// One of the files in tests/wit.
fn source(name: &str) -> PathBuf {
    root().join("tests/wit").join(name)
}

/// Fails with all that the command said.
#[track_caller]
fn run(command: &mut Command) {
    let program = command.get_program().display().to_string();
    let output = command.output().unwrap_or_else(|e| {
        panic!("{program} cannot be started ({e}); run tests/wit/setup.sh");
    });
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(output.status.success(), "{program} failed, {}:\n{said}", output.status);
}

#[test]
fn the_c_bindings_compile_with_a_check_that_uses_them() {
    let out = tempfile::tempdir().unwrap();
    component::c_bindings(&root().join("wit"), out.path()).unwrap();
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    for file in [source("plugin.c"), out.path().join("plugin.c")] {
        // Attributes: a compiler for this machine knows nothing of WebAssembly's imports and exports.
        run(Command::new(&compiler)
            .args(["-std=c11", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-Wno-attributes"])
            .args(["-Wno-unknown-attributes", "-Wno-unused-parameter", "-Wno-int-to-pointer-cast"])
            .args(["-Wno-pointer-to-int-cast", "-I"])
            .args([out.path(), &file]));
    }
}

#[test]
fn the_python_bindings_import_with_a_check_that_uses_them() {
    let out = tempfile::tempdir().unwrap();
    let venv = tools().join("venv/bin");
    run(Command::new(venv.join("componentize-py"))
        .args(["-d"])
        .arg(root().join("wit"))
        .args(["-w", "plugin"])
        .arg("bindings")
        .arg(out.path()));
    run(Command::new(venv.join("python3")).arg("-B").arg(source("plugin.py")).env("PYTHONPATH", out.path()));
}

#[test]
fn the_typescript_bindings_type_check_with_a_check_that_uses_them() {
    let node = tools().join("node");
    assert!(node.join("node_modules").is_dir(), "no jco in {}; run tests/wit/setup.sh", node.display());
    // Inside the folder, because that is where node looks for node_modules.
    let out = tempfile::tempdir_in(&node).unwrap();
    let here = |name: &str| out.path().join(name);
    for name in ["types.mjs", "plugin.ts"] {
        fs::copy(source(name), here(name)).unwrap();
    }
    run(Command::new("node").arg(here("types.mjs")).arg(root().join("wit")).arg(here("types")));
    run(Command::new("node")
        .arg(node.join("node_modules/typescript/bin/tsc"))
        .args(["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,esnext.disposable"])
        .args(["--module", "esnext", "--moduleResolution", "bundler"])
        .args([here("plugin.ts"), here("types/plugin.d.ts")]));
}
