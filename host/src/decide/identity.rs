//! Whose verdict it is: a pod's containers and its IP, and from when on they are asked about.

use super::{Condition, Status, reason};
use crate::{
    check::{Policy, StartWhen},
    pod::{Container, Pod, Role},
};

/// How far two clocks may be apart, in milliseconds.
const SKEW: i64 = 5_000;

/// Those that count for readiness: a restartable init container does, one that runs to its end does not.
fn counting(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.containers.iter().filter(|container| container.role != Role::Init)
}

/// Whether a container that counts for readiness restarted, or the pod got another IP, from one state to a later one.
pub fn renewed(before: &Pod, after: &Pod) -> bool {
    let restarted = counting(after).any(|new| {
        let old = counting(before).find(|old| old.name == new.name);
        old.is_some_and(|old| {
            let later = old.started_at.zip(new.started_at).is_some_and(|(old, new)| new > old);
            new.restarts > old.restarts || later
        })
    });
    restarted || before.ip.as_ref().zip(after.ip.as_ref()).is_some_and(|(old, new)| old != new)
}

/// Whether a container that counts for readiness started after a condition was last set, as far as clocks tell: what
/// restarted while nobody looked. In doubt it did not.
pub fn outlived(pod: &Pod, standing: &Condition) -> bool {
    let Some(set) = standing.last_transition else { return false };
    counting(pod).any(|container| container.started_at.is_some_and(|started| started > set + SKEW))
}

/// Whether kubelet says that all containers are ready.
pub fn containers_ready(pod: &Pod) -> bool {
    is_true(pod, "ContainersReady")
}

/// Whether kubelet says that the pod is ready.
pub fn ready(pod: &Pod) -> bool {
    is_true(pod, "Ready")
}

fn is_true(pod: &Pod, kind: &str) -> bool {
    pod.condition(kind).is_some_and(|condition| condition.status == "True")
}

/// Whether a pod that is not ready has been, by what it says itself: `Ready` is False from the first word of kubelet
/// on, so one that changed later has been True.
pub fn has_been_ready(pod: &Pod) -> bool {
    // Initialized is kubelet's own, and as late as its first word at least: its clock need not be the scheduler's.
    let changed = |kind: &str| pod.condition(kind).and_then(|condition| condition.last_transition);
    let born = changed("PodScheduled").max(changed("Initialized")).unwrap_or(pod.created_at);
    ready(pod) || pod.condition("Ready").and_then(|c| c.last_transition).is_some_and(|changed| changed > born + SKEW)
}

/// Since when `startWhen` holds, in Unix milliseconds; nothing while it does not.
pub fn started(pod: &Pod, policy: &Policy) -> Option<i64> {
    let since = |kind: &str| {
        let condition = pod.condition(kind).filter(|condition| condition.status == "True")?;
        Some(condition.last_transition.unwrap_or(pod.created_at))
    };
    match policy.start_when {
        StartWhen::ContainersReady => since("ContainersReady"),
        StartWhen::Scheduled => since("PodScheduled"),
        StartWhen::Always => Some(pod.created_at),
    }
}

/// What stands until `startWhen` holds, by reason and message.
pub fn waiting(policy: &Policy, void: bool) -> (&'static str, &'static str) {
    match (void, policy.start_when) {
        (true, _) => (reason::RESTARTED, RESTARTED),
        (false, StartWhen::Scheduled) => (reason::WAITING_FOR_SCHEDULE, "asked once the pod is scheduled"),
        (false, _) => (reason::WAITING_FOR_CONTAINERS, "asked once ContainersReady is True"),
    }
}

/// What is said of a void verdict.
pub(super) const RESTARTED: &str = "the verdict from before is void: a container restarted, the pod has a new IP or an \
    override ended; asked again once the containers are ready";

/// What a gate's standing condition says of its past, for a host that has just begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// A verdict stands that counts.
    pub verdict: bool,
    /// There was one, and it is void.
    pub void: bool,
    /// It has been True, or may have been.
    pub was_true: bool,
}

impl Past {
    /// Reads it off what stands.
    pub fn read(pod: &Pod, standing: Option<&Condition>) -> Self {
        let Some(standing) =
            standing.filter(|s| !reason::is_before_first_verdict(&s.reason) || s.status == Status::True)
        else {
            return Self { verdict: false, void: false, was_true: false };
        };
        // What an override hides may have been a verdict, and nobody knows which: it counts for nothing now.
        let overridden = standing.reason == reason::OVERRIDDEN;
        let void = standing.reason == reason::RESTARTED || !overridden && outlived(pod, standing);
        Self { verdict: !void && !overridden, void, was_true: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod;

    fn container(name: &str, role: Role, restarts: u32, started_at: Option<i64>) -> Container {
        let state = pod::ContainerState::Running;
        Container { name: name.into(), role, state, ready: true, restarts, started_at }
    }

    fn with(containers: Vec<Container>, ip: Option<&str>) -> Pod {
        Pod { containers, ip: ip.map(Into::into), ..Pod::default() }
    }

    fn standing(status: Status, reason: &str, at: i64) -> Condition {
        let (reason, message) = (reason.into(), String::new());
        Condition { status, reason, message, last_transition: Some(at), observed_generation: None }
    }

    #[test]
    fn a_restart_and_a_new_ip_renew_and_a_first_start_does_not() {
        let app = |restarts, started| container("app", Role::App, restarts, started);
        let first = with(vec![app(0, None)], None);
        let running = with(vec![app(0, Some(10))], Some("10.0.0.1"));
        assert!(!renewed(&first, &running) && !renewed(&running, &running));
        assert!(renewed(&running, &with(vec![app(1, Some(10))], Some("10.0.0.1"))));
        assert!(renewed(&running, &with(vec![app(0, Some(11))], Some("10.0.0.1"))), "an in-place restart");
        assert!(renewed(&running, &with(vec![app(0, Some(10))], Some("10.0.0.2"))));
    }

    #[test]
    fn sidecars_count_and_init_containers_do_not() {
        let pair = |sidecar, init| {
            with(vec![container("s", Role::Sidecar, sidecar, None), container("i", Role::Init, init, None)], None)
        };
        assert!(renewed(&pair(0, 0), &pair(1, 0)));
        assert!(!renewed(&pair(0, 0), &pair(0, 1)));
    }

    #[test]
    fn the_past_is_read_off_what_stands() {
        let pod = with(vec![container("app", Role::App, 0, Some(100_000))], None);
        let past = |status, reason, at| {
            let Past { verdict, void, was_true } = Past::read(&pod, Some(&standing(status, reason, at)));
            (verdict, void, was_true)
        };
        assert_eq!(past(Status::True, "Warm", 100_000), (true, false, true));
        assert_eq!(past(Status::True, "Warm", 95_000), (true, false, true), "within the skew of clocks");
        assert_eq!(past(Status::True, "Warm", 94_999), (false, true, true));
        assert_eq!(past(Status::False, "Cold", 100_000), (true, false, true), "an unknown history counts");
        assert_eq!(past(Status::Unknown, reason::RESTARTED, 100_000), (false, true, true));
        assert_eq!(past(Status::Unknown, reason::NO_VERDICT_YET, 0), (false, false, false));
        assert_eq!(Past::read(&pod, None), Past { verdict: false, void: false, was_true: false });
    }

    #[test]
    fn a_pod_whose_ready_changed_after_its_first_word_has_been_ready() {
        let condition = |status: &str, at| pod::Condition {
            status: status.into(),
            last_transition: Some(at),
            ..pod::Condition::default()
        };
        let pod = |ready, changed| Pod {
            conditions: vec![
                ("PodScheduled".into(), condition("True", 1_000)),
                ("Ready".into(), condition(ready, changed)),
            ],
            ..Pod::default()
        };
        assert!(has_been_ready(&pod("True", 1_000)) && has_been_ready(&pod("False", 60_000)));
        assert!(!has_been_ready(&pod("False", 2_000)) && !has_been_ready(&Pod::default()));
    }
}
