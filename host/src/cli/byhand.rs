//! The command that sets a gate without a host, as text for a shell.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    decide::{Condition, Status, sanitize, transition},
    pod::Pod,
};

/// What stands as the reason of a condition that was set this way. Not the host's own word for an override, which a
/// host would take for its own.
const REASON: &str = "SetByHand";

/// The `kubectl patch` that gives `pod` these statuses at `now`, in Unix milliseconds. It holds the uid, so that it never
/// reaches another pod of the name. `flags` go in front, such as `--context=staging`.
pub(super) fn command(flags: &[String], pod: &Pod, gates: &[(String, Status)], message: &str, now: i64) -> String {
    let conditions: Vec<_> = gates.iter().map(|(gate, status)| condition(pod, gate, *status, message, now)).collect();
    let patch = json!({ "metadata": { "uid": pod.uid }, "status": { "conditions": conditions } }).to_string();
    let words = ["kubectl", "patch", "pod", &pod.name, "-n", &pod.namespace].map(ToOwned::to_owned);
    let kind = ["--subresource=status", "--type=strategic", "-p"].map(ToOwned::to_owned);
    let words = words.into_iter().chain(flags.iter().cloned()).chain(kind);
    format!("{} {}", words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" "), in_quotes(&patch))
}

fn condition(pod: &Pod, gate: &str, status: Status, message: &str, now: i64) -> Value {
    let standing = pod.condition(gate).and_then(Condition::read);
    let moved = transition(status, standing.as_ref(), now);
    let since = moved.or_else(|| standing.and_then(|c| c.last_transition)).unwrap_or(now);
    let since = Timestamp::from_second(since.div_euclid(1000)).unwrap_or_default().to_string();
    let mut condition = json!({
        "type": gate, "status": status.as_str(), "reason": REASON, "message": sanitize::message(message),
        "lastTransitionTime": since,
    });
    if pod.generation > 0 {
        condition["observedGeneration"] = json!(pod.generation);
    }
    condition
}

/// A word as it is where a shell takes it so, in quotes otherwise.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { in_quotes(word) }
}

/// In single quotes nothing means anything to a shell but the quote itself.
fn in_quotes(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::process::Command;

    use super::*;
    use crate::pod;

    const NOW: i64 = 1_795_450_422_900;

    fn pod() -> Pod {
        let standing = |status: &str| pod::Condition {
            status: status.into(),
            last_transition: Some(1_795_450_000_000),
            ..pod::Condition::default()
        };
        Pod {
            namespace: "shop".into(),
            name: "web-0".into(),
            uid: "u-1".into(),
            generation: 3,
            conditions: vec![("a.io/b".into(), standing("False")), ("a.io/c".into(), standing("True"))],
            ..Pod::default()
        }
    }

    #[test]
    fn a_shell_reads_the_words_as_they_were_meant() {
        let flags = ["--context=it's \"mine\" $(id) `id`\\ & more".to_owned()];
        let message = "don't $HOME \\ \"now\" `x` ; rm -rf '\n'";
        let line = command(&flags, &pod(), &[("a.io/b".into(), Status::True)], message, NOW);
        let script = format!("kubectl() {{ printf '%s\\0' \"$@\"; }}; {line}");
        let out = Command::new("/bin/sh").args(["-c", &script]).output().unwrap().stdout;
        let out = String::from_utf8(out).unwrap();
        let words: Vec<_> = out.split_terminator('\0').collect();
        let before = [
            "patch",
            "pod",
            "web-0",
            "-n",
            "shop",
            flags[0].as_str(),
            "--subresource=status",
            "--type=strategic",
            "-p",
        ];
        assert_eq!(words[..9], before);
        let patch: Value = serde_json::from_str(words[9]).unwrap();
        assert_eq!(patch["status"]["conditions"][0]["message"], "don't $HOME \\ \"now\" `x` ; rm -rf ' '");
        assert_eq!(patch["metadata"], json!({ "uid": "u-1" }));
    }

    #[test]
    fn the_transition_moves_only_with_the_status() {
        let gates = ["a.io/b", "a.io/c", "a.io/d"].map(|gate| (gate.to_owned(), Status::True));
        let line = command(&[], &pod(), &gates, "why", NOW);
        let patch: Value = serde_json::from_str(line.split('\'').nth(1).unwrap()).unwrap();
        let at = |n: usize| patch["status"]["conditions"][n]["lastTransitionTime"].as_str().unwrap().to_owned();
        assert_eq!([at(0), at(1), at(2)], ["2026-11-23T16:13:42Z", "2026-11-23T16:06:40Z", "2026-11-23T16:13:42Z"]);
        assert_eq!(patch["status"]["conditions"][0]["observedGeneration"], 3);
        assert!(line.starts_with("kubectl patch pod web-0 -n shop --subresource=status --type=strategic -p '{"));
    }
}
