//! What a quarantine means for the gates of its check: who is tried, who is spared, who is told.

use std::{sync::Arc, time::Duration};

use super::{
    Action, Core, GateKey, NoteKind, Now,
    core::{Wake, find},
    entry::note,
    flight::Flight,
    gate::State,
    quarantine::{Effect, GATES},
};
use crate::decide::{Blame, Fault, FaultKind, Verdict, sanitize};

impl Core {
    /// Takes note of how a call's code ended, whatever becomes of the answer.
    pub(super) fn judge_code(&mut self, id: u64, flight: &Flight, answer: &Result<Verdict, Fault>, now: Now) {
        let Flight { key, check, generation, .. } = flight;
        let rules = if key.dry_run { &self.rules.dry_run } else { &self.rules.live };
        let in_force = rules.get(&key.gate).filter(|rule| rule.check == *check && rule.generation == *generation);
        let Some(rule) = in_force.filter(|_| self.options.quarantine) else { return };
        let blame = match answer {
            Ok(_) => Blame::Answer,
            // What the host's own standstill cut off, it made late itself.
            Err(_) if flight.stalled => Blame::Nothing,
            Err(fault) => fault.blame,
        };
        let spread = 0.5 + self.rng.f64() / 2.0;
        match (self.quarantine.ended((id, key), rule, blame, (now.mono, spread)), answer) {
            (Effect::Enough(gates), Err(why)) if gates >= self.gates_of(check) => {
                let next = self.quarantine.begin(check, why, now.mono, spread);
                self.timers.insert((next, Wake::Probe(check.clone())));
                let message = format!(
                    "the check is called rarely until its plugin comes to an end once, or a new version is there: it \
                     broke off on one gate after the other, last with {}: {}",
                    why.reason, why.message
                );
                self.tell_quarantine(check, std::slice::from_ref(key), NoteKind::Quarantined, message);
            }
            (Effect::Wait(next), _) => drop(self.timers.insert((next, Wake::Probe(check.clone())))),
            (Effect::Released(gates), _) => {
                let message = "the plugin came to an end again: the check is asked as ever".to_owned();
                self.tell_quarantine(check, std::slice::from_ref(key), NoteKind::QuarantineEnded, message);
                self.ask_spared(&gates, check, now);
            }
            (Effect::None | Effect::Enough(_), _) => {}
        }
    }

    /// How many gates have to have faulted: few, or all that the check answers.
    fn gates_of(&self, check: &str) -> usize {
        let gates = self.pods.values().flat_map(|entry| &entry.gates);
        let its = gates.filter(|gate| gate.rule.as_ref().is_some_and(|rule| *rule.check == *check));
        its.take(GATES).count().max(1)
    }

    /// A check in quarantine may be called once: one of the gates that came due meanwhile is asked. Where there is none,
    /// the next one that comes due is.
    pub(super) fn probe(&mut self, check: &Arc<str>, now: Now) {
        while let Some(key) = self.quarantine.candidate(check, now.mono) {
            if self.is_askable(&key, check, now) {
                return self.make_due(&key, Duration::ZERO, now);
            }
            self.quarantine.pass_over(check, &key);
        }
    }

    /// Asks the gates that were spared and have had no other answer since.
    fn ask_spared(&mut self, gates: &[GateKey], check: &str, now: Now) {
        for key in gates {
            let spared = |fault: &Fault| fault.kind == FaultKind::Quarantined;
            let is_spared =
                find(&mut self.pods, key).is_some_and(|(_, g)| g.memory.fault.as_deref().is_some_and(spared));
            if is_spared && self.is_askable(key, check, now) {
                self.make_due(key, Duration::ZERO, now);
            }
        }
    }

    /// Whether the check may ask about a gate now, as far as the pod goes.
    fn is_askable(&mut self, key: &GateKey, check: &str, now: Now) -> bool {
        let Some((pod, gate)) = find(&mut self.pods, key) else { return false };
        let runs = matches!(gate.state, State::Running(_));
        if gate.asleep || runs || gate.rule.as_ref().is_none_or(|rule| *rule.check != *check) {
            return false;
        }
        !gate.memory.waits() || gate.start(&pod.open(), now).is_some_and(|start| start <= now.mono)
    }

    /// Other versions are in force: they are asked as if nothing had been.
    pub(super) fn end_quarantines(&mut self) {
        let rules = &self.rules;
        let versions = |check: &str| {
            let all = rules.live.values().chain(rules.dry_run.values());
            all.filter(|rule| *rule.check == *check).map(|rule| rule.generation).next()
        };
        let gone = self.quarantine.keep(|check, generation| versions(check) == Some(generation));
        let told: Vec<_> = gone.into_iter().map(|(check, gates)| (versions(&check).is_some(), check, gates)).collect();
        for (replaced, check, gates) in told {
            let what = if replaced { "a new version of the check is in force" } else { "the check is gone" };
            self.tell_quarantine(&check, &gates, NoteKind::QuarantineEnded, what.to_owned());
        }
    }

    /// Says it once, of the first of these gates that is still there.
    fn tell_quarantine(&mut self, check: &Arc<str>, gates: &[GateKey], kind: NoteKind, message: String) {
        let there = |key: &GateKey| {
            let entry = self.pods.get(&key.uid)?;
            let gate = entry.gates.iter().find(|gate| gate.dry_run == key.dry_run && gate.kind == key.gate)?;
            Some((entry, gate))
        };
        if let Some((entry, gate)) = gates.iter().find_map(there) {
            let said = note(entry, Some(gate), kind, sanitize::message(&message));
            self.actions.push(Action::Note(super::Note { check: Some(check.clone()), ..said }));
        }
    }
}
