//! The reasons that the host itself writes, in words, and what to do about each. Pure.

use super::report::{Condition, Kind};
use crate::decide::reason;

/// What the words depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) pod: &'a str,
    pub(super) gate: &'a str,
    /// The condition's status.
    pub(super) status: &'a str,
    /// See [`is_quarantined`].
    pub(super) quarantined: bool,
    pub(super) containers_ready: bool,
    pub(super) scheduled: bool,
}

/// What a quarantine means, and what to do.
const QUARANTINED: (&str, &str) = (
    "the check is in quarantine: its plugin broke off on one gate after the other, so for now one gate is asked at a time, \
     at least every 5 min; what the check's onFault says of faults counts until then",
    "mend the plugin or its config: a new file is asked at once, and so are all gates when an old one answers once",
);

/// Whether the check is in quarantine, by the fault that the host's own text tells of.
pub(super) fn is_quarantined(condition: &Condition) -> bool {
    let told = condition.message.strip_prefix("since ").and_then(|said| said.split_once(": "));
    let by =
        |(_, fault): (&str, &str)| fault.strip_prefix(reason::QUARANTINED).is_some_and(|rest| rest.starts_with(": "));
    condition.reason == reason::QUARANTINED || reason::is_ours(&condition.reason) && told.is_some_and(by)
}

/// What a condition with this reason means, and what to do next; nothing for a reason that a check gave.
pub(super) fn explain(given: &str, around: Around<'_>) -> Option<(Kind, String, String)> {
    let Around { pod, gate, status, quarantined, containers_ready, scheduled } = around;
    if quarantined {
        return Some((Kind::Quarantined, QUARANTINED.0.to_owned(), QUARANTINED.1.to_owned()));
    }
    let host = "the wait is over, but no host has answered since: look at the host's /readyz and log";
    let (kind, message, next) = match given {
        reason::WAITING_FOR_CONTAINERS if containers_ready => {
            (Kind::WaitingForContainers, "the check begins once the containers are ready", host.to_owned())
        }
        reason::WAITING_FOR_CONTAINERS => (
            Kind::WaitingForContainers,
            "the check begins once the containers are ready (startWhen: containersReady)",
            format!("see why a container is not ready: kubectl describe pod {pod}"),
        ),
        reason::WAITING_FOR_SCHEDULE if scheduled => {
            (Kind::WaitingForSchedule, "the check begins once the pod has a node", host.to_owned())
        }
        reason::WAITING_FOR_SCHEDULE => (
            Kind::WaitingForSchedule,
            "the check begins once the pod has a node (startWhen: scheduled)",
            format!("see why it has none: kubectl describe pod {pod}"),
        ),
        reason::INITIAL_DELAY => (
            Kind::InitialDelay,
            "the check begins after its initialDelaySeconds",
            "wait until then, or shorten initialDelaySeconds in the check".to_owned(),
        ),
        reason::NO_VERDICT_YET => (
            Kind::NoVerdictYet,
            "the check was asked and has only had faults so far",
            "mend what the message names; the host asks again within 30 s by itself".to_owned(),
        ),
        reason::NO_CHECK => (
            Kind::NoCheck,
            "the host claims the gate's domain, and no check answers the gate for this pod",
            format!("give the host a Check with gate: {gate}, or widen the select of the one it has"),
        ),
        reason::RESTARTED => (
            Kind::Restarted,
            "a container restarted or the pod got a new IP: the old verdict is void until the check answers again",
            format!("it is asked once the containers are ready; why it restarted: kubectl describe pod {pod}"),
        ),
        reason::STALE => (
            Kind::Stale,
            "the check has had only faults for longer than its maxStaleSeconds, so its last verdict no longer counts",
            "mend what the message names; the host asks again within 30 s by itself".to_owned(),
        ),
        reason::FAULT_HELD => (
            Kind::FaultHeld,
            "the check has faults, which are no verdict: what it said last is held",
            "mend what the message names; the check's onFault and maxStaleSeconds decide how long it is held"
                .to_owned(),
        ),
        reason::HELD_BY_BUDGET if status == "True" => (
            Kind::HeldByBudget,
            "the check no longer says True, but so many pods of this owner are not Ready that True is held",
            "look at the owner's other pods; the check's maxUnready says how many may be not Ready".to_owned(),
        ),
        reason::HELD_BY_BUDGET => (
            Kind::HeldByBudget,
            "a change is held because so many pods of this owner are not Ready",
            "look at the owner's other pods; the check's maxUnready says how many may be not Ready".to_owned(),
        ),
        reason::HELD_BY_DAMPER => (
            Kind::HeldByDamper,
            "the gate turned from True too often within a minute, so it is held",
            "find out why its answers change; the check's maxFlapsPerMinute says how often they may".to_owned(),
        ),
        reason::OVERRIDDEN => (
            Kind::Overridden,
            "somebody set it by hand; it ends by itself at the time in the message",
            format!("to end it now: gatehost override pod {pod} --clear"),
        ),
        _ => return None,
    };
    Some((kind, message.to_owned(), next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those that design and README name.
    const ALL: [&str; 12] = [
        "WaitingForContainers",
        "WaitingForSchedule",
        "InitialDelay",
        "NoVerdictYet",
        "NoCheck",
        "Restarted",
        "Stale",
        "FaultHeld",
        "HeldByBudget",
        "HeldByDamper",
        "Quarantined",
        "Overridden",
    ];

    fn around(ready: bool) -> Around<'static> {
        let (pod, gate, status, quarantined) = ("web-0", "a.io/b", "True", false);
        Around { pod, gate, status, quarantined, containers_ready: ready, scheduled: ready }
    }

    #[test]
    fn each_reason_of_the_host_is_explained_under_its_own_name() {
        for reason in ALL {
            for ready in [true, false] {
                let quarantined = reason == "Quarantined";
                let around = Around { quarantined, ..around(ready) };
                let (kind, message, next) = explain(reason, around).unwrap();
                assert_eq!(format!("{kind:?}"), reason);
                assert!(!message.is_empty() && !next.is_empty() && !next.contains('\n'));
            }
        }
        assert_eq!(explain("NotApproved", around(true)), None);
    }

    #[test]
    fn a_quarantine_is_known_by_the_fault_that_the_hosts_own_text_tells_of() {
        let condition = |reason: &str, message: &str| Condition {
            status: "True".into(),
            reason: reason.into(),
            message: message.into(),
            since: None,
            observed_generation: None,
            writer: None,
        };
        for (reason, message, is) in [
            ("Quarantined", "since 2026-01-01T00:00:00Z: the plugin broke off", true),
            ("FaultHeld", "since 2026-01-01T00:00:00Z: Quarantined: the plugin broke off", true),
            ("NoVerdictYet", "since 2026-01-01T00:00:00Z: Quarantined: the plugin broke off", true),
            ("FaultHeld", "since 2026-01-01T00:00:00Z: Trap: Quarantined: says the plugin", false),
            ("Cold", "since 2026-01-01T00:00:00Z: Quarantined: says the plugin", false),
        ] {
            assert_eq!(is_quarantined(&condition(reason, message)), is, "{reason}: {message}");
        }
        let around = Around { quarantined: true, ..around(true) };
        assert_eq!(explain("FaultHeld", around).unwrap().0, Kind::Quarantined);
    }

    #[test]
    fn a_wait_that_is_over_points_at_the_host() {
        for reason in ["WaitingForContainers", "WaitingForSchedule"] {
            let next = |ready| explain(reason, around(ready)).unwrap().2;
            assert!(next(true).contains("no host has answered") && next(false).contains("kubectl describe pod web-0"));
        }
    }
}
