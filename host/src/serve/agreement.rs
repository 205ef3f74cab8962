//! How long kubelet takes to agree with the gates.

use std::{collections::HashMap, sync::Arc, time::Instant};

use prometheus_client::metrics::histogram::Histogram;

use super::Metrics;
use crate::{
    dispatch::Event,
    pod::{Pod, Seen},
};

/// Times, for each pod whose containers are ready, from the watch event with which its gates began to say something
/// else than its `Ready` to the one with which `Ready` agreed. The write that makes the difference comes back on the
/// watch within milliseconds; the rest is kubelet's.
#[derive(Debug)]
pub struct Agreement {
    seconds: Histogram,
    /// Pods whose `Ready` does not agree, by uid, since when.
    pending: HashMap<Arc<str>, Instant>,
}

impl Agreement {
    /// Fills the metric `gatehost_ready_agreement_seconds`.
    pub fn new(metrics: &Metrics) -> Self {
        Self { seconds: metrics.agreement(), pending: HashMap::new() }
    }

    /// Takes in one event of the watch, as of `now`.
    pub fn saw(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Pod(_, seen) => self.pod(seen, now),
            Event::Gone(uid) => {
                self.pending.remove(uid);
            }
            // What happened between two lists has no times.
            Event::ListStarted(_) => self.pending.clear(),
            _ => {}
        }
    }

    fn pod(&mut self, seen: &Seen, now: Instant) {
        let pod = &seen.pod;
        let uid = pod.uid.as_str();
        if seen.over || pod.gates.is_empty() || !is_true(pod, "ContainersReady") {
            self.pending.remove(uid);
        } else if pod.gates.iter().all(|gate| is_true(pod, gate)) == is_true(pod, "Ready") {
            if let Some(since) = self.pending.remove(uid) {
                self.seconds.observe(now.saturating_duration_since(since).as_secs_f64());
            }
        } else if !self.pending.contains_key(uid) {
            self.pending.insert(uid.into(), now);
        }
    }
}

fn is_true(pod: &Pod, kind: &str) -> bool {
    pod.condition(kind).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pod::Condition;

    const GATE: &str = "example.com/warm";

    fn event(conditions: &[(&str, &str)]) -> Event {
        let condition = |(kind, status): &(&str, &str)| {
            ((*kind).to_owned(), Condition { status: (*status).to_owned(), ..Condition::default() })
        };
        let conditions = conditions.iter().map(condition).collect();
        let pod = Pod { uid: "u".into(), gates: vec![GATE.into()], conditions, ..Pod::default() };
        Event::Pod(0, Box::new(Seen { pod, ..Seen::default() }))
    }

    /// Count and sum after these events, a second apart.
    fn observed(events: &[Event]) -> (u64, f64) {
        let (metrics, registry) = Metrics::new();
        let mut agreement = Agreement::new(&metrics);
        let mut now = Instant::now();
        for event in events {
            agreement.saw(event, now);
            now += Duration::from_secs(1);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
        let name = "gatehost_ready_agreement_seconds";
        (value(&format!("{name}_count")).parse().unwrap(), value(&format!("{name}_sum")).parse().unwrap())
    }

    #[test]
    fn both_ways_are_timed_from_the_gate_to_kubelet() {
        let up = [
            event(&[("ContainersReady", "True"), ("Ready", "False")]),
            event(&[("ContainersReady", "True"), ("Ready", "False"), (GATE, "True")]),
            event(&[("ContainersReady", "True"), ("Ready", "False"), (GATE, "True")]),
            event(&[("ContainersReady", "True"), ("Ready", "True"), (GATE, "True")]),
            event(&[("ContainersReady", "True"), ("Ready", "True"), (GATE, "False")]),
            event(&[("ContainersReady", "True"), ("Ready", "False"), (GATE, "False")]),
        ];
        assert_eq!(observed(&up), (2, 3.0));
    }

    #[test]
    fn containers_that_are_not_ready_and_new_lists_end_the_measurement() {
        let differs = || event(&[("ContainersReady", "True"), ("Ready", "False"), (GATE, "True")]);
        let agrees = || event(&[("ContainersReady", "True"), ("Ready", "True"), (GATE, "True")]);
        let crash = event(&[("ContainersReady", "False"), ("Ready", "False"), (GATE, "True")]);
        assert_eq!(observed(&[differs(), crash, agrees()]), (0, 0.0));
        assert_eq!(observed(&[differs(), Event::ListStarted(0), agrees()]), (0, 0.0));
        assert_eq!(observed(&[differs(), Event::Gone("u".into()), agrees()]), (0, 0.0));
    }
}
