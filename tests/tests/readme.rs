//! README.md says what is true: its code, its links, its flags. What it says of a cluster is in `cluster/readme.rs`.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{collections::BTreeSet, fs, process::Command};

use gatehost_tests::{gatehost_binary, readme, target, workspace};

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
    let plugins = fs::read_dir(workspace().join("plugins")).unwrap();
    let own = plugins.map(|plugin| plugin.unwrap().path().join("README.md")).filter(|page| page.exists());
    let pages: Vec<_> =
        ["README.md", "plugins/README.md"].map(|page| workspace().join(page)).into_iter().chain(own).collect();
    assert!(pages.len() > 8, "{pages:?}");
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("https://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(file.exists(), "{}: {target} does not exist", page.display());
            let found =
                heading.is_empty() || headings(&fs::read_to_string(&file).unwrap()).contains(&heading.to_owned());
            assert!(found, "{}: {target} has no such heading", page.display());
        }
    }
}

/// The names under which a page's headings are linked to.
fn headings(text: &str) -> Vec<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches(['#', ' ']));
    let kept = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    titles.map(|title| title.to_lowercase().replace(|c| !kept(c), "").replace(' ', "-")).collect()
}

#[test]
fn the_example_of_each_shipped_check_loads() {
    let plugins = fs::read_dir(workspace().join("plugins")).unwrap().map(|plugin| plugin.unwrap().path());
    let mut seen = 0;
    // The plugins in other languages take long to load: `languages` looks after their page.
    let shipped = plugins.filter(|plugin| !plugin.ends_with("examples"));
    for page in shipped.map(|plugin| plugin.join("README.md")).filter(|page| page.exists()) {
        let text = fs::read_to_string(&page).unwrap();
        let example = text.split("```yaml\n").skip(1).find(|block| block.contains("kind: Check")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("check.yaml"), example.split("```").next().unwrap()).unwrap();
        // A gate of somebody else: the check is loaded, and asked nothing.
        let pod = "{apiVersion: v1, kind: Pod, metadata: {namespace: a, name: b}, \
                   spec: {readinessGates: [{conditionType: example.com/other-gate}]}}";
        fs::write(folder.path().join("pod.yaml"), pod).unwrap();
        let mut gatehost = Command::new(gatehost_binary().unwrap());
        gatehost.args(["dev", "--once", "-o", "json"]).arg(folder.path()).arg(target().join("plugins"));
        let shown: serde_json::Value = serde_json::from_slice(&gatehost.output().unwrap().stdout).unwrap();
        assert_eq!(shown["errors"], serde_json::json!([]), "{}", page.display());
        seen += 1;
    }
    assert!(seen >= 7, "{seen}");
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
