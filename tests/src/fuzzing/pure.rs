//! The pure parts under a stranger's bytes.

use std::time::Duration;

use gatehost::{
    check::{self, MaxUnready, Policy},
    decide::{Condition, sanitize},
    pod::{Packed, Pod, Seen},
};
use serde_json::{Value, json};

/// What must not come through where it is written into a pod.
const SECRET: &str = "hunter2-in-the-clear";

/// Where `kubectl apply` writes the whole pod.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A text that is said to be documents: it is read or told of in single lines, and no check has a wrong field in it.
///
/// # Panics
/// When it is not so.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for pods in [false, true] {
        let parsed = check::parse(text, pods);
        for line in parsed.broken.iter().flat_map(|broken| &broken.errors).chain(&parsed.warnings) {
            assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
        }
        assert!(parsed.broken.iter().all(|broken| !broken.errors.is_empty()));
        for check in parsed.checks {
            assert!(check::is_subdomain(&check.name), "{check:?}");
            assert!(!check::is_reserved(&check.gate) && check::is_plugin_file(&check.plugin), "{check:?}");
            assert!(check.policy.period >= Duration::from_secs(1), "{check:?}");
            assert!((Duration::from_secs(1)..=Duration::from_mins(1)).contains(&check.timeout), "{check:?}");
            assert!(serde_json::from_str::<Value>(&check.config).unwrap().is_object(), "{check:?}");
            assert!(check.select.namespaces.iter().all(|name| check::is_label(name)), "{check:?}");
            policy(&check.policy);
        }
        assert!(pods || parsed.pods.is_empty());
        parsed.pods.iter().for_each(projection);
    }
}

/// Every number is within its bounds.
fn policy(policy: &Policy) {
    let most = i32::MAX.unsigned_abs();
    let seconds = |time: Duration, least: u64| (least..=u64::from(most)).contains(&time.as_secs());
    assert!(seconds(policy.initial_delay, 0) && policy.max_stale.is_none_or(|stale| seconds(stale, 1)), "{policy:?}");
    let thresholds = [policy.success_threshold, policy.failure_threshold];
    assert!(thresholds.iter().all(|threshold| (1..=most).contains(threshold)), "{policy:?}");
    assert!((1..=6000).contains(&policy.max_flaps), "{policy:?}");
    let budget = match policy.max_unready {
        MaxUnready::Count(count) => (1..=most).contains(&count),
        MaxUnready::Percent(percent) => (1..=100).contains(&percent),
    };
    assert!(budget, "{policy:?}");
}

/// A plugin's words, the reason up to the first line's end and the message after it: both are made fit for a condition.
///
/// # Panics
/// When they are not.
pub fn verdict(bytes: &[u8]) {
    let words = String::from_utf8_lossy(bytes);
    let (first, rest) = words.split_once('\n').unwrap_or((&words, &words));
    reason(first);
    message(rest);
    for max in [0, 1, 63, 256] {
        let text = sanitize::text(rest, max);
        assert!(text.len() <= max && text.trim() == text && text.chars().all(sanitize::prints), "{text:?}");
    }
    if let Some(millis) = bytes.first_chunk() {
        let delay = sanitize::delay(u32::from_le_bytes(*millis));
        assert!((Duration::from_millis(100)..=Duration::from_hours(1)).contains(&delay), "{delay:?}");
    }
}

/// A reason is what the API takes, and is the plugin's own or the one that says that it was not.
fn reason(words: &str) {
    let reason = sanitize::reason(words);
    let inner = |c: char| c.is_ascii_alphanumeric() || "_,:".contains(c);
    assert!((1..=128).contains(&reason.len()) && reason.chars().all(inner), "{reason:?}");
    assert!(reason.starts_with(|c: char| c.is_ascii_alphabetic()), "{reason:?}");
    assert!(reason.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'), "{reason:?}");
    assert!(reason == words || reason == sanitize::INVALID_REASON, "{reason:?}");
}

/// A message fits, shows as itself, and is what was said where that did.
fn message(words: &str) {
    let message = sanitize::message(words);
    assert!(message.len() <= 1024 && message.trim() == message, "{message:?}");
    assert!(message.chars().all(|c| sanitize::prints(c) && !misleads(c)), "{message:?}");
    assert_eq!(sanitize::message(&message), message, "a second time changes nothing");
    let plain = words.len() <= 1024 && words.trim() == words && words.chars().all(|c| (' '..='~').contains(&c));
    assert!(!plain || message == words, "{message:?} of {words:?}");
}

/// What a terminal, a browser or a reader takes for something else, said in another way than the host says it.
fn misleads(c: char) -> bool {
    c.is_control()
        || "\u{2028}\u{2029}\u{200e}\u{200f}\u{feff}\u{ad}".contains(c)
        || ('\u{202a}'..='\u{202e}').contains(&c)
}

/// A pod in JSON: whatever it is, what plugins do not see is dropped where it is read.
///
/// # Panics
/// When something of it comes through, or what came through is not kept as it is.
pub fn pod(bytes: &[u8]) {
    if let Ok(seen) = serde_json::from_slice::<Seen>(bytes) {
        projection(&seen);
    }
    // Of what is skipped not everything has to be right: the rest is for what is JSON throughout.
    let Ok(mut tree) = serde_json::from_slice::<Value>(bytes) else { return };
    let plain = serde_json::from_value::<Seen>(tree.clone());
    if tree.to_string().contains(SECRET) {
        return;
    }
    plant(&mut tree);
    match (plain, serde_json::from_str::<Seen>(&tree.to_string())) {
        (Ok(plain), Ok(planted)) => {
            assert!(!format!("{planted:?}").contains(SECRET), "{planted:?}");
            assert_eq!(plain.pod, planted.pod);
            projection(&plain);
        }
        (plain, planted) => assert_eq!(plain.is_ok(), planted.is_ok(), "{plain:?} {planted:?}"),
    }
}

/// Writes a secret wherever a pod may hold one.
fn plant(tree: &mut Value) {
    let Some(pod) = tree.as_object_mut() else { return };
    let container = json!({
        "name": "app",
        "args": [SECRET],
        "command": [SECRET],
        "env": [{"name": "PASSWORD", "value": SECRET}],
        "envFrom": [{"secretRef": {"name": SECRET}}],
    });
    pod.insert(SECRET.into(), json!({"spec": SECRET}));
    if let Some(meta) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.insert("managedFields".into(), json!([{"fieldsV1": {SECRET: {}}}]));
        if let Some(annotations) = meta.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.insert(LAST_APPLIED.into(), SECRET.into());
        }
    }
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("containers".into(), json!([container]));
        spec.insert("ephemeralContainers".into(), json!([container]));
        spec.insert("volumes".into(), json!([{"name": SECRET, "secret": {"secretName": SECRET}}]));
        spec.insert("imagePullSecrets".into(), json!([{"name": SECRET}]));
        for init in spec.get_mut("initContainers").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(init) = init.as_object_mut() {
                init.extend([("env".to_owned(), json!([{"value": SECRET}])), ("args".to_owned(), json!([SECRET]))]);
            }
        }
    }
}

/// A pod that was read stays the same when it is packed, and has each gate once.
fn projection(seen: &Seen) {
    let Seen { pod, .. } = seen;
    let opened = Packed::new(pod).open();
    let own = |kind: &str| kind.contains('/');
    assert_eq!(opened.due_digest(own), pod.due_digest(own));
    assert_eq!(&opened, pod);
    let mut gates = pod.gates.clone();
    gates.sort();
    gates.dedup();
    assert_eq!(gates.len(), pod.gates.len());
    assert!(!pod.annotations.iter().any(|(key, _)| key == LAST_APPLIED));
    assert!([&pod.ip, &pod.node, &pod.service_account].iter().all(|text| text.as_deref() != Some("")));
    standing(pod);
}

/// Whatever conditions stand on it can be read, and the digest knows what is the host's own.
fn standing(pod: &Pod) {
    for (kind, condition) in &pod.conditions {
        if let Some(read) = Condition::read(condition) {
            assert_eq!(read.status.as_str(), condition.status);
        }
        let mut other = pod.clone();
        for (_, condition) in other.conditions.iter_mut().filter(|(other, _)| other == kind) {
            condition.message.push('x');
            condition.last_transition = None;
        }
        assert_eq!(other.due_digest(|_| false), pod.due_digest(|_| false), "a message makes gates due");
    }
}
