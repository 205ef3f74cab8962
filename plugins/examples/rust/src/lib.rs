//! True once the pod is on a track of the config and its containers have run for a while.

use std::time::Duration;

use gatehost_sdk::{
    Check, ConfigError, Container, ContainerRole, ContainerState, Description, Fault, Pod, Verdict,
    clock::{self, rfc3339},
    log,
    serde_json::Value,
};

const LABEL: &str = "track";
const ANNOTATION: &str = "example.com/settle-seconds";
const SCHEMA: &str = r#"{"type": "object", "required": ["tracks"], "additionalProperties": false, "properties": {"tracks": {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,63}$"}}, "settleSeconds": {"type": "integer", "minimum": 1, "maximum": 3600, "default": 10}}}"#;

struct OnTrack;

struct Config {
    tracks: Vec<String>,
    settle_seconds: u64,
}

impl Config {
    /// Read by hand, so that all four languages say the same of a wrong one. With a type that derives `Deserialize` as
    /// `Check::Config` the SDK finds the words.
    fn read(config: &Value) -> Result<Self, Vec<ConfigError>> {
        let Some(fields) = config.as_object() else {
            return Err(vec![ConfigError::new("", "give an object")]);
        };
        let mut errors = Vec::new();
        if fields.keys().any(|key| key != "tracks" && key != "settleSeconds") {
            errors.push(ConfigError::new("", "takes tracks and settleSeconds, and nothing else"));
        }
        let mut tracks = Vec::new();
        match fields.get("tracks").and_then(Value::as_array) {
            Some(listed) if !listed.is_empty() => {
                for (i, track) in listed.iter().enumerate() {
                    match track.as_str().filter(|track| is_track(track)) {
                        Some(track) => tracks.push(track.to_owned()),
                        None => errors.push(ConfigError::new(
                            format!("/tracks/{i}"),
                            "give 1 to 63 letters, digits, dots, dashes and underscores",
                        )),
                    }
                }
            }
            _ => errors.push(ConfigError::new("/tracks", "give a list of at least one track")),
        }
        // JSON has no whole numbers of its own: 30.0 is one.
        let seconds = fields.get("settleSeconds").map_or(Some(10.0), Value::as_f64);
        let Some(seconds) = seconds.filter(|s| s.fract() == 0.0 && (1.0..=3600.0).contains(s)) else {
            errors.push(ConfigError::new("/settleSeconds", "give whole seconds from 1 to 3600"));
            return Err(errors);
        };
        let settle_seconds = Duration::from_secs_f64(seconds).as_secs();
        if errors.is_empty() { Ok(Self { tracks, settle_seconds }) } else { Err(errors) }
    }
}

fn is_track(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

impl Check for OnTrack {
    type Config = Value;

    fn describe() -> Description {
        let help = "True once the pod is on a configured track and its containers have run for the configured time.";
        Description::new("on-track", "1.0.0", help).config_schema(SCHEMA)
    }

    fn validate(config: &Value) -> Result<(), Vec<ConfigError>> {
        Config::read(config).map(|_| ())
    }

    fn evaluate(pod: &Pod, config: Value) -> Result<Verdict, Fault> {
        let config = Config::read(&config).map_err(|mut errors| errors.swap_remove(0))?;
        let Some(track) = pod.label(LABEL) else {
            return Ok(Verdict::unmet("NoTrack").message(format!("the pod has no label {LABEL}")));
        };
        if !config.tracks.contains(&track) {
            let message = format!("wanted: {}; the pod is on {track}", config.tracks.join(", "));
            return Ok(Verdict::unmet("OtherTrack").message(message));
        }
        let seconds = match pod.annotation(ANNOTATION) {
            Some(own) => seconds_of(&own)?,
            None => config.settle_seconds,
        };

        let containers = pod.containers();
        let running: Vec<_> = containers.iter().filter(|c| c.role != ContainerRole::Init).collect();
        if running.is_empty() {
            return Ok(Verdict::unknown("NoContainers").message("kubelet reports no containers"));
        }
        let down = names(&running, |c| c.state != ContainerState::Running);
        if !down.is_empty() {
            return Ok(Verdict::unmet("NotRunning").message(format!("not running: {down}")));
        }
        let timeless = names(&running, |c| c.started_at_ms.is_none());
        if !timeless.is_empty() {
            return Ok(Verdict::unknown("StartUnknown").message(format!("no time of the start: {timeless}")));
        }

        let since = running.iter().filter_map(|c| c.started_at_ms).max().unwrap_or_default();
        // Kubernetes cuts times to whole seconds: with one more, the gate opens late rather than early.
        let due = since + 1000 + seconds * 1000;
        log::debug(format_args!("on track {track}, settled at {}", rfc3339(due)));
        let now = clock::now();
        if now >= due {
            let message = format!("on track {track}; all containers have run since {}", rfc3339(since));
            return Ok(Verdict::met("Settled").message(message));
        }
        Ok(Verdict::unmet("Settling")
            .message(format!("on track {track}; settled at {} if no container restarts", rfc3339(due)))
            .recheck_after(Duration::from_millis((due - now).min(3_600_000))))
    }
}

/// What the pod's own annotation says; a fault where that is no time.
fn seconds_of(own: &str) -> Result<u64, Fault> {
    let digits = (1..=4).contains(&own.len()) && own.bytes().all(|b| b.is_ascii_digit());
    own.parse().ok().filter(|seconds| digits && (1..=3600).contains(seconds)).ok_or_else(|| {
        Fault::other("BadAnnotation", "BadSettleSeconds")
            .message(format!("{ANNOTATION}: give whole seconds from 1 to 3600, not {own}"))
            .retry_after(Duration::from_secs(15))
    })
}

/// The names of those containers of which something is true.
fn names(containers: &[&Container], is: impl Fn(&Container) -> bool) -> String {
    let found = containers.iter().filter(|c| is(c)).map(|c| c.name.as_str());
    found.collect::<Vec<_>>().join(", ")
}

gatehost_sdk::export!(OnTrack);
