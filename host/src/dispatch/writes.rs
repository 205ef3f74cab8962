//! What is written when: one write a pod at a time, statuses before texts, failures with a backoff.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Action, Core, Note, NoteKind, Now, Outcome, Patch,
    core::Wake,
    entry::{Entry, note},
    gate::{Hold, Urgency},
    owners::{self, Owners},
};
use crate::{
    check::is_reserved,
    decide::{Condition, Status, reason, sanitize},
};

/// The first wait after a failed write; it doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait after a failed write, but for a longer `Retry-After`.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// The longest `Retry-After` that is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);
/// How long a write whose end nobody knows counts as done for the disruption budget: by then the watch has told.
const DOUBT: Duration = Duration::from_secs(65);

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
    /// The version that it was bound to.
    version: Option<u64>,
    began: Duration,
}

impl Writes {
    /// Whether a write on that pod is in flight.
    pub(super) fn holds(&self, uid: &str) -> bool {
        self.in_flight.values().any(|write| &*write.uid == uid)
    }

    fn is_empty(&self) -> bool {
        self.status.is_empty() && self.text.is_empty()
    }

    /// The pod whose write is next: statuses before texts.
    fn next(&mut self) -> Option<(Arc<str>, Urgency)> {
        let status = self.status.pop_front().map(|uid| (uid, Urgency::Status));
        status.or_else(|| self.text.pop_front().map(|uid| (uid, Urgency::Text)))
    }

    /// Whether nothing is waiting and nothing is in flight.
    pub(super) fn idle(&self) -> bool {
        self.is_empty() && self.in_flight.is_empty()
    }
}

impl Core {
    /// Queues the pod's write if one is due, or sets the timer for when it will be.
    pub(super) fn plan_write(&mut self, uid: &Arc<str>, now: Now) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        for gate in &mut entry.gates {
            let turns = gate.wanted().is_some_and(|wanted| gate.turns_away(wanted.status));
            if gate.hold.is_some() && !turns {
                gate.let_go();
            }
        }
        if !entry.gates.iter().any(|gate| matches!(gate.hold, Some(Hold::Budget(_)))) {
            self.owners.let_go(entry);
        }
        let (digest, waits) = (entry.digest, entry.waits_for_a_later_version());
        let wary = now.mono < self.wary_until;
        let needs = entry.gates.iter().filter_map(|gate| gate.need(digest, wary)).filter(|need| !(need.bound && waits));
        // What a wary host leaves is looked at again when it is wary no more.
        let left = wary
            && entry.gates.iter().any(|gate| gate.need(digest, true).is_none() && gate.need(digest, false).is_some());
        let write = &mut entry.write;
        let earliest = needs.map(|need| (need.from.max(write.not_before).max(now.mono), need.urgency)).min();
        if let Some(set) = write.timer.take() {
            self.timers.remove(&(set, Wake::Write(uid.clone())));
        }
        if write.doubt.is_some_and(|until| until <= now.mono) {
            write.doubt = None;
            entry.gates.iter_mut().for_each(|gate| gate.sent = None);
            self.owners.count(entry);
        }
        let write = &mut entry.write;
        let due = earliest.filter(|(from, _)| *from <= now.mono);
        if let Some((_, urgency)) = due
            && !write.in_flight
            && write.queued.is_none_or(|queued| queued > urgency)
        {
            write.queued = Some(urgency);
            match urgency {
                Urgency::Status => self.writes.status.push_back(uid.clone()),
                Urgency::Text => self.writes.text.push_back(uid.clone()),
            }
        }
        let later = earliest.map(|(from, _)| from).filter(|from| *from > now.mono && !write.in_flight);
        let trusted = left.then_some(self.wary_until);
        if let Some(at) = later.into_iter().chain(write.doubt).chain(trusted).min() {
            write.timer = Some(at);
            self.timers.insert((at, Wake::Write(uid.clone())));
        }
    }

    /// How many writes are in flight.
    pub fn writing(&self) -> usize {
        self.writes.in_flight.len()
    }

    pub(super) fn start_writes(&mut self, now: Now) {
        while self.pace.admits(self.writes.in_flight.len()) && !self.writes.is_empty() {
            if let Err(at) = self.pace.take(now.mono) {
                self.timers.insert((at, Wake::Pace));
                return;
            }
            if !self.start_write(now) {
                self.pace.give_back();
            }
        }
    }

    /// Starts the next write; whether there was something to write.
    fn start_write(&mut self, now: Now) -> bool {
        let Some((uid, urgency)) = self.writes.next() else { return false };
        let Some(entry) = self.pods.get_mut(&uid) else { return false };
        if entry.write.in_flight || entry.write.queued != Some(urgency) {
            return false;
        }
        entry.write.queued = None;
        let waits = entry.waits_for_a_later_version();
        let listed = self.listed.contains(&entry.scope);
        let wary = now.mono < self.wary_until;
        let (mut conditions, mut bound) = (Vec::new(), false);
        // A text that is bound must not hold up a status that is not.
        let mut needs = entry.gates.iter().filter_map(|gate| gate.need(entry.digest, wary));
        let plain = needs.any(|need| need.urgency == Urgency::Status && !need.bound && need.from <= now.mono);
        for at in 0..entry.gates.len() {
            let need =
                entry.gates[at].need(entry.digest, wary).filter(|need| need.from <= now.mono && !(need.bound && waits));
            let Some(need) = need.filter(|_| !is_reserved(&entry.gates[at].kind)) else { continue };
            if plain && need.bound && need.urgency == Urgency::Text {
                continue;
            }
            let turns_away = need.urgency == Urgency::Status && entry.gates[at].turns_away(need.condition.status);
            if turns_away && let Err(told) = may_turn(entry, at, &need.condition, listed, &mut self.owners, now) {
                self.actions.extend(told.map(Action::Note));
                continue;
            }
            let gate = &mut entry.gates[at];
            conditions.push((gate.kind.clone(), gate.send(&need, now)));
            bound |= need.bound;
            // What is void is not held, and counts all the same.
            if need.urgency == Urgency::Status {
                self.owners.count(entry);
            }
        }
        if conditions.is_empty() {
            self.plan_write(&uid, now);
            return false;
        }
        entry.write.in_flight = true;
        let pod = entry.packed.open();
        let id = self.next_id;
        self.next_id += 1;
        let version = Some(entry.version).filter(|version| bound && *version != 0);
        self.actions.push(Action::Patch(Patch {
            id,
            namespace: pod.namespace.into(),
            name: pod.name.into(),
            uid: uid.clone(),
            version,
            conditions: conditions.clone(),
        }));
        self.writes.in_flight.insert(id, InFlight { uid, conditions, version, began: now.mono });
        true
    }

    pub(super) fn wrote(&mut self, id: u64, outcome: &Outcome, now: Now) {
        let Some(InFlight { uid, conditions, version, began }) = self.writes.in_flight.remove(&id) else { return };
        let strained = matches!(outcome, Outcome::Failed { .. });
        self.pace.ended(strained, now.mono.saturating_sub(began), now.mono);
        let Some(entry) = self.pods.get_mut(&uid) else { return };
        entry.write.in_flight = false;
        entry.settle_doubt(outcome, &conditions);
        match outcome {
            Outcome::Written(written) => {
                entry.write.failures = 0;
                entry.write.not_before = Duration::ZERO;
                let notes = stand(entry, version, written.unwrap_or(0), conditions);
                self.actions.extend(notes.into_iter().map(Action::Note));
            }
            Outcome::Replaced => return self.handle(super::Event::Gone(uid), now),
            Outcome::Conflict => {
                entry.write.conflict = version;
                entry.gates.iter_mut().for_each(|gate| gate.contest_after = Duration::ZERO);
            }
            Outcome::Refused(_) => back_off(entry, &mut self.rng, None, now),
            Outcome::Failed { retry_after, .. } => {
                entry.write.doubt = Some(now.mono + DOUBT);
                back_off(entry, &mut self.rng, *retry_after, now);
            }
        }
        self.plan_write(&uid, now);
        self.count(&uid, now);
    }
}

impl Entry {
    /// Whether a write that is bound to the version held would be in vain: it has been, or our own last write made a
    /// later one.
    fn waits_for_a_later_version(&self) -> bool {
        self.version != 0
            && (self.version < self.written || self.write.conflict.is_some_and(|conflict| self.version <= conflict))
    }
}

impl Entry {
    /// What an end of a write tells of what was sent: of its own conditions, where it stands, and of nothing that an
    /// earlier write may have left.
    fn settle_doubt(&mut self, outcome: &Outcome, conditions: &[(Arc<str>, Condition)]) {
        let stands = matches!(outcome, Outcome::Written(_));
        if !stands && (self.write.doubt.is_some() || matches!(outcome, Outcome::Failed { .. })) {
            return;
        }
        for gate in &mut self.gates {
            if !stands || self.write.doubt.is_none() || conditions.iter().any(|(kind, _)| *kind == gate.kind) {
                gate.sent = None;
            }
        }
        if self.gates.iter().all(|gate| gate.sent.is_none()) {
            self.write.doubt = None;
        }
    }
}

/// Whether a gate may turn from True now. If not it is held, and people are told where that is news.
fn may_turn(
    entry: &mut Entry,
    at: usize,
    wanted: &Condition,
    listed: bool,
    owners: &mut Owners,
    now: Now,
) -> Result<(), Option<Note>> {
    if !listed {
        entry.gates[at].hold = Some(Hold::Unlisted);
        return Err(None);
    }
    let (kind, reason, why, until) = if let Some(until) = entry.gates[at].damped(now.mono) {
        let most = entry.gates[at].rule.as_ref().map_or(0, |rule| rule.policy.max_flaps);
        let why = format!("it has turned {most} times in a minute, which is maxFlapsPerMinute");
        (NoteKind::HeldByDamper, reason::HELD_BY_DAMPER, why, Some(until))
    } else if !owners.allow(entry) {
        owners.hold(entry);
        let why = format!("maxUnready of {} is used up", owners::describe(&entry.packed.open()));
        (NoteKind::HeldByBudget, reason::HELD_BY_BUDGET, why, None)
    } else {
        entry.gates[at].let_go();
        return Ok(());
    };
    let said = format!("would be {} ({}), and stays True because {why}", wanted.status.as_str(), wanted.reason);
    let message = sanitize::message(&format!("{said}: {}", wanted.message));
    let held = Condition {
        status: Status::True,
        reason: reason.into(),
        message: message.clone(),
        last_transition: None,
        observed_generation: wanted.observed_generation,
    };
    let gate = &mut entry.gates[at];
    gate.hold =
        Some(until.map_or_else(|| Hold::Budget(held.clone().into()), |at| Hold::Damper(at, held.clone().into())));
    let news = gate.rare().told_hold.replace(kind) != Some(kind);
    Err(news.then(|| note(entry, Some(&entry.gates[at]), kind, message)))
}

/// Takes note of what a successful write left on the pod, unless the watch has told of something newer.
fn stand(entry: &mut Entry, bound: Option<u64>, version: u64, conditions: Vec<(Arc<str>, Condition)>) -> Vec<Note> {
    entry.written = entry.written.max(version);
    let newer = version != 0 && entry.version >= version;
    if bound == Some(entry.version) && !newer {
        // Nothing but our own conditions has changed since the version that was judged.
        entry.version = entry.version.max(version);
    }
    let mut notes = Vec::new();
    for (kind, condition) in conditions {
        let Some(at) = entry.gates.iter().position(|gate| gate.kind == kind && !gate.dry_run) else { continue };
        let gate = &mut entry.gates[at];
        let turned = condition.last_transition.is_some();
        let kept = gate.standing.as_ref().and_then(|standing| standing.last_transition);
        let (status, said) = (condition.status, format!("{}: {}", condition.reason, condition.message));
        if turned {
            gate.wrote = Some(status);
        }
        if !newer {
            let last_transition = condition.last_transition.or(kept);
            gate.stand(Some(Condition { last_transition, ..condition }));
        }
        if turned {
            notes.push(note(entry, Some(&entry.gates[at]), NoteKind::Turned(status), said));
        }
    }
    notes
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
