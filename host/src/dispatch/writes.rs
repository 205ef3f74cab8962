//! What is written when: one write a pod at a time, statuses before texts, failures with a backoff.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Action, Core, Now, Outcome, Patch,
    core::Wake,
    gate::{Entry, Gate, Urgency},
};
use crate::{check::is_reserved, decide::Condition};

/// Writes in flight. More only wait inside the API server.
const WRITES: usize = 64;
/// The first wait after a failed write; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait after a failed write, but for a longer `Retry-After`.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// The writes that wait and those in flight.
#[derive(Debug, Default)]
pub(super) struct Writes {
    status: VecDeque<Arc<str>>,
    text: VecDeque<Arc<str>>,
    in_flight: HashMap<u64, InFlight>,
}

#[derive(Debug)]
struct InFlight {
    uid: Arc<str>,
    conditions: Vec<(Arc<str>, Condition)>,
}

impl Writes {
    /// Whether a write on that pod is in flight.
    pub(super) fn holds(&self, uid: &str) -> bool {
        self.in_flight.values().any(|write| &*write.uid == uid)
    }

    /// Whether nothing is waiting and nothing is in flight.
    pub(super) fn idle(&self) -> bool {
        self.status.is_empty() && self.text.is_empty() && self.in_flight.is_empty()
    }
}

impl Core {
    /// Queues the pod's write if one is due, or sets the timer for when it will be.
    pub(super) fn plan_write(&mut self, uid: &Arc<str>, now: Now) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let rules = &self.rules;
        let needs = entry.gates.iter().filter(|gate| rules.live.contains_key(&gate.kind)).filter_map(Gate::need);
        let write = &mut entry.write;
        let earliest = needs.map(|(urgency, from)| (from.max(write.not_before).max(now.mono), urgency)).min();
        if let Some(set) = write.timer.take() {
            self.timers.remove(&(set, Wake::Write(uid.clone())));
        }
        let Some((from, urgency)) = earliest else { return };
        if write.in_flight || write.queued.is_some_and(|queued| queued <= urgency) {
            return;
        }
        if from > now.mono {
            write.timer = Some(from);
            self.timers.insert((from, Wake::Write(uid.clone())));
            return;
        }
        write.queued = Some(urgency);
        match urgency {
            Urgency::Status => self.writes.status.push_back(uid.clone()),
            Urgency::Text => self.writes.text.push_back(uid.clone()),
        }
    }

    /// How many writes are in flight.
    pub fn writing(&self) -> usize {
        self.writes.in_flight.len()
    }

    pub(super) fn start_writes(&mut self, now: Now) {
        while self.writes.in_flight.len() < WRITES {
            let (uid, urgency) = match self.writes.status.pop_front() {
                Some(uid) => (uid, Urgency::Status),
                None => match self.writes.text.pop_front() {
                    Some(uid) => (uid, Urgency::Text),
                    None => return,
                },
            };
            let Some(entry) = self.pods.get_mut(&uid) else { continue };
            if entry.write.in_flight || entry.write.queued != Some(urgency) {
                continue;
            }
            entry.write.queued = None;
            let rules = &self.rules;
            let mut conditions = Vec::new();
            for gate in &mut entry.gates {
                if rules.live.contains_key(&gate.kind)
                    && !is_reserved(&gate.kind)
                    && let Some(condition) = gate.send(now)
                {
                    conditions.push((gate.kind.clone(), condition));
                }
            }
            if conditions.is_empty() {
                self.plan_write(&uid, now);
                continue;
            }
            entry.write.in_flight = true;
            let pod = entry.packed.open();
            let id = self.next_id;
            self.next_id += 1;
            self.actions.push(Action::Patch(Patch {
                id,
                namespace: pod.namespace.into(),
                name: pod.name.into(),
                uid: uid.clone(),
                version: None,
                conditions: conditions.clone(),
            }));
            self.writes.in_flight.insert(id, InFlight { uid, conditions });
        }
    }

    pub(super) fn wrote(&mut self, id: u64, outcome: &Outcome, now: Now) {
        let Some(InFlight { uid, conditions }) = self.writes.in_flight.remove(&id) else { return };
        let Some(entry) = self.pods.get_mut(&uid) else { return };
        entry.write.in_flight = false;
        match outcome {
            Outcome::Written(version) => {
                entry.write.failures = 0;
                entry.write.not_before = Duration::ZERO;
                stand(entry, version.unwrap_or(0), conditions);
            }
            Outcome::Replaced => return self.handle(super::Event::Gone(uid), now),
            Outcome::Conflict | Outcome::Refused(_) => back_off(entry, &mut self.rng, None, now),
            Outcome::Failed { retry_after, .. } => back_off(entry, &mut self.rng, *retry_after, now),
        }
        self.plan_write(&uid, now);
    }
}

/// Takes note of what a successful write left on the pod, unless the watch has told of something newer.
fn stand(entry: &mut Entry, version: u64, conditions: Vec<(Arc<str>, Condition)>) {
    entry.written = entry.written.max(version);
    if version != 0 && entry.version >= version {
        return;
    }
    for (kind, condition) in conditions {
        let Some(gate) = entry.gates.iter_mut().find(|gate| gate.kind == kind) else { continue };
        let kept = gate.standing.as_ref().and_then(|standing| standing.last_transition);
        let last_transition = condition.last_transition.or(kept);
        gate.standing = Some(Condition { last_transition, ..condition }.into());
    }
}

fn back_off(entry: &mut Entry, rng: &mut fastrand::Rng, retry_after: Option<Duration>, now: Now) {
    let doubled = MIN_BACKOFF.saturating_mul(1 << entry.write.failures.min(10)).min(MAX_BACKOFF);
    let jittered = doubled.mul_f64(0.5 + rng.f64() / 2.0);
    let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
    entry.write.failures = entry.write.failures.saturating_add(1);
    entry.write.not_before = now.mono + jittered.max(asked);
    // What was tried and failed counts as neither written nor fought over.
    for gate in &mut entry.gates {
        gate.contest_after = Duration::ZERO;
    }
}
