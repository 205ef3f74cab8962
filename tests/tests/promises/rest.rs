//! What is true once everything has come to rest.

use std::{sync::Arc, time::Duration};

use gatehost::{
    check::is_reserved,
    decide::{MAX_QUARANTINE, Status},
    dispatch::{GateKey, Rule},
};

use super::{
    cluster::{CLAIMED, Stored, TYPES, UNANSWERED},
    known::OVERRIDE,
    reference::{Phase, is_before},
    step::{Ending, Step},
    world::World,
};

/// Longer than each backoff, the damper and the last of three failures; and no override, which lasts whole seconds, ends
/// with it.
const LONG: Duration = Duration::from_millis(240_500);
/// A text alone is written at most once in this time.
const TEXT_EVERY: Duration = Duration::from_mins(5);

impl World {
    /// Lets everything come to rest, and checks that each condition says what its check decides.
    pub(crate) fn rest(&mut self) {
        // Whatever was broken works again, and is noticed after the longest wait of a quarantine.
        self.broken = [false; 3];
        let quarantined = self.core.tally().quarantined.values().any(|held| *held > 0);
        self.settle(if quarantined { LONG + MAX_QUARANTINE } else { LONG });
        for stored in self.cluster.pods.values().filter(|stored| !stored.over) {
            for kind in stored.pod.gates.iter().filter(|kind| !is_reserved(kind) && TYPES.contains(&kind.as_str())) {
                self.judge_rest(stored, kind);
            }
            assert!(stored.pod.condition(UNANSWERED).is_none());
            let claimed = stored.pod.condition(CLAIMED).map(|condition| condition.reason.as_str());
            let lists = stored.pod.gates.iter().any(|gate| gate == CLAIMED);
            assert_eq!(claimed, Some("NoCheck").filter(|_| lists && !self.options.claims.is_empty()));
        }
        assert!(self.core.settled() || !self.calls.is_empty());
    }

    /// Plugins answer, writes arrive, the watch tells and kubelet looks, for so long.
    pub(crate) fn settle(&mut self, long: Duration) {
        let until = self.now.mono + long;
        if !self.listed {
            self.take(Step::Relist);
        }
        while self.now.mono < until {
            for slot in self.cluster.pods.keys().copied().collect::<Vec<_>>() {
                self.cluster.kubelet(slot, self.now.wall);
            }
            self.take(Step::Deliver(usize::MAX));
            for call in std::mem::take(&mut self.calls) {
                self.answer(&call, false);
            }
            self.act();
            for patch in std::mem::take(&mut self.patches) {
                self.end_write(&patch, Ending::Written);
            }
            self.act();
            if self.calls.is_empty() && self.patches.is_empty() && self.cluster.watch.is_empty() {
                let wake = self.core.next_wake().unwrap_or(until).clamp(self.now.mono, until);
                self.take(Step::Pass(u64::try_from(wake.saturating_sub(self.now.mono).as_millis()).unwrap() + 1));
            }
        }
    }

    fn judge_rest(&self, stored: &Stored, kind: &str) {
        let key = GateKey { uid: stored.pod.uid.as_str().into(), gate: kind.into(), dry_run: false };
        let reference = &self.references[&key];
        let Some(rule) = &reference.rule else { return };
        if self.overridden(stored, kind, rule) {
            return;
        }
        let stands = stored.pod.condition(kind).unwrap_or_else(|| panic!("nothing stands: {} {kind}", stored.pod.name));
        let truth = self.truth(kind, rule.generation, &stored.pod);
        if reference.is_fresh() && reference.waits(&stored.pod) {
            // Somebody else's True may stand until it is asked: the budget holds it, or the next answer decides.
            if stands.status == "True" && self.blurred.contains(&key) {
                return;
            }
            let waits = ["WaitingForContainers", "WaitingForSchedule", "Restarted"];
            // After one text another one waits for five minutes: until then it says why there was no verdict before.
            let late = self.texts.get(&key).is_some_and(|sent| self.now.mono < *sent + TEXT_EVERY);
            let says = waits.contains(&stands.reason.as_str()) || self.blurred.contains(&key);
            let says = says || late && is_before(&stands.reason);
            return assert!(
                stands.status == "Unknown" && (says || reference.phase == Phase::Void),
                "{stands:?} {reference:?}"
            );
        }
        if reference.is_done() {
            return;
        }
        assert_ne!(reference.last, Some(Err(())), "one answer releases, and the next one is a verdict: {reference:?}");
        assert_eq!(reference.decided.unwrap_or(truth), truth, "promise 4: {reference:?}");
        if stands.status == truth.as_str() {
            return;
        }
        let (lost, allowed, _) = self.budget(&stored.pod.uid);
        let held = stands.status == "True" && truth != Status::True && lost >= allowed;
        assert!(held, "promise 4: {} {kind} is {stands:?}, {lost} of {allowed}, {reference:?}", stored.pod.name);
        let shown = self.core.gates().find(|view| **view.uid == *stored.pod.uid && **view.gate == *kind).unwrap();
        assert_eq!(shown.condition.map(|c| c.reason.as_str()), Some("HeldByBudget"));
    }

    /// Whether an override counts, or may: the wall clock has jumped since it was read.
    fn overridden(&self, stored: &Stored, kind: &str, rule: &Arc<Rule>) -> bool {
        let Some((_, text)) = stored.pod.annotations.iter().find(|(key, _)| key == OVERRIDE) else { return false };
        let said: serde_json::Value = serde_json::from_str(text).unwrap();
        let one = &said["overrides"][0];
        if said["uid"] != stored.pod.uid.as_str() || one["gate"] != kind || !rule.policy.overridable {
            return false;
        }
        let until: jiff::Timestamp = one["until"].as_str().unwrap().parse().unwrap();
        let left = until.as_millisecond() - self.now.wall;
        if left > 0 && left < 86_000_000 && !self.jumped {
            let (lost, allowed, _) = self.budget(&stored.pod.uid);
            let held = one["status"] == "False" && lost >= allowed && stored.is_true(kind);
            let stands = stored.pod.condition(kind).unwrap();
            // Where the status is the same the text may come up to 5 minutes later.
            assert!(held || one["status"] == stands.status.as_str(), "{stands:?} {text}");
            return true;
        }
        self.jumped
    }
}
