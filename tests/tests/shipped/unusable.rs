//! Answers that are right as such, and do not say what is asked for: of a shared server a fault, never a False that is a
//! lie, unless the check says that they mean unmet.

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    Bed,
    servers::{Server, page},
};

/// The plugin, what a shared server answers, and the status and the reason by default and with `onNoAnswer: unmet`.
type Case = (&'static str, &'static str, [&'static str; 2], &'static str);

const UNUSABLE: [&str; 2] = ["Unknown", "False"];

const CASES: [Case; 11] = [
    ("scrape.wasm", "other 1\n", UNUSABLE, "MetricMissing"),
    ("scrape.wasm", "", UNUSABLE, "MetricMissing"),
    ("scrape.wasm", "depth NaN\n", UNUSABLE, "NotANumber"),
    ("scrape.wasm", "depth three\n", UNUSABLE, "Garbled"),
    ("http.wasm", r#"{"error": "busy"}"#, UNUSABLE, "ValueMissing"),
    ("http.wasm", r#"{"depth": null}"#, UNUSABLE, "ValueMissing"),
    ("http.wasm", r#"{"depth": "NaN"}"#, UNUSABLE, "NotANumber"),
    // What it does say is an answer.
    ("scrape.wasm", "depth 12\n", ["False", "False"], "OutOfBounds"),
    ("scrape.wasm", "depth 3\n", ["True", "True"], "InBounds"),
    ("http.wasm", r#"{"depth": 12}"#, ["False", "False"], "ValueDiffers"),
    ("http.wasm", r#"{"depth": 3}"#, ["True", "True"], "ResponseMatches"),
];

fn spec(plugin: &str, url: &str, unmet: bool) -> Value {
    let mut config = match plugin {
        "http.wasm" => json!({ "expect": { "json": { "pointer": "/depth", "lessThan": 10 } } }),
        _ => json!({ "metric": "depth", "expect": { "lessThan": 10 } }),
    };
    config["url"] = format!("{url}/x").into();
    if unmet {
        config["onNoAnswer"] = "unmet".into();
    }
    json!({ "plugin": plugin, "config": config, "allow": { "http": [url] }, "timeoutSeconds": 30 })
}

#[test]
fn what_a_shared_server_does_not_say_is_a_fault_with_a_reason_of_its_own() -> Result<()> {
    let (mut servers, mut specs) = (Vec::new(), Vec::new());
    for (n, (plugin, answer, ..)) in CASES.iter().enumerate() {
        let server = Server::new(&page("200 OK", answer))?;
        let url = format!("http://127.0.0.1:{}", server.port);
        servers.push(server);
        specs.extend([false, true].map(|unmet| (format!("c{n}-{unmet}"), spec(plugin, &url, unmet))));
    }
    let said = Bed::ask_all(&["scrape.wasm", "http.wasm"], None, &specs)?;
    for (n, (plugin, answer, statuses, reason)) in CASES.into_iter().enumerate() {
        for (unmet, status) in [false, true].into_iter().zip(statuses) {
            let said = &said[&format!("c{n}-{unmet}")];
            assert_eq!((said.status.as_str(), said.reason.as_str()), (status, reason), "{plugin} {answer:?}: {said:?}");
            assert!(!said.message.is_empty() && said.message.lines().count() == 1, "{said:?}");
        }
    }
    Ok(())
}
