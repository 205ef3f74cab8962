//! Break glass: the annotation by which somebody sets a gate by hand for a while.
//!
//! ```json
//! {"uid": "<the pod's uid>",
//!  "overrides": [{"gate": "example.com/warm", "status": "True", "until": "2026-11-23T21:00:00Z", "reason": "..."}]}
//! ```
//!
//! The uid keeps an annotation that was copied, into a pod template say, from opening the gates of other pods.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use super::{
    Status,
    sanitize::{self, prints},
};

/// The annotation on the pod.
pub const ANNOTATION: &str = "gatehost.dev/override";

/// The longest annotation, in bytes.
pub const TEXT_MAX: usize = 4096;

/// The longest reason, in bytes.
pub const REASON_MAX: usize = 256;

/// The longest name of a gate: a DNS subdomain, a `/` and a name.
const GATE_MAX: usize = 253 + 1 + 63;

/// What the annotation says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The pod that it is for.
    pub uid: String,
    /// Each gate at most once.
    pub overrides: Vec<Override>,
}

/// One gate, set by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Override {
    /// The condition type.
    pub gate: String,
    /// True or False.
    pub status: Status,
    /// When it ends, in Unix milliseconds.
    pub until: i64,
    /// Why, in somebody's words: printable, 1 to 256 bytes.
    pub reason: String,
}

/// Why an annotation says nothing. One line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// More than [`TEXT_MAX`] bytes.
    #[error("{ANNOTATION}: {0} bytes: at most {TEXT_MAX}")]
    Long(usize),
    /// It is not JSON of the shape above.
    #[error("{ANNOTATION}: {0}: write it with `gatehost override`")]
    Shape(String),
    /// The uid is empty.
    #[error("{ANNOTATION}: uid is empty: it names the pod that the override is for")]
    NoUid,
    /// The name of a gate is empty, too long or does not print.
    #[error("{ANNOTATION}: {0:?} is no gate: name a condition type of the pod's readinessGates")]
    Gate(String),
    /// One gate twice.
    #[error("{ANNOTATION}: {0} stands there twice: keep one of the two")]
    Twice(String),
    /// A status that cannot be set by hand.
    #[error("{ANNOTATION}: {gate}: status {status:?}: True or False")]
    Status {
        /// The gate.
        gate: String,
        /// What stands there.
        status: String,
    },
    /// An end that is no time.
    #[error("{ANNOTATION}: {gate}: until {until:?} is no RFC 3339 time: write it as 2026-11-23T21:00:00Z")]
    Until {
        /// The gate.
        gate: String,
        /// What stands there.
        until: String,
    },
    /// No reason, or one that is too long.
    #[error("{ANNOTATION}: {0}: the reason is empty or has more than {REASON_MAX} bytes: say why in a few words")]
    Reason(String),
}

/// Why an override is not obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is over, as every override is one day: nothing to tell anybody.
    #[error("it has ended")]
    Ended,
    /// It ends further away than it may.
    #[error("it ends at {}, which is further away than --max-override ({} s) allows", time(*until), max.as_secs())]
    TooLong {
        /// The end, in Unix milliseconds.
        until: i64,
        /// How far away an end may be.
        max: Duration,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOverrides {
    uid: String,
    overrides: Vec<RawOverride>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOverride {
    gate: String,
    status: String,
    until: String,
    reason: String,
}

impl Overrides {
    /// Whether it is for the pod of this uid.
    pub fn is_for(&self, uid: &str) -> bool {
        !uid.is_empty() && self.uid == uid
    }

    /// What it says of a gate, whether that has ended or not.
    pub fn of(&self, gate: &str) -> Option<&Override> {
        self.overrides.iter().find(|o| o.gate == gate)
    }
}

/// Reads the annotation. Strict, because what somebody meant by a field that nobody knows is not known either.
///
/// # Errors
/// The first thing that is wrong; nothing of such an annotation is obeyed.
pub fn parse(text: &str) -> Result<Overrides, OverrideError> {
    if text.len() > TEXT_MAX {
        return Err(OverrideError::Long(text.len()));
    }
    let raw: RawOverrides = serde_json::from_str(text).map_err(|e| OverrideError::Shape(told(&e.to_string())))?;
    if raw.uid.is_empty() {
        return Err(OverrideError::NoUid);
    }
    let mut read = Overrides { uid: raw.uid, overrides: Vec::with_capacity(raw.overrides.len()) };
    for one in raw.overrides {
        let one = one.read()?;
        if read.of(&one.gate).is_some() {
            return Err(OverrideError::Twice(one.gate));
        }
        read.overrides.push(one);
    }
    Ok(read)
}

impl RawOverride {
    fn read(self) -> Result<Override, OverrideError> {
        let Self { gate, status, until, reason } = self;
        if gate.is_empty() || gate.len() > GATE_MAX || !gate.chars().all(|c| prints(c) && c != ' ') {
            return Err(OverrideError::Gate(told(&gate)));
        }
        let status = match status.as_str() {
            "True" => Status::True,
            "False" => Status::False,
            _ => return Err(OverrideError::Status { gate, status: told(&status) }),
        };
        let Ok(end) = until.parse::<Timestamp>() else {
            return Err(OverrideError::Until { gate, until: told(&until) });
        };
        match self::reason(&reason) {
            Some(reason) => Ok(Override { gate, status, until: end.as_millisecond(), reason }),
            None => Err(OverrideError::Reason(gate)),
        }
    }
}

/// A reason as it may stand in an override: printable; nothing where it is empty then, or too long.
pub fn reason(text: &str) -> Option<String> {
    let clean = sanitize::text(text, REASON_MAX);
    (text.len() <= REASON_MAX && !clean.is_empty()).then_some(clean)
}

/// The annotation's text; [`parse`] reads it back where it holds at most [`TEXT_MAX`] bytes.
pub fn print(overrides: &Overrides) -> String {
    let one = |o: &Override| json!({ "gate": o.gate, "status": o.status.as_str(), "until": time(o.until), "reason": o.reason });
    let all: Vec<_> = overrides.overrides.iter().map(one).collect();
    json!({ "uid": overrides.uid, "overrides": all }).to_string()
}

/// Whether an override is obeyed at `now_wall_ms`, in Unix milliseconds, where its end may be at most `max` away.
///
/// # Errors
/// It has ended, which is not worth an Event, or it ends too late.
pub fn check(o: &Override, now_wall_ms: i64, max: Duration) -> Result<(), Refusal> {
    if o.until <= now_wall_ms {
        return Err(Refusal::Ended);
    }
    let farthest = now_wall_ms.saturating_add(i64::try_from(max.as_millis()).unwrap_or(i64::MAX));
    if o.until > farthest { Err(Refusal::TooLong { until: o.until, max }) } else { Ok(()) }
}

/// RFC 3339 of Unix milliseconds, which are held to the years that it can write.
pub fn time(millis: i64) -> String {
    let bound = if millis < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_millisecond(millis).unwrap_or(bound).to_string()
}

/// Somebody's text in an error.
fn told(text: &str) -> String {
    sanitize::text(text, 128)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_450_422_000;
    const DAY: Duration = Duration::from_hours(24);

    fn one(until: i64) -> Override {
        let (gate, reason) = ("example.com/warm".into(), "cache is \"cold\", we take the load".into());
        Override { gate, status: Status::True, until, reason }
    }

    fn with(field: &str, value: &str) -> Result<Overrides, OverrideError> {
        let mut o = json!({ "gate": "a.io/b", "status": "True", "until": "2026-11-23T21:00:00Z", "reason": "why" });
        o[field] = json!(value);
        parse(&json!({ "uid": "u-1", "overrides": [o] }).to_string())
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let two = Override { gate: "b.io/c".into(), status: Status::False, ..one(NOW + 1) };
        let overrides = Overrides { uid: "u-1".into(), overrides: vec![one(NOW), two] };
        let text = print(&overrides);
        assert!(text.contains(r#""until":"2026-11-23T16:13:42Z""#), "{text}");
        assert_eq!(parse(&text), Ok(overrides));
        let read = parse(r#"{"uid":"u-1","overrides":[]}"#).unwrap();
        assert!(read.is_for("u-1") && !read.is_for("u-2") && !Overrides::default().is_for(""));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_guessed() {
        for text in ["", "null", "[]", "{}", r#"{"uid":"u"}"#, r#"{"uid":"u","overrides":[],"more":1}"#, "{\n\n"] {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, OverrideError::Shape(_)), "{text}: {error}");
            assert_eq!(error.to_string().lines().count(), 1);
        }
        assert_eq!(parse(r#"{"uid":"","overrides":[]}"#), Err(OverrideError::NoUid));
        assert!(matches!(with("for", "ever"), Err(OverrideError::Shape(_))));
        for status in ["Unknown", "true", ""] {
            assert!(matches!(with("status", status), Err(OverrideError::Status { .. })), "{status}");
        }
        for until in ["", "soon", "2026-11-23", "2026-11-23T21:00:00"] {
            assert!(matches!(with("until", until), Err(OverrideError::Until { .. })), "{until}");
        }
        for gate in ["", "a b", "a\u{202e}b", &"g".repeat(GATE_MAX + 1)] {
            assert!(matches!(with("gate", gate), Err(OverrideError::Gate(_))), "{gate}");
        }
        let twice = Overrides { uid: "u".into(), overrides: vec![one(NOW), one(NOW)] };
        assert_eq!(parse(&print(&twice)), Err(OverrideError::Twice(one(NOW).gate)));
    }

    #[test]
    fn a_reason_prints_and_is_bounded() {
        let reason = |text: &str| with("reason", text).map(|o| o.overrides[0].reason.clone());
        assert_eq!(reason(" a\nb\u{1b} "), Ok("a b".into()));
        assert_eq!(reason(&"x".repeat(REASON_MAX)), Ok("x".repeat(REASON_MAX)));
        for bad in ["", " \n", "\u{200b}", &"x".repeat(REASON_MAX + 1)] {
            assert_eq!(reason(bad), Err(OverrideError::Reason("a.io/b".into())));
        }
        let long = "x".repeat(TEXT_MAX + 1);
        assert_eq!(parse(&long), Err(OverrideError::Long(TEXT_MAX + 1)));
    }

    #[test]
    fn an_end_in_the_past_or_too_far_away_is_refused() {
        let far = NOW + 86_400_000;
        assert_eq!(check(&one(NOW), NOW, DAY), Err(Refusal::Ended));
        assert_eq!(check(&one(NOW + 1), NOW, DAY), Ok(()));
        assert_eq!(check(&one(far), NOW, DAY), Ok(()));
        let refused = check(&one(far + 1), NOW, DAY).unwrap_err();
        assert_eq!(refused, Refusal::TooLong { until: far + 1, max: DAY });
        assert!(refused.to_string().contains("2026-11-24T16:13:42.001Z"), "{refused}");
        assert_eq!(check(&one(i64::MAX), i64::MAX - 1, Duration::MAX), Ok(()));
        assert_eq!(time(i64::MIN).lines().count(), 1);
    }
}
