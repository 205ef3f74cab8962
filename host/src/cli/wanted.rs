//! What `override` is asked to do, judged on the pod as it is.

use std::time::Duration;

use anyhow::{anyhow, bail, ensure};
use jiff::SignedDuration;

use crate::{
    check::is_reserved,
    decide::{
        Status,
        overrides::{self, ANNOTATION, Override, Overrides, TEXT_MAX},
    },
    pod::Seen,
};

/// The longest time that the command sets; a host's own bound is its --max-override.
const LONGEST: Duration = Duration::from_hours(24);

/// What is wanted of a pod's gates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// These gates, until this Unix time in milliseconds, for this reason.
    Set { gates: Vec<(String, Status)>, until: i64, reason: String },
    /// These gates decided by their checks again; all where none is named.
    Clear { gates: Vec<String> },
}

/// `GATE=True` and `GATE=False`.
pub(super) fn assignments(words: &[String]) -> anyhow::Result<Vec<(String, Status)>> {
    ensure!(!words.is_empty(), "no gate is named: write GATE=True or GATE=False");
    let mut gates: Vec<(String, Status)> = Vec::new();
    for word in words {
        let (gate, status) = match word.rsplit_once('=') {
            Some((gate, "True")) => (gate, Status::True),
            Some((gate, "False")) => (gate, Status::False),
            _ => bail!("{word:?}: write GATE=True or GATE=False"),
        };
        ensure!(gates.iter().all(|(known, _)| known != gate), "{gate}: named twice: name it once");
        gates.push((gate.to_owned(), status));
    }
    Ok(gates)
}

/// The value of `--for`: 1 s to 24 h.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
    match parsed {
        None => Err("no length of time: write it as 90s, 30m or 1h30m".to_owned()),
        Some(d) if d < Duration::from_secs(1) => Err("too short: at least 1s".to_owned()),
        Some(d) if d > LONGEST => {
            Err("too long: at most 24h, and a host refuses what is longer than its own --max-override (24h unless \
                 set); override again before it ends"
                .to_owned())
        }
        Some(d) => Ok(d),
    }
}

/// The value of `--reason`.
pub(super) fn reason(text: &str) -> Result<String, String> {
    overrides::reason(text).ok_or_else(|| {
        format!(
            "the reason is empty, does not print or has more than {} bytes: say why in a few words",
            overrides::REASON_MAX
        )
    })
}

impl Wanted {
    /// The gates that are meant; of an annotation for clearing, all where none was named.
    pub(super) fn gates(&self, before: &Overrides) -> Vec<(String, Option<Status>)> {
        match self {
            Self::Set { gates, .. } => gates.iter().map(|(gate, status)| (gate.clone(), Some(*status))).collect(),
            Self::Clear { gates } if gates.is_empty() => {
                before.overrides.iter().map(|o| (o.gate.clone(), None)).collect()
            }
            Self::Clear { gates } => gates.iter().map(|gate| (gate.clone(), None)).collect(),
        }
    }

    /// Whether this pod can be asked for it.
    ///
    /// # Errors
    /// It is over, it does not have such a gate, or Kubernetes decides that one itself.
    pub(super) fn judge(&self, seen: &Seen) -> anyhow::Result<()> {
        let pod = &seen.pod;
        let name = format!("{}/{}", pod.namespace, pod.name);
        if seen.over {
            let ended = matches!(pod.phase.as_str(), "Succeeded" | "Failed");
            let how = if ended { "has finished" } else { "is terminating" };
            bail!("{name}: it {how}: its gates decide nothing any more");
        }
        for (gate, _) in self.gates(&Overrides::default()) {
            if !pod.gates.contains(&gate) {
                let known = if pod.gates.is_empty() { "none".to_owned() } else { pod.gates.join(", ") };
                bail!("{name}: {gate:?} is not in its readinessGates: it has {known}");
            }
            ensure!(!is_reserved(&gate), "{name}: {gate} belongs to Kubernetes: no host writes it");
        }
        Ok(())
    }

    /// What the annotation says then: other gates' entries that have not ended stay. Nothing where none is left.
    ///
    /// # Errors
    /// It would be longer than an annotation may be.
    pub(super) fn apply(&self, before: &Overrides, uid: &str, now: i64) -> anyhow::Result<Option<Overrides>> {
        let meant = self.gates(before);
        let stays = |o: &&Override| o.until > now && meant.iter().all(|(gate, _)| *gate != o.gate);
        let mut after: Vec<_> = before.overrides.iter().filter(stays).cloned().collect();
        if let Self::Set { gates, until, reason } = self {
            after.extend(gates.iter().map(|(gate, status)| Override {
                gate: gate.clone(),
                status: *status,
                until: *until,
                reason: reason.clone(),
            }));
        }
        if after.is_empty() {
            return Ok(None);
        }
        let after = Overrides { uid: uid.to_owned(), overrides: after };
        let length = overrides::print(&after).len();
        ensure!(
            length <= TEXT_MAX,
            "{ANNOTATION}: {length} bytes, and at most {TEXT_MAX} fit: give a shorter --reason"
        );
        Ok(Some(after))
    }
}

/// What the pod's annotation says for this pod; nothing where there is none, and the line to tell where nobody obeys it.
pub(super) fn standing(seen: &Seen) -> (Overrides, Option<String>) {
    let nothing = || Overrides { uid: seen.pod.uid.clone(), overrides: Vec::new() };
    let Some((_, text)) = seen.pod.annotations.iter().find(|(key, _)| key == ANNOTATION) else {
        return (nothing(), None);
    };
    match overrides::parse(text) {
        Ok(read) if read.is_for(&seen.pod.uid) => (read, None),
        Ok(_) => (nothing(), Some(format!("{ANNOTATION}: what stood there is for another pod's uid and is dropped"))),
        Err(error) => (nothing(), Some(anyhow!(error).context("what stood there is dropped").to_string())),
    }
}

/// Whether the gate says what was wanted: overridden to this status, or no longer overridden.
pub(super) fn followed(seen: &Seen, gate: &str, wanted: Option<Status>) -> bool {
    let condition = seen.pod.condition(gate);
    let overridden = condition.is_some_and(|c| c.reason == "Overridden");
    match wanted {
        Some(status) => overridden && condition.is_some_and(|c| c.status == status.as_str()),
        None => !overridden,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::pod::{Condition, Pod};

    const NOW: i64 = 1_795_450_422_000;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect()
    }

    fn seen(gates: &[&str]) -> Seen {
        let gates = gates.iter().map(|gate| (*gate).to_owned()).collect();
        let pod = Pod { namespace: "shop".into(), name: "web-0".into(), uid: "u".into(), gates, ..Pod::default() };
        Seen { pod, ..Seen::default() }
    }

    fn one(gate: &str, until: i64) -> Override {
        Override { gate: gate.into(), status: Status::False, until, reason: "old".into() }
    }

    fn set(line: &str) -> Wanted {
        Wanted::Set { gates: assignments(&words(line)).unwrap(), until: NOW + 1000, reason: "new".into() }
    }

    #[test]
    fn a_gate_is_set_to_true_or_false_and_once() {
        assert_eq!(assignments(&words("a=True b=False")).unwrap()[1], ("b".into(), Status::False));
        for bad in ["", "a", "a=", "a=true", "a=Unknown", "a=True a=False"] {
            assert!(assignments(&words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_has_bounds_and_a_reason_says_something() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("24h"), Ok(LONGEST));
        for bad in ["0s", "0", "-5m", "500ms", "24h1s", "9999999999h", "soon", ""] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(duration("25h").unwrap_err().contains("--max-override"));
        assert!(reason(" ").is_err() && reason("\u{200b}").is_err() && reason("why") == Ok("why".into()));
    }

    #[test]
    fn a_gate_that_the_pod_does_not_have_is_refused_with_those_that_it_has() {
        let error = set("a.io/z=True").judge(&seen(&["a.io/x", "a.io/y"])).unwrap_err().to_string();
        assert_eq!(error, "shop/web-0: \"a.io/z\" is not in its readinessGates: it has a.io/x, a.io/y");
        assert!(set("Ready=True").judge(&seen(&["Ready"])).is_err());
        assert!(set("a=True").judge(&seen(&["a"])).is_ok());
        let mut over = seen(&["a"]);
        over.over = true;
        assert!(set("a=True").judge(&over).unwrap_err().to_string().contains("terminating"));
        over.pod.phase = "Succeeded".into();
        assert!(set("a=True").judge(&over).unwrap_err().to_string().contains("finished"));
    }

    #[test]
    fn entries_of_other_gates_stay_until_they_end() {
        let entries = vec![one("a", NOW + 1), one("b", NOW + 1), one("c", NOW)];
        let before = Overrides { uid: "u".into(), overrides: entries };
        let after = set("a=True").apply(&before, "u", NOW).unwrap().unwrap();
        let gates: Vec<_> = after.overrides.iter().map(|o| (o.gate.as_str(), o.status)).collect();
        assert_eq!(gates, [("b", Status::False), ("a", Status::True)]);
        let clear = |gates: &str| Wanted::Clear { gates: words(gates) }.apply(&before, "u", NOW).unwrap();
        assert_eq!(clear("a").unwrap().overrides, [one("b", NOW + 1)]);
        assert_eq!((clear("a b"), clear("")), (None, None));
        let gates = (0..99).map(|n| (format!("example.com/a-long-name-{n}"), Status::True)).collect();
        let many = Wanted::Set { gates, until: NOW + 1, reason: "x".into() };
        assert!(many.apply(&before, "u", NOW).is_err());
    }

    #[test]
    fn an_annotation_that_nobody_obeys_is_dropped_and_told() {
        let with = |text: &str| {
            let mut seen = seen(&["a"]);
            seen.pod.annotations.push((ANNOTATION.into(), text.into()));
            standing(&seen)
        };
        for text in ["{}", r#"{"uid":"other","overrides":[]}"#] {
            let (read, dropped) = with(text);
            assert!(read.overrides.is_empty() && read.uid == "u" && dropped.is_some(), "{text}");
        }
        assert_eq!(with(r#"{"uid":"u","overrides":[]}"#).1, None);
    }

    #[test]
    fn followed_is_the_status_and_the_hosts_own_reason() {
        let with = |status: &str, reason: &str| {
            let mut seen = seen(&["a"]);
            let condition = Condition { status: status.into(), reason: reason.into(), ..Condition::default() };
            seen.pod.conditions.push(("a".into(), condition));
            (followed(&seen, "a", Some(Status::True)), followed(&seen, "a", None))
        };
        assert_eq!(with("True", "Overridden"), (true, false));
        assert_eq!(with("False", "Overridden"), (false, false));
        assert_eq!(with("True", "Warm"), (false, true));
    }
}
