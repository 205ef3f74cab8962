//! When each gate is asked, and what its answer leads to.

use std::{sync::Arc, time::Duration};

use super::{
    Action, Call, Core, GateKey, NoteKind, Now, Spared,
    core::{Wake, find},
    entry::{Entry, note},
    flight::Flight,
    gate::{Gate, State},
    quarantine::here,
};
use crate::{
    decide::{Asked, Blame, Fault, FaultKind, Status, Verdict, identity, reason},
    pod::Pod,
    sandbox::Read,
};

/// How a call ended.
pub(super) struct Ended {
    pub(super) answer: Result<Verdict, Fault>,
    pub(super) keep: Option<Arc<[u8]>>,
    /// Nothing where nobody was asked: what it read before counts.
    pub(super) reads: Option<Vec<Read>>,
}

impl Core {
    /// Makes a pod's gates due, or lets them sleep: by what the pod says, and by whether that has changed.
    pub(super) fn prepare(&mut self, uid: &Arc<str>, pod: &Pod, changed: bool, now: Now) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let mut due = Vec::new();
        for gate in entry.gates.iter_mut().filter(|gate| gate.rule.is_some()) {
            let start = gate.start(pod, now).filter(|_| !gate.is_done());
            gate.asleep = start.is_none();
            gate.changed |= changed;
            match start {
                None => {
                    if let Some(at) = gate.timer.take() {
                        self.timers.remove(&(at, Wake::Gate(gate.key(uid))));
                    }
                }
                Some(start) if gate.changed => due.push((gate.key(uid), start.max(gate.change_allowed()))),
                Some(start) if gate.timer.is_none() => due.push((gate.key(uid), start)),
                Some(_) => {}
            }
        }
        for (key, at) in due {
            self.make_due(&key, at, now);
        }
    }

    /// A restart or a new IP made the verdicts on a pod void.
    pub(super) fn renew(&mut self, uid: &Arc<str>) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let mut void = None;
        for gate in &mut entry.gates {
            gate.epoch = gate.epoch.wrapping_add(1);
            // What is due is due at once: the pod changed.
            if gate.memory.renew() && !gate.dry_run {
                // Also where no check answers it now: the next one that does finds it void, and so would a new host.
                gate.released = true;
                gate.hold = None;
                void = void.or_else(|| gate.rule.is_some().then(|| gate.kind.clone()));
            }
        }
        if void.is_some() {
            let message = "a container restarted or the pod has a new IP: its verdicts are void".to_owned();
            let note = note(entry, None, NoteKind::Restarted, message);
            self.actions.push(Action::Note(note));
        }
    }

    /// Makes a gate due at `at`, or now if that has passed. A gate that is asked right now is due again afterwards.
    pub(super) fn make_due(&mut self, key: &GateKey, at: Duration, now: Now) {
        let Some((_, gate)) = find(&mut self.pods, key) else { return };
        if gate.state != State::Idle || gate.timer.is_some_and(|set| set <= at) {
            return;
        }
        if let Some(set) = gate.timer.take() {
            self.timers.remove(&(set, Wake::Gate(key.clone())));
        }
        if at <= now.mono {
            self.wait(key, now);
        } else {
            gate.timer = Some(at);
            self.timers.insert((at, Wake::Gate(key.clone())));
        }
    }

    /// Puts a gate into its check's lane.
    pub(super) fn wait(&mut self, key: &GateKey, now: Now) {
        if let Some((_, gate)) = find(&mut self.pods, key)
            && let Some(rule) = &gate.rule
        {
            gate.state = State::Waiting(now.mono);
            self.fair.push(&rule.check, key.clone());
        }
    }

    pub(super) fn start_call(&mut self, check: Arc<str>, key: &GateKey, now: Now) {
        let Some(entry) = self.pods.get_mut(&key.uid) else { return };
        let (judged, digest, pod) = (entry.generation, entry.digest, &entry.packed);
        let gates = &mut entry.gates;
        let Some(gate) = gates.iter_mut().find(|g| g.dry_run == key.dry_run && g.kind == key.gate) else { return };
        let State::Waiting(since) = gate.state else { return };
        let Some(rule) = gate.rule.clone().filter(|_| !gate.asleep) else {
            gate.state = State::Idle;
            return;
        };
        if rule.check != check {
            // The gate changed hands while it waited: it waits in the new check's lane.
            return self.fair.push(&rule.check, key.clone());
        }
        let id = self.next_id;
        self.next_id += 1;
        let admitted = self.quarantine.admit(&rule, key, id, now.mono);
        gate.state = State::Running(id);
        let answers_change = gate.charge(now.mono);
        let flight = Flight {
            key: key.clone(),
            check: check.clone(),
            generation: rule.generation,
            judged,
            digest,
            was_true: gate.status() == Some(Status::True),
            epoch: gate.epoch,
            periodic: gate.memory.answered && !answers_change,
            stalled: false,
            outside: false,
        };
        if let Err(fault) = admitted {
            let spared = Spared { key: key.clone(), check, generation: rule.generation };
            self.actions.push(Action::Spared(spared));
            let fault = here(fault, gate.memory.fault.as_deref());
            return self.take_in(id, &flight, Ended { answer: Err(fault), keep: None, reads: None }, now);
        }
        let call = Call {
            id,
            key: key.clone(),
            check: check.clone(),
            generation: rule.generation,
            pod: pod.clone(),
            now: now.wall,
            waited: now.mono.saturating_sub(since),
            kept: self.keeping.of(gate),
        };
        self.fair.started(&check);
        self.calls.insert(id, flight);
        self.actions.push(Action::Call(call));
    }

    /// A call waits for an answer from outside: others may be asked meanwhile.
    pub(super) fn outside(&mut self, id: u64) {
        if let Some(flight) = self.calls.get_mut(&id).filter(|flight| !flight.outside) {
            flight.outside = true;
            self.fair.waits(&flight.check);
        }
    }

    pub(super) fn answered(&mut self, id: u64, mut ended: Ended, now: Now) {
        let Some(flight) = self.calls.remove(&id) else { return };
        self.fair.ended(&flight.check, flight.outside);
        self.judge_code(id, &flight, &ended.answer, now);
        if let Err(fault) = &ended.answer
            && fault.blame == Blame::Code
            && let Some(held) = self.quarantine.fault(&flight.check)
        {
            ended.answer = Err(here(held.clone(), Some(fault)));
        }
        self.take_in(id, &flight, ended, now);
    }

    /// What an answer, or its absence, makes of a gate.
    fn take_in(&mut self, id: u64, flight: &Flight, ended: Ended, now: Now) {
        let Ended { answer, keep, reads } = ended;
        let key = &flight.key;
        let Some(entry) = self.pods.get_mut(&key.uid) else { return };
        let stands = entry.gates.iter().find(|g| g.kind == key.gate && !g.dry_run).and_then(|g| g.standing.clone());
        let Some(at) = entry.gates.iter().position(|g| g.dry_run == key.dry_run && g.kind == key.gate) else { return };
        let gate = &mut entry.gates[at];
        if gate.state != State::Running(id) {
            return;
        }
        gate.state = State::Idle;
        // A True may have become the last word while the call ran.
        gate.asleep |= gate.is_done();
        let Some(rule) = gate.rule.clone().filter(|_| !gate.asleep) else { return };
        let replaced = rule.check != flight.check || rule.generation != flight.generation;
        if replaced || gate.epoch != flight.epoch || flight.stalled {
            // Replaced code does not decide any more, whether or not the new one has answered yet; nothing does that was
            // asked about former containers, nor what the host's own standstill cut off or made old.
            return self.make_due(key, Duration::ZERO, now);
        }
        if let Some(bytes) = keep.filter(|_| answer.is_ok()) {
            self.keeping.keep(gate, bytes);
        }
        // What it read may have changed since.
        gate.changed |= reads.is_some_and(|reads| self.reading.replace(&key.uid, gate, reads));
        let before = gate.memory.fault.as_ref().map(|fault| fault.reason.clone());
        let steady = matches!(&answer, Ok(verdict) if verdict.recheck_after.is_none()) && !flight.periodic;
        let said = answer.as_ref().ok().map(|verdict| verdict.status);
        let rises = gate.dry_run || gate.sent == Some(Status::True);
        let asked = Asked {
            policy: &rule.policy,
            standing: stands.as_deref(),
            spread: 0.5 + self.rng.f64() / 2.0,
            rises,
            generation: flight.judged,
            now,
        };
        let mut wait = gate.memory.take(answer, &asked);
        if steady {
            // Many gates begin, or change, at the same moment: from here on each has a beat of its own.
            wait = wait.mul_f64(0.5 + self.rng.f64() / 2.0);
        }
        // Neither a fault nor an answer that turns nothing yet bears out on this pod what was decided on another.
        // A fault bears out what faults lead to, that is decided on the pod as it is, and no verdict that is held.
        let opinion = gate.memory.opinion.as_ref().map(|opinion| opinion.status);
        let bears_out = said.map_or(gate.memory.by_fault, |said| Some(said) == opinion);
        if bears_out {
            (gate.judged, gate.judged_true) = (flight.digest, flight.was_true);
        }
        if gate.dry_run {
            gate.memory.wrote();
        } else {
            gate.released &= gate.memory.opinion.as_ref().is_none_or(|opinion| opinion.status != Status::True);
            // What stands may be what was decided, and then nothing is written.
            let standing = gate.standing.as_deref().cloned();
            gate.stand(standing);
        }
        let notes = tell_faults(entry, at, before.as_deref(), now);
        self.actions.extend(notes.into_iter().chain(entry.contested()).map(Action::Note));
        self.compare(&key.uid, &key.gate);
        let Some((_, gate)) = find(&mut self.pods, key) else { return };
        gate.asleep = gate.is_done();
        if !gate.asleep {
            let again = now.mono + wait;
            let again = if gate.changed { again.min(gate.change_allowed()) } else { again };
            self.make_due(key, again, now);
        }
        self.plan_write(&key.uid, now);
    }

    /// Finds out whether a dry-run check decides differently from what counts.
    pub(super) fn compare(&mut self, uid: &Arc<str>, kind: &Arc<str>) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let live = entry.gates.iter().find(|gate| gate.kind == *kind && !gate.dry_run);
        let counts = live.and_then(|gate| gate.memory.opinion.as_ref().or(gate.standing.as_ref())).cloned();
        let Some(at) = entry.gates.iter().position(|gate| gate.kind == *kind && gate.dry_run) else { return };
        let dry = &mut entry.gates[at];
        let Some(opinion) = dry.memory.opinion.clone().filter(|_| dry.memory.answered) else { return };
        let differs = counts.as_ref().map(|counts| counts.status) != Some(opinion.status);
        let before = std::mem::replace(&mut dry.rare().differs, differs);
        if differs && !before {
            let counts = counts.map_or("none", |counts| counts.status.as_str());
            let (status, reason) = (opinion.status.as_str(), &opinion.reason);
            let message = format!("would be {status} ({reason}) instead of {counts}: {}", opinion.message);
            let note = note(entry, Some(&entry.gates[at]), NoteKind::DryRunDiffers, message);
            self.actions.push(Action::Note(note));
        }
    }
}

/// What people should hear of a gate's faults.
fn tell_faults(entry: &mut Entry, at: usize, before: Option<&str>, now: Now) -> Vec<super::Note> {
    let gate = &mut entry.gates[at];
    let stale = gate.memory.is_stale(now);
    let told = gate.rare.as_ref().is_some_and(|rare| rare.told_stale);
    if stale != told {
        gate.rare().told_stale = stale;
    }
    let gate = &entry.gates[at];
    let Some(fault) = &gate.memory.fault else { return vec![] };
    let said = format!("{}: {}", fault.reason, fault.message);
    let mut notes = Vec::new();
    // Of a quarantine people hear once, and not once for each gate.
    let known = |reason: &str| reason == fault.reason || reason == reason::QUARANTINED;
    if fault.kind != FaultKind::Quarantined && !before.is_some_and(known) {
        notes.push(note(entry, Some(gate), NoteKind::Fault, said.clone()));
    }
    if stale && !told {
        notes.push(note(entry, Some(gate), NoteKind::Stale, format!("no verdict for 5 minutes: {said}")));
    }
    notes
}

impl Gate {
    /// From when on it is asked; nothing while `startWhen` does not hold. Until then it says what it waits for.
    pub(super) fn start(&mut self, pod: &Pod, now: Now) -> Option<Duration> {
        let rule = self.rule.clone()?;
        if !self.memory.waits() {
            return Some(Duration::ZERO);
        }
        let policy = &rule.policy;
        let Some(since) = identity::started(pod, policy) else {
            self.memory.wait(pod, policy);
            return None;
        };
        if self.memory.is_void() && !identity::containers_ready(pod) {
            self.memory.wait(pod, policy);
            return None;
        }
        // After a restart that was over before anybody saw it the old True stands: nothing has waited yet.
        let at_once = self.memory.is_void() && self.status() == Some(Status::True);
        if policy.initial_delay.is_zero() || at_once {
            return Some(Duration::ZERO);
        }
        // Read off the pod's own times once: a wall clock that jumps later moves nothing.
        let known = self.rare().start.filter(|(known, _)| *known == since);
        let delay = i64::try_from(policy.initial_delay.as_millis()).unwrap_or(i64::MAX);
        let at = since.saturating_add(delay);
        let (_, start) = known.unwrap_or_else(|| {
            let left = at.saturating_sub(now.wall).clamp(0, delay);
            (since, now.mono.saturating_add(Duration::from_millis(left.unsigned_abs())))
        });
        self.rare().start = Some((since, start));
        if start > now.mono {
            self.memory.delay(pod, at);
        }
        Some(start)
    }
}
