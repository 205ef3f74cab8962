//! The promises: what the host wants done is held against them at each action.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gatehost::{
    check::is_reserved,
    decide::{Condition, Fault, Status, Verdict},
    dispatch::{Call, GateKey, Patch},
    pod::Pod,
};

use super::{
    cluster::{CLAIMED, Stored, TYPES, visible},
    known::OVERRIDE,
    reference::{Phase, Reference, is_before},
    world::World,
};

const MINUTE: Duration = Duration::from_mins(1);

fn key(uid: &Arc<str>, kind: &Arc<str>) -> GateKey {
    GateKey { uid: uid.clone(), gate: kind.clone(), dry_run: false }
}

impl World {
    pub(super) fn judge_call(&mut self, call: &Call) {
        assert!(!self.calls.iter().any(|other| other.key == call.key), "two calls for one gate");
        let pod = call.pod.open();
        assert_eq!(pod.uid, *call.key.uid);
        let Some(known) = self.view.get(&*call.key.uid) else { return };
        let reference = &self.references[&call.key];
        let rule = reference.rule.as_ref().unwrap_or_else(|| panic!("a call for a gate without a check: {call:?}"));
        assert_eq!((rule.generation, &rule.check), (call.generation, &call.check));
        assert!(!reference.waits(&known.pod), "asked before startWhen holds: {call:?} {pod:?}");
        assert_eq!(visible(&pod), visible(&known.pod), "not asked about the pod as it is");
        self.asked.insert(call.id, known.epoch);
        self.judge_quarantine(call);
    }

    /// An answer counts unless the check, the containers or the IP are others by now.
    pub(super) fn judge_answer(&mut self, call: &Call, answer: &Result<Verdict, Fault>) {
        let epoch = self.asked.remove(&call.id);
        if self.view.get(&*call.key.uid).is_some_and(|known| epoch == Some(known.epoch)) {
            let status = answer.as_ref().map(|verdict| verdict.status).map_err(|_| ());
            self.judge_outcome(&call.key, (&call.check, call.generation), status, &call.pod.open());
        }
    }

    /// A verdict, or nothing, of a version of a check.
    pub(super) fn judge_outcome(
        &mut self,
        key: &GateKey,
        by: (&Arc<str>, u64),
        outcome: Result<Status, ()>,
        pod: &Pod,
    ) {
        let Some(known) = self.view.get(&*key.uid) else { return };
        let live = GateKey { dry_run: false, ..key.clone() };
        let stands = self.references.get(&live).and_then(|live| live.standing);
        let Some(reference) = self.references.get_mut(key) else { return };
        let same = reference.rule.as_ref().is_some_and(|r| (&r.check, r.generation) == by);
        if !same || reference.waits(&known.pod) || reference.is_done() {
            return;
        }
        if key.dry_run {
            (reference.standing, reference.sent) = (stands, Some(Status::True));
        }
        reference.answer(outcome, pod, self.now);
        if key.dry_run && reference.phase == Phase::Decided {
            reference.phase = Phase::Written;
        }
    }

    pub(super) fn judge_patch(&mut self, patch: &Patch) {
        assert!(!self.patches.iter().any(|other| other.uid == patch.uid), "two writes for one pod");
        self.judge_rate();
        let to_true = |c: &Condition| c.status == Status::True;
        let bound = patch.conditions.iter().any(|(_, c)| to_true(c));
        assert_eq!(patch.version.is_some(), bound, "bound if and only if it makes a gate True: {patch:?}");
        let mut turns = BTreeSet::new();
        for (kind, condition) in &patch.conditions {
            self.judge_condition(patch, kind, condition);
            let Some(reference) = self.references.get(&key(&patch.uid, kind)) else { continue };
            if reference.standing == Some(Status::True) && condition.status != Status::True && !reference.void {
                self.judge_turn(&patch.uid, kind);
                turns.insert(kind.clone());
            }
            if condition.last_transition.is_some() {
                self.references.get_mut(&key(&patch.uid, kind)).unwrap().sent = Some(condition.status);
            }
        }
        self.turns.insert(patch.id, turns);
    }

    /// Never more writes than the token bucket allows, in any window.
    fn judge_rate(&mut self) {
        let now = self.now.mono;
        self.writes.push_back(now);
        if self.writes.len() > 200 {
            self.writes.pop_front();
        }
        let (rate, burst) = (f64::from(self.options.writes_per_second), f64::from(self.options.write_burst));
        for (n, from) in self.writes.iter().rev().enumerate() {
            let most = burst + rate * now.saturating_sub(*from).as_secs_f64() + 1e-6;
            let count = f64::from(u32::try_from(n).unwrap() + 1);
            assert!(count <= most, "{count} writes in {:?}", now.saturating_sub(*from));
        }
    }

    fn judge_condition(&mut self, patch: &Patch, kind: &Arc<str>, condition: &Condition) {
        let (uid, status, reason) = (&patch.uid, condition.status, condition.reason.as_str());
        assert!(!is_reserved(kind), "promise 1: {kind}");
        // A pod that is gone may be forgotten and seen once more in an old event; nothing reaches it any more.
        let Some((_, stored)) = self.cluster.find(uid).filter(|(_, stored)| !stored.over) else { return };
        let (key, known) = (key(uid, kind), &self.view[&**uid]);
        if **kind == *CLAIMED {
            let alone = known.pod.condition(CLAIMED).is_none() || reason == "NoCheck";
            assert!(!self.options.claims.is_empty() && self.rules.scanned && reason == "NoCheck" && alone, "{patch:?}");
            return assert_eq!(status, Status::Unknown);
        }
        assert!(TYPES.contains(&&**kind), "promise 1: {kind}");
        let reference = &self.references[&key];
        let rule = reference.rule.as_ref().unwrap_or_else(|| panic!("promise 1: no check answers it: {patch:?}"));
        for word in condition.message.split([' ', ';']).filter(|word| word.contains("/uid-")) {
            let said = format!("{}/{uid}/live", rule.generation);
            assert_eq!(word, said, "promises 2 and 6: another pod, generation or check: {patch:?}");
        }
        if condition.last_transition.is_none()
            && let Some(before) = self.texts.insert(key.clone(), self.now.mono)
        {
            assert!(self.now.mono >= before + 5 * MINUTE, "promise 8: a text is written too soon");
        }
        match reason {
            "Overridden" => judge_override(&known.pod, uid, kind, status),
            "HeldByBudget" | "HeldByDamper" => {
                assert!(status == Status::True && condition.last_transition.is_none(), "{patch:?}");
                let overridden = condition.message.contains("(Overridden)");
                assert!(overridden || reference.decided != Some(Status::True), "{patch:?} {reference:?}");
            }
            "Restarted" => {
                assert!(status == Status::Unknown && reference.phase == Phase::Void, "{patch:?} {reference:?}");
            }
            _ if is_before(reason) => {
                assert_eq!(status, Status::Unknown);
                let by_hand = stored.overridden.contains(&**kind);
                let judged = stored.judged.contains_key(&**kind) || stored.ever_true.contains(&**kind) && !by_hand;
                assert!(!judged || self.blurred.contains(&key), "only before a first verdict: {patch:?} {reference:?}");
            }
            _ => {
                assert_eq!(reference.decided, Some(status), "not what was decided: {patch:?} {reference:?}");
                self.judge_true(patch, condition, reference);
            }
        }
    }

    /// No True is written but by a met verdict on that very version of the pod, as far as plugins can see.
    fn judge_true(&self, patch: &Patch, condition: &Condition, reference: &Reference) {
        if condition.status != Status::True || condition.last_transition.is_none() {
            return;
        }
        let version = patch.version.unwrap();
        let written_on = &self.cluster.history[&(patch.uid.to_string(), version)];
        if reference.is_done() {
            return;
        }
        let met = reference.met_on.as_ref().unwrap_or_else(|| panic!("never met: {patch:?} {reference:?}"));
        assert_eq!(
            visible(met),
            visible(&written_on.pod),
            "True on a pod that was not judged: {patch:?} {reference:?}"
        );
    }

    /// A gate turns from True although its verdict is not void.
    fn judge_turn(&mut self, uid: &Arc<str>, kind: &Arc<str>) {
        assert!(self.listed, "before the owner's pods are known");
        let (now, key) = (self.now.mono, key(uid, kind));
        let most = self.references[&key].rule.as_ref().unwrap().policy.max_flaps as usize;
        let flaps = self.flaps.entry(key).or_default();
        flaps.push(now);
        flaps.retain(|at| now < *at + MINUTE);
        assert!(flaps.len() <= most, "{uid} {kind} turns {} times in a minute", flaps.len());
        let (lost, allowed, itself) = self.budget(uid);
        assert!(itself || lost < allowed, "{lost} pods are lost, {allowed} may be, and {uid} {kind} turns");
    }

    /// How many pods of this one's owner are lost, how many may be, and whether this one is among them.
    pub(super) fn budget(&self, uid: &str) -> (usize, usize, bool) {
        let owner = &self.view[uid].pod.owner;
        let siblings = || {
            let same =
                move |other: &str| if owner.is_some() { self.view[other].pod.owner == *owner } else { other == uid };
            self.view.keys().filter(move |other| same(other))
        };
        let pods = siblings().count();
        let rules = self.references.iter().filter(|(key, _)| !key.dry_run && siblings().any(|uid| **uid == *key.uid));
        let budgets = rules.filter_map(|(_, r)| r.rule.as_ref()).map(|rule| rule.policy.max_unready.of(pods));
        let lost: Vec<_> = siblings().filter(|uid| self.is_lost(uid)).collect();
        (lost.len(), budgets.min().unwrap_or(pods), lost.iter().any(|lost| **lost == *uid))
    }

    /// Whether the host knows, or has to assume, that a pod had been in service and is not.
    fn is_lost(&self, uid: &str) -> bool {
        let known = &self.view[uid];
        let stored = self.cluster.find(uid).map(|(_, stored)| stored).filter(|stored| !stored.over);
        // A condition that says that there was no verdict yet is all that a host that begins later has. It stands where
        // an override ended or somebody else's True was put right, and takes no pod out of service but one that kubelet
        // had called Ready: that is known by the time at which Ready changed, if no clock ran back.
        let tells = |stored: &Stored, kind: &str| {
            let before = stored.pod.condition(kind).is_some_and(|condition| is_before(&condition.reason));
            !before || stored.ever_true.contains("Ready") && !self.jumped
        };
        let taken = |stored: &Stored| stored.taken.iter().any(|kind| tells(stored, kind));
        let lost = |(key, reference): (&GateKey, &Reference)| {
            let ever = stored.is_some_and(|s| s.ever_true.contains(&*key.gate) && tells(s, &key.gate));
            let ever = ever && !self.blurred.contains(key);
            let away = reference.standing != Some(Status::True);
            // A write that was lost counts until the watch must have told of it.
            let in_doubt = reference.doubt.is_none_or(|until| self.now.mono < until);
            let leaving = reference.sent.is_some_and(|sent| sent != Status::True) && in_doubt;
            !key.dry_run && (ever || reference.was_true) && (away || leaving)
        };
        let all = || self.references.iter().filter(|(key, _)| *key.uid == *uid);
        let mut of_pod = all().filter(|(key, _)| TYPES.contains(&&*key.gate));
        // Kubelet's word comes after the gate's.
        let shut = all().any(|(key, reference)| !key.dry_run && reference.standing != Some(Status::True));
        known.was_ready && (shut || !known.is_ready()) || stored.is_some_and(taken) || of_pod.any(lost)
    }

    /// A patch arrives at the server. `lost` where the host does not hear of it.
    pub(super) fn apply(&mut self, patch: &Patch, lost: bool) {
        let (_, stored) = self.cluster.find(&patch.uid).unwrap();
        for (kind, condition) in &patch.conditions {
            let key = key(&patch.uid, kind);
            let old = stored.pod.condition(kind);
            if lost {
                self.blurred.insert(key.clone());
            }
            if !self.blurred.contains(&key) && !stored.over {
                let same = old.is_some_and(|old| old.status == condition.status.as_str());
                let moved = condition.last_transition;
                assert_eq!(
                    moved.is_none(),
                    same,
                    "promise 3: the transition time moves iff the status does: {patch:?}"
                );
                if let Some((before, after)) = old.and_then(|old| old.last_transition).zip(moved) {
                    assert!(after >= before, "the transition time runs backwards");
                }
                let again = self.written.get(&key).is_some_and(|before| before.says_the_same(condition));
                assert!(!again, "promise 3: the same condition is written twice: {condition:?}");
            }
            self.written.insert(key, condition.clone());
        }
        self.cluster.apply(patch, self.turns.get(&patch.id).unwrap_or(&BTreeSet::new()));
    }
}

fn judge_override(pod: &Pod, uid: &str, kind: &str, status: Status) {
    let text = pod.annotations.iter().find(|(key, _)| key == OVERRIDE).map_or("{}", |(_, text)| text);
    let said: serde_json::Value = serde_json::from_str(text).unwrap();
    let one = &said["overrides"][0];
    assert_eq!((&said["uid"], &one["gate"], &one["status"]), (&uid.into(), &kind.into(), &status.as_str().into()));
}
