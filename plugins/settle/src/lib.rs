//! True once all containers have been ready, without a restart, for a configured time.

use std::{num::NonZeroU32, time::Duration};

use gatehost_sdk::{
    Check, Container, ContainerRole, ContainerState, Description, Fault, Pod, PodCondition, Verdict,
    clock::{self, rfc3339},
};
use serde::Deserialize;

/// How long.
#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many seconds all containers must have been ready.
    pub seconds: NonZeroU32,
}

/// The check.
pub struct Settle;

impl Check for Settle {
    type Config = Config;

    fn describe() -> Description {
        let help = "True once all containers have been ready, without a restart, for the configured time.";
        Description::new("settle", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn evaluate(pod: &Pod, config: Config) -> Result<Verdict, Fault> {
        Ok(decide(&pod.containers(), pod.condition("ContainersReady").as_ref(), config, clock::now()))
    }
}

gatehost_sdk::export!(Settle);

/// Decides by the pod's containers and its condition `ContainersReady`; `now` is in Unix milliseconds.
pub fn decide(containers: &[Container], ready: Option<&PodCondition>, config: Config, now: u64) -> Verdict {
    let running = || containers.iter().filter(|c| c.role != ContainerRole::Init);
    let missing: Vec<_> = running().filter_map(what_is_missing).collect();
    if !missing.is_empty() {
        return Verdict::unmet("ContainersNotReady").message(missing.join(", "));
    }
    // Kubelet lists no container that it has not seen yet; the condition is about all of the spec's.
    let Some(ready) = ready.filter(|c| c.status == "True") else {
        return Verdict::unmet("ContainersNotReady").message("kubelet does not report ContainersReady");
    };
    let times = running().map(|c| c.started_at_ms).chain([ready.last_transition_ms]);
    let Some(latest) = times.collect::<Option<Vec<_>>>().and_then(|times| times.into_iter().max()) else {
        return Verdict::unknown("StartUnknown").message("kubelet does not say since when the containers are ready");
    };
    // Kubernetes cuts times to whole seconds: what happened at 10.9 s reads as 10 s, and counting from the next whole
    // second is at most a second late and never early.
    let since = (latest / 1000 + 1) * 1000;
    let due = since + u64::from(config.seconds.get()) * 1000;
    if now >= due {
        let message = format!("all containers stayed ready for {} s after {}", config.seconds, rfc3339(since));
        return Verdict::met("Settled").message(message);
    }
    Verdict::unmet("Settling")
        .message(format!("all containers are ready; settled at {} if they stay so", rfc3339(due)))
        .recheck_after(Duration::from_millis(due - now))
}

fn what_is_missing(container: &Container) -> Option<String> {
    let what = match container.state {
        ContainerState::Waiting => "has not started",
        ContainerState::Terminated => "has ended",
        ContainerState::Running if container.ready => return None,
        ContainerState::Running => "is not ready",
    };
    Some(format!("{} {what}", container.name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::*;

    const T0: u64 = 1_000_000_000_000;
    const CONFIG: Config = Config { seconds: NonZeroU32::new(30).unwrap() };

    fn container(name: &str, role: ContainerRole, started: u64) -> Container {
        let state = ContainerState::Running;
        Container { name: name.into(), role, state, ready: true, restarts: 0, started_at_ms: Some(started) }
    }

    fn pair() -> [Container; 2] {
        [container("proxy", ContainerRole::Sidecar, T0), container("web", ContainerRole::App, T0)]
    }

    fn ready(at: Option<u64>) -> PodCondition {
        let (status, reason, message) = ("True".into(), String::new(), String::new());
        PodCondition { status, reason, message, last_transition_ms: at, observed_generation: None }
    }

    fn after(containers: &[Container], ready_at: u64, now: u64) -> Verdict {
        decide(containers, Some(&ready(Some(ready_at))), CONFIG, now)
    }

    #[test]
    fn the_schema_has_the_fields_of_the_config() {
        gatehost_sdk::testing::assert_schema::<Config>(include_str!("schema.json"));
    }

    #[test]
    fn it_opens_at_the_exact_moment_and_not_before() {
        let early = after(&pair(), T0, T0 + 30_999);
        assert_eq!((early.reason.as_str(), early.recheck_after), ("Settling", Some(Duration::from_millis(1))));
        assert_eq!(after(&pair(), T0, T0 + 31_000).reason, "Settled");
    }

    #[test]
    fn a_start_that_was_cut_to_its_second_is_not_taken_for_earlier_than_it_was() {
        // Ready at T0 + 999 ms, recorded as T0: 30 s later is T0 + 30 999 ms.
        assert_eq!(after(&pair(), T0, T0 + 30_998).reason, "Settling");
        // A writer that does record milliseconds is not waited for longer than to the next whole second.
        assert_eq!(after(&pair(), T0 + 999, T0 + 31_000).reason, "Settled");
    }

    #[test]
    fn the_latest_of_all_times_counts() {
        let mut containers = pair();
        containers[0].started_at_ms = Some(T0 + 50_000);
        assert_eq!(after(&containers, T0, T0 + 80_000).reason, "Settling");
        assert_eq!(after(&pair(), T0 + 50_000, T0 + 80_000).reason, "Settling");
    }

    #[test]
    fn an_init_container_that_ended_is_of_no_concern() {
        let mut init = container("migrate", ContainerRole::Init, T0 + 90_000);
        (init.state, init.ready) = (ContainerState::Terminated, false);
        assert_eq!(after(&[init], T0, T0 + 31_000).reason, "Settled");
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut containers = pair();
        (containers[0].state, containers[1].ready) = (ContainerState::Waiting, false);
        let expected = Verdict::unmet("ContainersNotReady").message("proxy has not started, web is not ready");
        assert_eq!(after(&containers, T0, T0 + 90_000), expected);
        assert_eq!(decide(&[], None, CONFIG, T0).reason, "ContainersNotReady");
    }

    #[test]
    fn without_a_time_there_is_no_answer() {
        assert_eq!(decide(&pair(), Some(&ready(None)), CONFIG, T0).reason, "StartUnknown");
    }

    #[test]
    fn messages_hold_absolute_times() {
        let messages = [T0 + 1, T0 + 20_000].map(|now| after(&pair(), T0, now).message);
        assert!(messages[0] == messages[1] && messages[0].contains("2001-09-09T01:47:11Z"), "{messages:?}");
    }
}
