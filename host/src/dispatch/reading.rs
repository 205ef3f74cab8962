//! Which gates read which objects, so that a change of one makes those that read it due, and no others.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Core, Now, gate::Gate};
use crate::sandbox::Read;

/// What one call read, sorted by view. Gates that read the same in the same versions share it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Reads(Box<[Read]>);

/// Nothing is swept before there are so many.
const FEW: usize = 1024;

/// Who reads what.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// By view, the pods whose gates read it, and how many of their gates do.
    readers: HashMap<u64, HashMap<Arc<str>, u32>>,
    /// Views that changed while calls were in flight, which may have read what was before: the version, and the number of
    /// the first call that cannot have.
    lately: HashMap<u64, (u64, u64)>,
    /// By hash. It holds no view.
    shared: HashMap<u64, Weak<Reads>>,
    /// How many may be shared before those that nobody holds any more are swept out.
    sweep_at: usize,
}

impl Reads {
    fn has(&self, view: u64) -> Option<u64> {
        self.0.binary_search_by_key(&view, |read| read.view.id()).ok().map(|at| self.0[at].version)
    }
}

impl Reading {
    /// Takes over what the gate's last call read, instead of what the one before did; whether any of it has changed since.
    pub(super) fn replace(&mut self, uid: &Arc<str>, gate: &mut Gate, mut reads: Vec<Read>) -> bool {
        if reads.is_empty() {
            self.forget(uid, gate);
            return false;
        }
        reads.sort_by_key(|read| (read.view.id(), read.version));
        reads.dedup_by(|later, kept| later.view == kept.view);
        let since = |read: &Read| self.lately.get(&read.view.id()).is_some_and(|(version, _)| *version > read.version);
        let stale = reads.iter().any(since);
        let same = gate.reads.as_ref().is_some_and(|old| {
            old.0.len() == reads.len() && old.0.iter().zip(&reads).all(|(old, new)| old.view == new.view)
        });
        if !same {
            self.forget(uid, gate);
            for read in &reads {
                *self.readers.entry(read.view.id()).or_default().entry(uid.clone()).or_default() += 1;
            }
        }
        gate.reads = Some(self.share(reads.into()));
        stale
    }

    /// The gate reads nothing any more.
    pub(super) fn forget(&mut self, uid: &str, gate: &mut Gate) {
        let Some(reads) = gate.reads.take() else { return };
        for read in &reads.0 {
            let view = read.view.id();
            let Some(readers) = self.readers.get_mut(&view) else { continue };
            if let Some(count) = readers.get_mut(uid) {
                *count -= 1;
                if *count == 0 {
                    readers.remove(uid);
                }
            }
            if readers.is_empty() {
                self.readers.remove(&view);
            }
        }
    }

    fn share(&mut self, reads: Box<[Read]>) -> Arc<Reads> {
        let mut hasher = DefaultHasher::new();
        reads.hash(&mut hasher);
        let hash = hasher.finish();
        if let Some(known) = self.shared.get(&hash).and_then(Weak::upgrade).filter(|known| known.0 == reads) {
            return known;
        }
        if self.shared.len() >= self.sweep_at.max(FEW) {
            self.sweep();
        }
        let new = Arc::new(Reads(reads));
        self.shared.insert(hash, Arc::downgrade(&new));
        new
    }

    /// Lets go of what no gate holds.
    fn sweep(&mut self) {
        self.shared.retain(|_, reads| reads.strong_count() > 0);
        self.sweep_at = 2 * self.shared.len();
    }

    /// Takes note of changes; the pods with gates that read any of it. `next` is the number of the next call, `oldest` of
    /// the oldest one in flight.
    fn changed(&mut self, changes: &[(u64, u64)], next: u64, oldest: Option<u64>) -> HashSet<Arc<str>> {
        match oldest {
            None => self.lately.clear(),
            Some(oldest) if self.lately.len() >= FEW => self.lately.retain(|_, (_, since)| *since > oldest),
            Some(_) => {}
        }
        let mut pods = HashSet::new();
        for (view, version) in changes {
            if oldest.is_some() {
                self.lately.insert(*view, (*version, next));
            }
            pods.extend(self.readers.get(view).into_iter().flat_map(HashMap::keys).cloned());
        }
        pods
    }
}

impl Core {
    /// Makes due what read an older version, as a change of the pod would.
    pub(super) fn objects_changed(&mut self, changes: &[(u64, u64)], now: Now) {
        let pods = self.reading.changed(changes, self.next_id, self.calls.keys().min().copied());
        let mut due: Vec<(_, Duration)> = Vec::new();
        for uid in pods {
            let Some(entry) = self.pods.get_mut(&uid) else { continue };
            let waits = |gate: &Gate| gate.reads.is_some() && gate.memory.waits();
            let pod = entry.gates.iter().any(waits).then(|| entry.packed.open());
            for gate in entry.gates.iter_mut().filter(|gate| gate.rule.is_some()) {
                let Some(reads) = &gate.reads else { continue };
                if !changes.iter().any(|(view, version)| reads.has(*view).is_some_and(|read| read < *version)) {
                    continue;
                }
                gate.changed = true;
                // One that is not to be asked yet, or not any more, reads what there is when it is.
                let start = match &pod {
                    _ if gate.asleep => None,
                    Some(pod) if gate.memory.waits() => gate.start(pod, now),
                    _ => Some(Duration::ZERO),
                };
                if let Some(start) = start {
                    due.push((gate.key(&uid), start.max(gate.change_allowed())));
                }
            }
        }
        for (key, at) in due {
            self.make_due(&key, at, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pod::Pod, sandbox::View};

    fn gate() -> Gate {
        Gate::new("example.com/a".into(), false, &Pod::default())
    }

    fn read(view: &View, version: u64) -> Read {
        Read { view: view.clone(), version }
    }

    #[test]
    fn gates_that_read_the_same_share_what_is_kept_of_it_and_let_go_of_it() {
        let (mut reading, view) = (Reading::default(), View::new(7));
        let uids: Vec<Arc<str>> = (0..3).map(|n| n.to_string().into()).collect();
        let mut gates: Vec<_> = uids.iter().map(|_| gate()).collect();
        for (uid, gate) in uids.iter().zip(&mut gates) {
            assert!(!reading.replace(uid, gate, vec![read(&view, 1), read(&view, 1)]));
        }
        assert!(
            gates[1..].iter().all(|gate| Arc::ptr_eq(gate.reads.as_ref().unwrap(), gates[0].reads.as_ref().unwrap()))
        );
        assert_eq!(reading.changed(&[(7, 2), (8, 1)], 0, None).len(), 3);
        reading.forget(&uids[0], &mut gates[0]);
        reading.replace(&uids[1], &mut gates[1], vec![]);
        assert_eq!(reading.changed(&[(7, 3)], 0, None), HashSet::from([uids[2].clone()]));
        reading.forget(&uids[2], &mut gates[2]);
        assert!(reading.readers.is_empty());
    }

    #[test]
    fn two_gates_of_a_pod_are_told_apart() {
        let (mut reading, view, uid) = (Reading::default(), View::new(7), Arc::<str>::from("u"));
        let (mut a, mut b) = (gate(), gate());
        reading.replace(&uid, &mut a, vec![read(&view, 1)]);
        reading.replace(&uid, &mut b, vec![read(&view, 1)]);
        reading.forget(&uid, &mut a);
        assert_eq!(reading.changed(&[(7, 2)], 0, None).len(), 1);
    }

    #[test]
    fn a_change_between_the_read_and_its_end_is_not_lost_and_not_kept_for_ever() {
        let (mut reading, view, uid) = (Reading::default(), View::new(7), Arc::<str>::from("u"));
        let mut gate = gate();
        assert!(reading.changed(&[(7, 2)], 5, Some(4)).is_empty());
        assert!(reading.replace(&uid, &mut gate, vec![read(&view, 1)]), "call 4 read the version before");
        assert!(!reading.replace(&uid, &mut gate, vec![read(&view, 2)]));
        reading.changed(&[(8, 1)], 6, None);
        assert!(reading.lately.is_empty(), "no call in flight can have read what was before");
    }

    #[test]
    fn a_view_that_no_gate_reads_is_let_go() {
        let (mut reading, view, uid) = (Reading::default(), View::new(7), Arc::<str>::from("u"));
        let mut gate = gate();
        reading.replace(&uid, &mut gate, vec![read(&view, 1)]);
        assert!(view.is_held());
        reading.forget(&uid, &mut gate);
        assert!(!view.is_held());
    }
}
