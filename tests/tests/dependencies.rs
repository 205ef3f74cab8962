//! What is depended on, held to `deny.toml` without the internet: licenses, sources, and what is banned.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, process::Command};

use gatehost_tests::workspace;
use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}

/// All packages that `Cargo.lock` names, for any platform.
fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--locked", "--format-version", "1"]).current_dir(workspace());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice::<Metadata>(&output.stdout).unwrap().packages
}

fn settings() -> String {
    fs::read_to_string(workspace().join("deny.toml")).unwrap()
}

/// The texts in quotes between `from` and the next bracket that closes a list.
fn list<'a>(settings: &'a str, from: &str) -> Vec<&'a str> {
    let (_, rest) = settings.split_once(from).unwrap_or_else(|| panic!("deny.toml has no {from:?}"));
    let (inside, _) = rest.split_once("\n]").unwrap();
    let code = inside.lines().filter(|line| !line.trim_start().starts_with('#'));
    code.flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
}

/// Whether a license expression can be met by what is allowed.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    // None of the expressions nests deeper than an OR of terms within an AND: each part of the AND must be met.
    expression.split(" AND ").all(|part| part.split(" OR ").any(|license| allowed.contains(&license.trim())))
}

#[test]
fn every_license_is_one_that_is_allowed() {
    let settings = settings();
    let allowed = list(&settings, "[licenses]\nallow = [");
    let packages = packages();
    assert!(packages.len() > 100 && allowed.len() > 5);
    for Package { name, version, license, .. } in packages {
        let license = license.unwrap_or_else(|| panic!("{name} {version} names no license"));
        assert!(is_allowed(&license, &allowed), "{name} {version}: {license}");
    }
    assert!(!is_allowed("GPL-3.0-only", &allowed) && !is_allowed("MIT AND GPL-3.0-only", &allowed));
}

#[test]
fn everything_comes_from_the_registry_or_the_workspace() {
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    for Package { name, source, .. } in packages() {
        assert!(source.as_deref().is_none_or(|source| source == registry), "{name}: {source:?}");
    }
}

#[test]
fn nothing_is_there_that_is_banned() {
    let settings = settings();
    let packages = packages();
    for banned in list(&settings, "deny = [\n") {
        let (name, below) = banned.split_once(":<").map_or((banned, None), |(name, below)| (name, Some(below)));
        for package in packages.iter().filter(|package| package.name == name) {
            let right = below.is_some_and(|below| number(&package.version) >= number(below));
            assert!(right, "{name} {}: banned as {banned}", package.version);
        }
    }
    assert_eq!(packages.iter().filter(|package| package.name == "wasmtime").count(), 1, "two sandboxes");
}

fn number(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap()).collect()
}
