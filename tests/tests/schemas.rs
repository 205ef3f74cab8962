//! The schemas of the shipped checks' configs: what the documents of this repository configure is valid by them.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{collections::BTreeMap, fs, path::Path};

use boon::{Compiler, SchemaIndex, Schemas};
use gatehost::check;
use gatehost_tests::workspace;
use serde_json::{Value, json};

/// The schema of each shipped check, by the name of its plugin.
struct Shelf {
    schemas: Schemas,
    known: BTreeMap<String, SchemaIndex>,
}

impl Shelf {
    fn new() -> Self {
        let (mut schemas, mut compiler, mut known) = (Schemas::new(), Compiler::new(), BTreeMap::new());
        compiler.enable_format_assertions();
        for folder in fs::read_dir(workspace().join("plugins")).unwrap().map(|entry| entry.unwrap().path()) {
            let Ok(text) = fs::read_to_string(folder.join("src/schema.json")) else { continue };
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let url = format!("https://gatehost.dev/{name}.json");
            compiler.add_resource(&url, serde_json::from_str(&text).unwrap()).unwrap();
            let index = compiler.compile(&url, &mut schemas).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            known.insert(format!("{name}.wasm"), index);
        }
        Self { schemas, known }
    }

    fn judge(&self, plugin: &str, config: &Value) -> Result<(), String> {
        self.schemas.validate(config, self.known[plugin]).map_err(|error| format!("{error:#}"))
    }
}

/// The checks in a text, which may lack the head of a document, and of `spec` all but what it is about.
fn checks(text: &str, plugin: &str) -> Vec<check::Check> {
    let head = "apiVersion: gatehost.dev/v1alpha1\nkind: Check\nmetadata: {name: it}\n";
    let text = if text.contains("kind: Check") {
        text.to_owned()
    } else if text.starts_with("spec:") {
        format!("{head}{text}")
    } else {
        format!("{head}spec:\n  gate: example.com/it\n  plugin: {plugin}\n{text}")
    };
    let parsed = check::parse(&text, true);
    assert!(parsed.broken.is_empty(), "{text}\n{:?}", parsed.broken);
    parsed.checks
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_example_of_a_shipped_check_is_valid_by_its_schema() {
    let shelf = Shelf::new();
    assert!(shelf.known.len() >= 10, "{:?}", shelf.known.keys());
    let mut seen = 0;
    for plugin in shelf.known.keys() {
        let page = read(&workspace().join("plugins").join(plugin.trim_end_matches(".wasm")).join("README.md"));
        let blocks: Vec<_> =
            page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest)).collect();
        assert!(!blocks.is_empty(), "{plugin} has no example");
        for block in blocks.into_iter().filter(|block| block.contains("config:")) {
            for check in checks(block, plugin) {
                let config = serde_json::from_str(&check.config).unwrap();
                assert_eq!(shelf.judge(&check.plugin, &config), Ok(()), "{block}");
                seen += 1;
            }
        }
    }
    for file in ["plugins/demo/checks.yaml", "host/deploy/checks/approved.yaml"] {
        for check in checks(&read(&workspace().join(file)), "") {
            let config = serde_json::from_str(&check.config).unwrap();
            assert_eq!(shelf.judge(&check.plugin, &config), Ok(()), "{file}: {}", check.name);
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn what_a_plugin_refuses_its_schema_refuses_as_well() {
    let shelf = Shelf::new();
    for (plugin, config) in [
        ("annotation.wasm", json!({ "annotation": "a.b/c", "equals": "x", "matches": "y" })),
        ("dns.wasm", json!({ "name": "" })),
        ("expression.wasm", json!({ "expression": "" })),
        ("http.wasm", json!({ "port": 80, "url": "http://a/" })),
        ("http.wasm", json!({ "port": 80, "expect": { "json": { "pointer": "a", "equals": 1 } } })),
        ("http.wasm", json!({ "port": 80, "expect": { "json": { "pointer": "/a", "equals": null } } })),
        ("http.wasm", json!({ "port": 80, "expect": { "json": { "pointer": "/a" } } })),
        ("object.wasm", json!({ "apiVersion": "v1", "kind": "Pod" })),
        ("object.wasm", json!({ "apiVersion": "v1", "kind": "Pod", "name": "a", "labels": "b" })),
        ("object.wasm", json!({ "apiVersion": "v1", "kind": "Pod", "name": "a", "field": { "pointer": "/a" } })),
        ("object.wasm", {
            json!({ "apiVersion": "v1", "kind": "Pod", "name": "a", "field": { "pointer": "/a", "equals": null } })
        }),
        ("prometheus.wasm", json!({ "server": "http://a", "query": "up", "expect": {} })),
        ("scrape.wasm", json!({ "port": 80, "metric": "up", "expect": { "equals": "1" } })),
        ("settle.wasm", json!({ "seconds": 0 })),
        ("tcp.wasm", json!({ "port": 0 })),
        ("window.wasm", json!({ "open": "inside", "windows": [{ "cron": "0 2 * * *" }] })),
        ("window.wasm", json!({ "open": "inside", "windows": [{ "from": "8:00", "to": "09:00" }] })),
        ("window.wasm", json!({ "open": "inside", "windows": [] })),
    ] {
        assert!(shelf.judge(plugin, &config).is_err(), "{plugin}: {config}");
    }
    for plugin in shelf.known.keys() {
        assert!(shelf.judge(plugin, &json!({})).is_err(), "{plugin} takes nothing");
        assert!(shelf.judge(plugin, &json!({ "?": 0 })).is_err(), "{plugin} takes anything");
    }
}
