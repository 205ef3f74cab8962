//! README.md says what is true: its code, its links, its flags. What it says of a cluster is in `cluster/readme.rs`.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{collections::BTreeSet, fs, process::Command};

use gatehost_tests::{gatehost_binary, readme, workspace};

#[test]
fn the_plugin_is_the_one_that_the_sdks_documentation_compiles() {
    let sdk = fs::read_to_string(workspace().join("plugins/sdk/src/lib.rs")).unwrap();
    let lines =
        sdk.lines().map_while(|line| line.strip_prefix("//!")).map(|line| line.strip_prefix(' ').unwrap_or(line));
    let example: Vec<_> = lines.skip_while(|line| *line != "```").skip(1).take_while(|line| *line != "```").collect();
    assert_eq!(readme::block("rust", "gatehost_sdk::export!").trim_end(), example.join("\n"));
}

#[test]
fn every_link_leads_to_a_file() {
    for page in ["README.md", "plugins/README.md", "plugins/annotation/README.md", "plugins/settle/README.md"] {
        let page = workspace().join(page);
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("https://") && !target.starts_with('#')) {
            assert!(page.with_file_name(target).exists(), "{}: {target} does not exist", page.display());
        }
    }
}

#[test]
fn every_make_command_is_a_target() {
    let makefile = fs::read_to_string(workspace().join("Makefile")).unwrap();
    let text = readme::text();
    let named: BTreeSet<_> = text.split("`make ").skip(1).filter_map(|rest| rest.split('`').next()).collect();
    assert!(named.is_superset(&["demo", "playground", "test"].into()), "{named:?}");
    for target in named {
        assert!(makefile.lines().any(|line| line.starts_with(&format!("{target}:"))), "make {target} does not exist");
    }
}

#[test]
fn the_flags_and_variables_of_run_are_those_of_its_help() {
    let help = Command::new(gatehost_binary().unwrap()).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let (start, end) = (help.find("Options:").unwrap(), help.find("Examples:").unwrap());
    let mut offered = words(&help[start..end]);
    offered.remove("--help");
    let text = readme::text();
    let table = text.split("| flag of `run` |").nth(1).unwrap().split("\n\n").next().unwrap();
    assert_eq!(words(table), offered);
}

/// The long flags and the variables in a text.
fn words(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'));
    let is_flag = |word: &&str| word.len() > 2 && word.starts_with("--") && !word.ends_with('-');
    words.filter(|word| is_flag(word) || word.starts_with("GATEHOST_")).collect()
}
