//! Checks whose plugin breaks off on one gate after the other: they are called rarely, until it comes to an end once.
//!
//! A check goes into quarantine, and not its file: the same plugin with another config may work. A gate that comes due
//! meanwhile gets the fault that brought the check in, so that its condition is what `onFault` and `maxStaleSeconds` make
//! of faults, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::Duration,
};

use super::{GateKey, Rule, gate::Gate};
use crate::decide::{Blame, Fault, FaultKind, MAX_QUARANTINE, reason, sanitize};

/// So many faults in a row that are the code's bring a check in. The default period and three gates make it a minute or
/// so, in which a plugin that breaks off now and then comes to its end at least once.
pub(super) const FAULTS: u32 = 10;
/// They are of so many gates, or of all where the check has fewer: one pod that a plugin cannot read is no reason not to
/// ask about the others.
pub(super) const GATES: usize = 3;
/// The first wait for the next call; it doubles with each that is in vain, up to [`MAX_QUARANTINE`].
const FIRST: Duration = Duration::from_secs(1);

/// The checks that have faults now.
#[derive(Debug, Default)]
pub(super) struct Quarantine(BTreeMap<Arc<str>, Row>);

/// The faults in a row of one version of a check.
#[derive(Debug)]
struct Row {
    generation: u64,
    faults: u32,
    /// At most [`FAULTS`].
    gates: BTreeSet<GateKey>,
    held: Option<Held>,
}

/// A check in quarantine.
#[derive(Debug)]
struct Held {
    /// What its gates get instead of an answer.
    fault: Fault,
    /// How many calls were in vain.
    vain: u32,
    /// When the next one may begin, ...
    next: Duration,
    /// ... if none is in flight.
    probe: Option<u64>,
    /// The gates that came due and have not been asked since it began. They go first: what the plugin broke off on before,
    /// it likely does again.
    fresh: BTreeSet<GateKey>,
    /// The others.
    tried: BTreeSet<GateKey>,
    last: Option<GateKey>,
}

/// What a call's end means for its check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing changes.
    None,
    /// There are enough faults, where they are of enough gates: so many of them.
    Enough(usize),
    /// The next call may begin then.
    Wait(Duration),
    /// It is in quarantine no more. The gates that came due meanwhile.
    Released(Vec<GateKey>),
}

impl Quarantine {
    /// Whether call `id` of this gate may be made; where not, the fault that the gate gets.
    pub(super) fn admit(&mut self, rule: &Rule, key: &GateKey, id: u64, now: Duration) -> Result<(), Fault> {
        let row = self.0.get_mut(&rule.check).filter(|row| row.generation == rule.generation);
        let Some(held) = row.and_then(|row| row.held.as_mut()) else { return Ok(()) };
        if held.probe.is_some() || now < held.next {
            if !held.tried.contains(key) {
                held.fresh.insert(key.clone());
            }
            return Err(held.fault.clone());
        }
        held.fresh.remove(key);
        held.tried.insert(key.clone());
        (held.probe, held.last) = (Some(id), Some(key.clone()));
        Ok(())
    }

    /// A call of the version in force ended. `spread` is what share of the next wait is waited.
    pub(super) fn ended(&mut self, call: (u64, &GateKey), rule: &Rule, blame: Blame, at: (Duration, f64)) -> Effect {
        let ((id, key), (now, spread)) = (call, at);
        if blame == Blame::Answer {
            return match self.0.remove(&rule.check).and_then(|row| row.held) {
                Some(held) => Effect::Released(held.turned_away()),
                None => Effect::None,
            };
        }
        if blame == Blame::Code {
            let row = self.0.entry(rule.check.clone()).or_insert_with(|| Row::new(rule.generation));
            if row.generation != rule.generation {
                *row = Row::new(rule.generation);
            }
            row.faults = row.faults.saturating_add(1);
            if row.gates.len() < FAULTS as usize {
                row.gates.insert(key.clone());
            }
        }
        match self.0.get_mut(&rule.check) {
            Some(Row { held: Some(held), .. }) if held.probe == Some(id) => {
                held.probe = None;
                held.vain = held.vain.saturating_add((blame == Blame::Code).into());
                held.next = now + wait(held.vain, spread);
                Effect::Wait(held.next)
            }
            Some(Row { held: None, faults, gates, .. }) if blame == Blame::Code && *faults >= FAULTS => {
                Effect::Enough(gates.len())
            }
            _ => Effect::None,
        }
    }

    /// The check is in quarantine from now on; when it may be called again.
    pub(super) fn begin(&mut self, check: &str, why: &Fault, now: Duration, spread: f64) -> Duration {
        let next = now + wait(0, spread);
        if let Some(row) = self.0.get_mut(check) {
            let (fresh, tried) = (BTreeSet::new(), row.gates.clone());
            row.held = Some(Held { fault: instead(why), vain: 0, next, probe: None, fresh, tried, last: None });
        }
        next
    }

    /// The gate that should be asked now; nothing where none came due or it is not the time.
    pub(super) fn candidate(&self, check: &str, now: Duration) -> Option<GateKey> {
        let held = self.0.get(check)?.held.as_ref()?;
        if held.probe.is_some() || now < held.next {
            return None;
        }
        let after = held.last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let in_turn = held.tried.range((after, Bound::Unbounded)).chain(held.tried.iter());
        held.fresh.iter().chain(in_turn).next().cloned()
    }

    /// The gate is not asked by this check any more, or cannot be now.
    pub(super) fn pass_over(&mut self, check: &str, key: &GateKey) {
        if let Some(held) = self.0.get_mut(check).and_then(|row| row.held.as_mut()) {
            held.fresh.remove(key);
            held.tried.remove(key);
        }
    }

    /// The same, before the gate is gone or another check answers it.
    pub(super) fn forget(&mut self, uid: &Arc<str>, gate: &Gate) {
        if let Some(rule) = gate.rule.as_ref().filter(|_| !self.0.is_empty()) {
            self.pass_over(&rule.check, &gate.key(uid));
        }
    }

    /// Lets go of versions that are not in force any more. Those checks that were in quarantine, with gates of theirs.
    pub(super) fn keep(&mut self, in_force: impl Fn(&str, u64) -> bool) -> Vec<(Arc<str>, Vec<GateKey>)> {
        let gone = |(check, row): &(&Arc<str>, &Row)| !in_force(check, row.generation);
        let gone: Vec<_> = self.0.iter().filter(gone).map(|(check, _)| check.clone()).collect();
        let let_go = gone.into_iter().filter_map(|check| Some((check.clone(), self.0.remove(&check)?.held?)));
        let_go.map(|(check, held)| (check, held.turned_away())).collect()
    }

    /// The fault of a check that is in quarantine.
    pub(super) fn fault(&self, check: &str) -> Option<&Fault> {
        self.0.get(check)?.held.as_ref().map(|held| &held.fault)
    }
}

impl Row {
    fn new(generation: u64) -> Self {
        Self { generation, faults: 0, gates: BTreeSet::new(), held: None }
    }
}

impl Held {
    fn turned_away(self) -> Vec<GateKey> {
        self.fresh.into_iter().chain(self.tried).collect()
    }
}

fn wait(vain: u32, spread: f64) -> Duration {
    FIRST.saturating_mul(1 << vain.min(16)).min(MAX_QUARANTINE).mul_f64(spread.clamp(0.5, 1.0))
}

/// What the gates of a check get that is in quarantine, for as long as it is. It tells nothing of what the plugin said
/// of another pod.
fn instead(why: &Fault) -> Fault {
    Fault {
        kind: FaultKind::Quarantined,
        blame: Blame::Nothing,
        reason: reason::QUARANTINED.to_owned(),
        message: format!("the plugin broke off on one gate after the other ({})", why.reason),
        retry_after: None,
    }
}

/// The same for one gate, with what the plugin last broke off with there, so that its text does not change with each call.
pub(super) fn here(held: Fault, own: Option<&Fault>) -> Fault {
    match own {
        Some(own) if own.kind == FaultKind::Quarantined => own.clone(),
        Some(own) if own.blame == Blame::Code => {
            let message = format!("{}; here: {}: {}", held.message, own.reason, own.message);
            Fault { message: sanitize::message(&message), ..held }
        }
        _ => held,
    }
}

#[cfg(test)]
mod tests;
