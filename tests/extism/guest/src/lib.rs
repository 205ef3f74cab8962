//! The check of `plugins/examples` as a plugin of Extism: JSON in, JSON out.
//!
//! As its documentation shows a plugin in Rust, and reading no more of the pod than the check needs.

use std::collections::BTreeMap;

use extism_pdk::{Error, FnResult, FromBytes, Json, ToBytes, debug, plugin_fn};
use serde::{Deserialize, Serialize};

mod time;

use time::rfc3339;

const LABEL: &str = "track";
const ANNOTATION: &str = "example.com/settle-seconds";

/// What is asked.
#[derive(Deserialize, FromBytes)]
#[encoding(Json)]
#[serde(rename_all = "camelCase")]
struct Question {
    pod: Pod,
    config: Config,
    /// The instant of the call, in Unix milliseconds.
    now_ms: u64,
}

#[derive(Deserialize)]
struct Pod {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    containers: Vec<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    role: Role,
    state: State,
    started_at_ms: Option<u64>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum Role {
    App,
    Init,
    Sidecar,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
enum State {
    Waiting,
    Running,
    Terminated,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Config {
    tracks: Vec<String>,
    #[serde(default = "ten")]
    settle_seconds: u64,
}

fn ten() -> u64 {
    10
}

impl Config {
    fn check(&self) -> Result<(), Error> {
        if self.tracks.is_empty() {
            return Err(Error::msg("/tracks: give a list of at least one track"));
        }
        if let Some(at) = self.tracks.iter().position(|track| !is_track(track)) {
            return Err(Error::msg(format!(
                "/tracks/{at}: give 1 to 63 letters, digits, dots, dashes and underscores"
            )));
        }
        if !(1..=3600).contains(&self.settle_seconds) {
            return Err(Error::msg("/settleSeconds: give whole seconds from 1 to 3600"));
        }
        Ok(())
    }
}

fn is_track(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// What is answered.
#[derive(Serialize, ToBytes)]
#[encoding(Json)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    status: &'static str,
    reason: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recheck_after_ms: Option<u64>,
}

impl Verdict {
    fn new(status: &'static str, reason: &'static str, message: String) -> Self {
        Self { status, reason, message, recheck_after_ms: None }
    }

    fn unmet(reason: &'static str, message: String) -> Self {
        Self::new("False", reason, message)
    }
}

#[plugin_fn]
pub fn evaluate(asked: Question) -> FnResult<Verdict> {
    let Question { pod, config, now_ms } = asked;
    config.check()?;
    let Some(track) = pod.labels.get(LABEL) else {
        return Ok(Verdict::unmet("NoTrack", format!("the pod has no label {LABEL}")));
    };
    if !config.tracks.contains(track) {
        let message = format!("wanted: {}; the pod is on {track}", config.tracks.join(", "));
        return Ok(Verdict::unmet("OtherTrack", message));
    }
    let seconds = match pod.annotations.get(ANNOTATION) {
        Some(own) => seconds_of(own)?,
        None => config.settle_seconds,
    };

    let running: Vec<_> = pod.containers.iter().filter(|c| c.role != Role::Init).collect();
    if running.is_empty() {
        return Ok(Verdict::new("Unknown", "NoContainers", "kubelet reports no containers".to_owned()));
    }
    let down = names(&running, |c| c.state != State::Running);
    if !down.is_empty() {
        return Ok(Verdict::unmet("NotRunning", format!("not running: {down}")));
    }
    let timeless = names(&running, |c| c.started_at_ms.is_none());
    if !timeless.is_empty() {
        return Ok(Verdict::new("Unknown", "StartUnknown", format!("no time of the start: {timeless}")));
    }

    let since = running.iter().filter_map(|c| c.started_at_ms).max().unwrap_or_default();
    // Kubernetes cuts times to whole seconds: with one more, the gate opens late rather than early.
    let due = since + 1000 + seconds * 1000;
    debug!("on track {track}, settled at {}", rfc3339(due));
    if now_ms >= due {
        let message = format!("on track {track}; all containers have run since {}", rfc3339(since));
        return Ok(Verdict::new("True", "Settled", message));
    }
    let message = format!("on track {track}; settled at {} if no container restarts", rfc3339(due));
    Ok(Verdict { recheck_after_ms: Some((due - now_ms).min(3_600_000)), ..Verdict::unmet("Settling", message) })
}

/// What the pod's own annotation says; a fault where that is no time.
fn seconds_of(own: &str) -> Result<u64, Error> {
    let digits = (1..=4).contains(&own.len()) && own.bytes().all(|b| b.is_ascii_digit());
    own.parse()
        .ok()
        .filter(|seconds| digits && (1..=3600).contains(seconds))
        .ok_or_else(|| Error::msg(format!("{ANNOTATION}: give whole seconds from 1 to 3600, not {own}")))
}

/// The names of those containers of which something is true.
fn names(containers: &[&Container], is: impl Fn(&Container) -> bool) -> String {
    let found = containers.iter().filter(|c| is(c)).map(|c| c.name.as_str());
    found.collect::<Vec<_>>().join(", ")
}
