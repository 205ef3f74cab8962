//! The annotation by which a gate is set by hand, and whether it counts. Pure.

use super::report::{Finding, Kind, Override, rfc3339};
use crate::{
    decide::{
        overrides::{self, ANNOTATION},
        reason::OVERRIDDEN,
    },
    pod::Pod,
};

/// The overrides of the pod's annotation that are in force at `now`, in Unix milliseconds, and what is wrong with it.
pub(super) fn read(pod: &Pod, now: i64) -> (Vec<Override>, Vec<Finding>) {
    let Some((_, text)) = pod.annotations.iter().find(|(key, _)| key == ANNOTATION) else {
        return Default::default();
    };
    let clear = format!("write it anew with gatehost override pod {}, or take it away with --clear", pod.name);
    let ignored = |gate: Option<&str>, message: String| Finding {
        kind: Kind::OverrideIgnored,
        gate: gate.map(ToOwned::to_owned),
        message,
        next: clear.clone(),
    };
    let read = match overrides::parse(text) {
        Ok(read) => read,
        Err(error) => return (Vec::new(), vec![ignored(None, format!("the override does not count: {error}"))]),
    };
    if !read.is_for(&pod.uid) {
        let message = format!("the override does not count: it is for the pod with uid {}, not this one", read.uid);
        return (Vec::new(), vec![ignored(None, message)]);
    }
    let mut valid = Vec::new();
    let mut findings = Vec::new();
    for one in read.overrides {
        let until = rfc3339(one.until).unwrap_or_default();
        let gate = one.gate.as_str();
        if one.until <= now {
            findings.push(ignored(Some(gate), format!("its override ended at {until}")));
        } else if !pod.gates.contains(&one.gate) {
            findings.push(ignored(Some(gate), "it is overridden, but is no gate of this pod".to_owned()));
        } else {
            let status = one.status.as_str();
            let follows = pod.condition(gate).is_some_and(|c| c.status == status && c.reason == OVERRIDDEN);
            if !follows {
                let message = format!("an override to {status} until {until} is not followed by the condition");
                findings.push(Finding {
                    kind: Kind::OverrideNotFollowed,
                    gate: Some(gate.to_owned()),
                    message,
                    next: "no host runs, it ends later than --max-override allows, or the check refuses it (override: \
                           false): look at the Events"
                        .to_owned(),
                });
            }
            valid.push(Override { gate: one.gate, status, until: Some(one.until), reason: one.reason });
        }
    }
    (valid, findings)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::{
        decide::{
            Status,
            overrides::{Overrides, print},
        },
        pod::Condition,
    };

    const NOW: i64 = 1_795_450_422_000;

    fn pod(uid: &str, gate: &str, until: i64) -> Pod {
        let one = overrides::Override { gate: gate.into(), status: Status::True, until, reason: "drill".into() };
        let text = print(&Overrides { uid: uid.into(), overrides: vec![one] });
        let condition = Condition { status: "True".into(), reason: OVERRIDDEN.into(), ..Condition::default() };
        Pod {
            uid: "u-1".into(),
            gates: vec!["a.io/b".into()],
            annotations: vec![(ANNOTATION.into(), text)],
            conditions: vec![("a.io/b".into(), condition)],
            ..Pod::default()
        }
    }

    fn kinds(pod: &Pod) -> (usize, Vec<Kind>) {
        let (valid, findings) = read(pod, NOW);
        (valid.len(), findings.iter().map(|f| f.kind).collect())
    }

    #[test]
    fn an_override_in_force_is_shown_and_followed() {
        let followed = pod("u-1", "a.io/b", NOW + 1);
        assert_eq!(kinds(&followed), (1, vec![]));
        let mut unheard = followed.clone();
        unheard.conditions[0].1.reason = "Warm".into();
        assert_eq!(kinds(&unheard), (1, vec![Kind::OverrideNotFollowed]));
        assert_eq!(kinds(&Pod { annotations: vec![], ..followed }), (0, vec![]));
    }

    #[test]
    fn one_for_another_pod_or_gate_and_one_that_is_over_do_not_count() {
        let ignored = (0, vec![Kind::OverrideIgnored]);
        assert_eq!(kinds(&pod("u-2", "a.io/b", NOW + 1)), ignored);
        assert_eq!(kinds(&pod("u-1", "a.io/c", NOW + 1)), ignored);
        assert_eq!(kinds(&pod("u-1", "a.io/b", NOW)), ignored);
        let mut garbage = pod("u-1", "a.io/b", NOW + 1);
        garbage.annotations[0].1 = "yes".into();
        let (_, findings) = read(&garbage, NOW);
        assert!(findings[0].message.contains("does not count: gatehost.dev/override: "), "{findings:?}");
    }
}
