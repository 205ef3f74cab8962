//! What the host remembers of a gated pod.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use super::{
    Note, NoteKind,
    gate::{Gate, State, Urgency},
};
use crate::{
    check::{MaxUnready, is_reserved},
    decide::{Condition, Status, identity},
    pod::{Packed, Pod},
};

/// A gated pod.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) uid: Arc<str>,
    pub(super) namespace: Arc<str>,
    pub(super) packed: Packed,
    /// A digest of the last IP; 0 where it never had one.
    pub(super) ip: u64,
    /// Which watch it came from, and in which of that watch's lists it was last seen.
    pub(super) scope: u32,
    pub(super) list: u32,
    /// The resource versions of what is held and of our last write; 0 where unknown.
    pub(super) version: u64,
    pub(super) written: u64,
    pub(super) generation: u64,
    /// A digest of what makes gates due.
    pub(super) digest: u64,
    /// The gates that the pod lists, and after them those that dry-run checks answer once more.
    pub(super) gates: Vec<Gate>,
    pub(super) write: Write,
    /// Whose disruption budget it counts for: its owner's, or its own where it has none.
    pub(super) owner: Arc<str>,
    /// It had been ready or had a gate that was True, and is or has not now: it uses up a part of that budget.
    pub(super) spent: bool,
    /// The budgets of the checks that answer its gates, as they were counted last.
    pub(super) budgets: Vec<MaxUnready>,
    pub(super) ready: bool,
    pub(super) was_ready: bool,
    /// When people are told that kubelet's Ready disagrees, while it does.
    pub(super) disagrees: Option<Duration>,
    /// A digest of the override annotation; 0 where there is none.
    pub(super) overrides: u64,
}

/// The state of a pod's writes: one in flight at a time, which carries all that its gates need.
#[derive(Debug, Default)]
pub(super) struct Write {
    pub(super) in_flight: bool,
    pub(super) queued: Option<Urgency>,
    pub(super) failures: u32,
    pub(super) not_before: Duration,
    pub(super) timer: Option<Duration>,
    /// The version that a write was bound to in vain: what is bound waits for a later one.
    pub(super) conflict: Option<u64>,
    /// Until when a write whose end nobody knows counts as done.
    pub(super) doubt: Option<Duration>,
}

impl Entry {
    /// Whether these are the gates that the pod lists.
    pub(super) fn lists(&self, pod: &Pod) -> bool {
        let ours = self.gates.iter().filter(|gate| !gate.dry_run).map(|gate| &*gate.kind);
        ours.eq(pod.gates.iter().map(String::as_str))
    }

    /// Takes note of what kubelet says.
    pub(super) fn look(&mut self, pod: &Pod) {
        self.ready = identity::ready(pod);
        self.was_ready |= self.ready;
    }

    /// Somebody else writes a condition that we have written: told once for each gate. While a gate is being asked it is
    /// not known: the answer may be theirs.
    pub(super) fn contested(&mut self) -> Option<Note> {
        if self.write.in_flight || self.version < self.written {
            return None;
        }
        let is_new = |gate: &Gate| {
            if gate.state != State::Idle {
                return false;
            }
            let ours = gate.wanted().map(|wanted| wanted.status).filter(|status| gate.wrote == Some(*status));
            let told = gate.rare.as_ref().is_some_and(|rare| rare.told_contest);
            ours.is_some() && gate.status() != ours && !told
        };
        let at = self.gates.iter().position(is_new)?;
        self.gates[at].rare().told_contest = true;
        let theirs = self.gates[at].status().map_or("taken away", Status::as_str);
        let message = format!("somebody else made it {theirs}; it is set right, at most every 10 s");
        Some(note(self, Some(&self.gates[at]), NoteKind::Contested, message))
    }

    /// Takes note of the IP; whether it is another one than the last that the pod had.
    pub(super) fn moved(&mut self, pod: &Pod) -> bool {
        let Some(ip) = &pod.ip else { return false };
        let mut hasher = DefaultHasher::new();
        ip.hash(&mut hasher);
        let before = std::mem::replace(&mut self.ip, hasher.finish().max(1));
        before != 0 && before != self.ip
    }

    /// Whether what was held is newer than `version`; where either is unknown it is not.
    pub(super) fn outdates(&self, version: u64) -> bool {
        version != 0 && version < self.version
    }

    /// Takes over what stands according to the watch, unless our own last write is newer.
    pub(super) fn read_standing(&mut self, pod: &Pod) {
        if self.version != 0 && self.version < self.written {
            return;
        }
        for gate in self.gates.iter_mut().filter(|gate| !gate.dry_run) {
            gate.stand(pod.condition(&gate.kind).and_then(Condition::read));
            if !self.write.in_flight && (self.write.doubt.is_none() || gate.status() == gate.sent) {
                gate.sent = None;
            }
        }
    }

    /// The budgets of the checks that answer its gates.
    pub(super) fn budgets(&self) -> Vec<MaxUnready> {
        let rules = self.gates.iter().filter(|gate| !gate.dry_run).filter_map(|gate| gate.rule.as_ref());
        rules.map(|rule| rule.policy.max_unready).collect()
    }

    /// Whether it uses up a part of its owner's disruption budget. A pod that had been ready does so as soon as a gate is
    /// not True: kubelet's word comes later, and a host that begins in between has nobody else's.
    pub(super) fn is_lost(&self) -> bool {
        let lost = |gate: &Gate| gate.is_lost() && !is_reserved(&gate.kind);
        let shut = |gate: &Gate| !gate.dry_run && gate.status() != Some(Status::True);
        self.was_ready && (!self.ready || self.gates.iter().any(shut)) || self.gates.iter().any(lost)
    }
}

/// Says something of a pod, or of one of its gates.
pub(super) fn note(entry: &Entry, gate: Option<&Gate>, kind: NoteKind, message: String) -> Note {
    Note {
        namespace: entry.namespace.clone(),
        name: entry.packed.open().name.into(),
        uid: entry.uid.clone(),
        gate: gate.map(|gate| gate.kind.clone()),
        check: gate.and_then(|gate| gate.rule.as_ref()).map(|rule| rule.check.clone()),
        kind,
        message,
    }
}
