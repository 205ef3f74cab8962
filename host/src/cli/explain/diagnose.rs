//! What the API server says of a pod → what is wrong with it. Pure: now is an argument.

use super::{
    budgets, overrides,
    reasons::{self, Around},
    report::{Condition, Event, Finding, Gate, Kind, Kubelet, Report},
};
use crate::{
    check::is_reserved,
    cli::text::age,
    cluster::{Inspected, Told},
    pod::{self, ContainerState, Pod, Role},
};

/// How long kubelet may take to follow before it is worth a look at the node.
const FOLLOWS: i64 = 30_000;
/// How many Events are shown.
const EVENTS: usize = 5;
/// How alike two names are that one is taken for a misspelling of the other.
const ALIKE: f64 = 0.85;
/// The host's field manager.
const MANAGER: &str = "gatehost";

/// Explains a pod. `now` is in Unix milliseconds.
pub(super) fn diagnose(inspected: &Inspected, now: i64) -> Report {
    let Inspected { seen, writers, events, unread, .. } = inspected;
    let pod = &seen.pod;
    let condition = |kind: &str| pod.condition(kind).map(|c| shown(c, writers.get(kind)));
    let gates: Vec<_> = pod.gates.iter().map(|gate| of_gate(gate, condition(gate))).collect();
    let (overrides, of_overrides) = overrides::read(pod, now);
    let mut findings = of_pod(inspected, now);
    findings.extend(of_overrides);
    for gate in &gates {
        findings.extend(wrong(gate, pod, &gates));
    }
    findings.extend(strays(pod, &gates, inspected));
    Report {
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        uid: pod.uid.clone(),
        node: pod.node.clone(),
        phase: pod.phase.clone(),
        generation: pod.generation,
        created: Some(pod.created_at).filter(|at| *at > 0),
        ready: is_true(pod, "Ready"),
        kubelet: Kubelet { ready: condition("Ready"), containers_ready: condition("ContainersReady") },
        gates,
        findings,
        overrides,
        events: events[events.len().saturating_sub(EVENTS)..].iter().map(event).collect(),
        notes: unread.clone(),
    }
}

fn shown(condition: &pod::Condition, writer: Option<&String>) -> Condition {
    Condition {
        status: condition.status.clone(),
        reason: condition.reason.clone(),
        message: condition.message.clone(),
        since: condition.last_transition,
        observed_generation: condition.observed_generation,
        writer: writer.cloned(),
    }
}

fn of_gate(gate: &str, condition: Option<Condition>) -> Gate {
    let blocks = condition.as_ref().is_none_or(|c| c.status != "True");
    Gate { r#type: gate.to_owned(), blocks, condition }
}

fn event(told: &Told) -> Event {
    let Told { at, kind, reason, message, count } = told.clone();
    Event { at, r#type: kind, reason, message, count }
}

fn is_true(pod: &Pod, kind: &str) -> bool {
    pod.condition(kind).is_some_and(|c| c.status == "True")
}

fn finding(kind: Kind, gate: Option<&str>, message: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding { kind, gate: gate.map(ToOwned::to_owned), message: message.into(), next: next.into() }
}

/// What is wrong with the pod as a whole.
fn of_pod(inspected: &Inspected, now: i64) -> Vec<Finding> {
    let pod = &inspected.seen.pod;
    if inspected.seen.over {
        let message = match pod.phase.as_str() {
            phase @ ("Succeeded" | "Failed") => {
                format!("the pod has ended ({phase}): its gates decide nothing any more")
            }
            _ => "the pod is being deleted: its gates decide nothing any more".to_owned(),
        };
        return vec![finding(Kind::Ended, None, message, "look at the pod that takes its place")];
    }
    let mut findings = Vec::new();
    let describe = format!("kubectl describe pod {}", pod.name);
    let containers_ready = is_true(pod, "ContainersReady");
    if pod.node.is_none() {
        let why = pod.condition("PodScheduled").map(|c| format!(": {}", c.message)).unwrap_or_default();
        findings.push(finding(Kind::NotScheduled, None, format!("the pod has no node yet{why}"), describe));
    } else if !containers_ready {
        findings.push(finding(Kind::ContainersNotReady, None, containers(pod), describe));
    }
    if pod.gates.is_empty() {
        let next = "for a gate, add spec.readinessGates to the pod template: a pod that runs cannot get one";
        findings.push(finding(Kind::NoGates, None, "the pod has no readiness gates: only its containers count", next));
    }
    findings.extend(disagreement(pod, now));
    if !is_true(pod, "Ready") && pod.phase != "Pending" {
        let open: Vec<_> = pod.gates.iter().map(String::as_str).filter(|gate| !is_true(pod, gate)).collect();
        findings.extend(budgets::findings(&inspected.budgets, &open, containers_ready));
    }
    findings
}

fn containers(pod: &Pod) -> String {
    let unready = pod.containers.iter().filter(|c| c.role != Role::Init && !c.ready);
    let one = |c: &pod::Container| {
        let state = match c.state {
            ContainerState::Waiting => "waiting",
            ContainerState::Running => "running, not ready",
            ContainerState::Terminated => "ended",
        };
        let restarts = if c.restarts == 0 { String::new() } else { format!(", {} restarts", c.restarts) };
        format!("{} ({state}{restarts})", c.name)
    };
    let names: Vec<_> = unready.map(one).collect();
    if names.is_empty() {
        return "kubelet does not say yet that the containers are ready".to_owned();
    }
    format!("containers that are not ready: {}; gates alone do not make the pod Ready", names.join(", "))
}

/// Kubelet's `Ready` against what it is made of.
fn disagreement(pod: &Pod, now: i64) -> Option<Finding> {
    let parts: Vec<_> = std::iter::once("ContainersReady").chain(pod.gates.iter().map(String::as_str)).collect();
    let open: Vec<_> = parts.iter().copied().filter(|kind| !is_true(pod, kind)).collect();
    let ready = is_true(pod, "Ready");
    if ready != open.is_empty() {
        // They differ since the last of those changed that decide it.
        let decisive = if ready { &open } else { &parts };
        let since = decisive.iter().filter_map(|kind| pod.condition(kind)?.last_transition).max();
        let lasts = since.map(|since| now.saturating_sub(since));
        let long = lasts.map(|millis| format!(" for {}", age(millis))).unwrap_or_default();
        let message = if ready {
            format!("Ready disagrees{long}: it is True, but {} not", listed(&open))
        } else {
            format!("Ready disagrees{long}: the containers are ready and each gate is True, but Ready is not")
        };
        let next = match (lasts, &pod.node) {
            (Some(millis), _) if millis < FOLLOWS => "kubelet follows within seconds: look again".to_owned(),
            (_, Some(node)) => format!("kubelet does not follow: is its node alive? kubectl get node {node}"),
            (_, None) => "the pod has no node whose kubelet could follow".to_owned(),
        };
        return Some(finding(Kind::ReadyDisagrees, None, message, next));
    }
    None
}

fn listed(kinds: &[&str]) -> String {
    format!("{} {}", kinds.join(", "), if kinds.len() == 1 { "is" } else { "are" })
}

/// What is wrong with one gate.
fn wrong(gate: &Gate, pod: &Pod, gates: &[Gate]) -> Vec<Finding> {
    let name = gate.r#type.as_str();
    let mut findings = Vec::new();
    let mut found = |kind, message: String, next: String| findings.push(finding(kind, Some(name), message, next));
    if is_reserved(name) {
        let message = "the gate belongs to Kubernetes: gatehost never writes it".to_owned();
        found(Kind::ReservedGate, message, "name the gate under a domain of your own in the pod template".to_owned());
    }
    let Some(condition) = &gate.condition else {
        let (message, next) = missing(name, gates);
        found(Kind::ConditionMissing, message, next);
        return findings;
    };
    let writer = condition.writer.as_deref().unwrap_or("nobody knows who");
    if !matches!(condition.status.as_str(), "True" | "False" | "Unknown") {
        let message =
            format!("{:?} is none of True, False and Unknown: kubelet takes it for not True", condition.status);
        found(Kind::InvalidStatus, message, format!("have its writer ({writer}) write one of the three"));
    }
    if let Some(judged) = condition.observed_generation.filter(|judged| *judged < pod.generation) {
        let message = format!("it was judged at generation {judged} of the pod, which is at {} now", pod.generation);
        let next = "a host that runs judges it at once, and within 5 minutes says so here: look at its /readyz and log";
        found(Kind::StaleGeneration, message, next.to_owned());
    }
    let around = Around {
        pod: &pod.name,
        gate: name,
        status: &condition.status,
        quarantined: reasons::is_quarantined(condition),
        containers_ready: is_true(pod, "ContainersReady"),
        scheduled: pod.node.is_some(),
    };
    if let Some((kind, message, next)) = reasons::explain(&condition.reason, around) {
        found(kind, message, next);
    }
    findings
}

fn missing(name: &str, gates: &[Gate]) -> (String, String) {
    let ours = |gate: &&Gate| gate.condition.as_ref().and_then(|c| c.writer.as_deref()) == Some(MANAGER);
    match gates.iter().find(ours) {
        Some(other) => (
            format!("no condition of this type: a host answers {}, so it has no check for this gate", other.r#type),
            format!("give the host a Check with gate: {name}, or widen the select of the one it has"),
        ),
        None => (
            "no condition of this type: no check answers it, or no host runs that works this namespace".to_owned(),
            format!(
                "look at the host's /readyz and log, and for a Check with gate: {name} whose select takes this pod"
            ),
        ),
    }
}

/// Conditions that were meant for a gate of this pod: of the domain of one, misspelt, or written by the host.
fn strays(pod: &Pod, gates: &[Gate], inspected: &Inspected) -> Vec<Finding> {
    let stray = |kind: &str| {
        let meant = alike(kind, gates);
        let own = inspected.writers.get(kind).is_some_and(|writer| writer == MANAGER);
        let near = domain(kind).is_some_and(|d| gates.iter().any(|g| domain(&g.r#type) == Some(d)));
        if !(own || near || meant.is_some()) {
            return None;
        }
        let (message, next) = match meant {
            Some(gate) => (
                format!("no such gate on the pod, which has {gate}: kubelet does not look at this condition"),
                "correct the name where it is wrong: in what writes it, or in the pod template".to_owned(),
            ),
            None => (
                "no such gate on the pod: kubelet does not look at this condition".to_owned(),
                format!("add conditionType: {kind} to the template's readinessGates: a pod that runs cannot get one"),
            ),
        };
        Some(finding(Kind::NoSuchGate, Some(kind), message, next))
    };
    let kinds = pod.conditions.iter().map(|(kind, _)| kind.as_str());
    kinds.filter(|kind| !is_reserved(kind) && !pod.gates.iter().any(|gate| gate == kind)).filter_map(stray).collect()
}

fn domain(kind: &str) -> Option<&str> {
    kind.split_once('/').map(|(domain, _)| domain)
}

/// The gate without a condition that a name was likely meant to be.
fn alike<'a>(kind: &str, gates: &'a [Gate]) -> Option<&'a str> {
    let unanswered = gates.iter().filter(|gate| gate.condition.is_none()).map(|gate| gate.r#type.as_str());
    let measured = unanswered.map(|gate| (strsim::normalized_damerau_levenshtein(kind, gate), gate));
    measured.filter(|(likeness, _)| *likeness >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, gate)| gate)
}

#[cfg(test)]
mod tests;
