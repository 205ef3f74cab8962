//! Tells everything that it sees of the pod.

use guests::{Fault, Plugin, Pod, Verdict, met};

struct Read;

impl Plugin for Read {
    fn evaluate(pod: &Pod, config: &str) -> Result<Verdict, Fault> {
        let containers: Vec<String> = pod
            .containers()
            .into_iter()
            .map(|c| format!("{} {:?} {:?} {} {} {:?}", c.name, c.role, c.state, c.ready, c.restarts, c.started_at_ms))
            .collect();
        let condition = pod
            .condition("ContainersReady")
            .map(|c| (c.status, c.reason, c.message, c.last_transition_ms, c.observed_generation));
        let owner = pod.owner().map(|o| (o.api_version, o.resource_kind, o.name, o.uid));
        met(format!(
            "{} {} {} {} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {containers:?} {condition:?} {:?} {owner:?} {:?} {:?}",
            pod.namespace_name(),
            pod.name(),
            pod.uid(),
            pod.generation(),
            pod.created_at_ms(),
            pod.label("app"),
            pod.label("none"),
            pod.labels(),
            pod.annotation(config),
            pod.annotation_keys(),
            pod.ip(),
            pod.node(),
            pod.service_account(),
            pod.phase(),
            pod.condition("None").is_none(),
            pod.gates(),
            pod.condition_names(),
        ))
    }
}

guests::plugin!(Read);
