//! What a gate's answers make of it, written down once more and on its own: the specification of thresholds, faults and
//! identity as the model reads it.

use std::{sync::Arc, time::Duration};

use gatehost::{
    check::{Mode, OnFault, StartWhen},
    decide::{
        Status,
        Status::{False, True, Unknown},
    },
    dispatch::{Now, Rule},
    pod::Pod,
};

const BEFORE: [&str; 5] = ["WaitingForContainers", "WaitingForSchedule", "InitialDelay", "NoVerdictYet", "NoCheck"];

/// Whether a condition with this reason is written only before a first verdict.
pub(crate) fn is_before(reason: &str) -> bool {
    BEFORE.contains(&reason)
}

/// How far it is with these containers and this IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Never,
    Void,
    Decided,
    Written,
}

/// One gate as the model understands it.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(crate) struct Reference {
    pub(crate) rule: Option<Arc<Rule>>,
    pub(crate) phase: Phase,
    /// What should stand by the check's answers; nothing where what stands should be left alone.
    pub(crate) decided: Option<Status>,
    /// What stands as far as the core can know.
    pub(crate) standing: Option<Status>,
    met_in_row: u32,
    failures: u32,
    counted: Option<Duration>,
    pub(crate) faults: u32,
    /// The last answer; a fault is an error.
    pub(crate) last: Option<Result<Status, ()>>,
    /// The pod that the last met answer was about.
    pub(crate) met_on: Option<Pod>,
    /// What the condition that stands says.
    said: String,
    /// Since when there were only faults, in seconds of Unix time, and the instant and the age of the first one here.
    faulty: Option<(Duration, Duration)>,
    /// It is void by no restart: `startWhen` counts no more.
    unsure: bool,
    /// There has been a verdict: the texts on the pod tell nothing any more of since when there are faults.
    heard: bool,
    /// Its verdict became void while it was True, and no True has been decided since.
    pub(crate) void: bool,
    /// It has been True, or may have been, as far as the core can know.
    pub(crate) was_true: bool,
    /// A status on its way to the server, or whose write may have got there or not until then.
    pub(crate) sent: Option<Status>,
    pub(crate) doubt: Option<Duration>,
}

impl Reference {
    /// What a core that sees a pod for the first time knows of a gate.
    pub(crate) fn new(pod: &Pod, kind: &str) -> Self {
        let stands = pod.condition(kind).filter(|c| !is_before(&c.reason) || c.status == "True");
        let later = |set: i64| pod.containers.iter().any(|c| c.started_at.is_some_and(|started| started > set + 5_000));
        let phase = match stands {
            None => Phase::Never,
            // What an override hides may have been a verdict.
            Some(c) if c.reason == "Restarted" || c.reason == "Overridden" => Phase::Void,
            Some(c) if c.last_transition.is_some_and(later) => Phase::Void,
            Some(_) => Phase::Written,
        };
        Self {
            rule: None,
            phase,
            decided: None,
            standing: pod.condition(kind).and_then(|c| read(&c.status)),
            met_in_row: 0,
            failures: 0,
            counted: None,
            faults: 0,
            last: None,
            met_on: None,
            said: pod.condition(kind).map(|c| c.message.clone()).unwrap_or_default(),
            faulty: None,
            unsure: stands.is_some_and(|c| c.reason == "Overridden"),
            heard: false,
            void: phase == Phase::Void && stands.is_some_and(|c| c.reason != "Overridden"),
            was_true: stands.is_some(),
            sent: None,
            doubt: None,
        }
    }

    pub(crate) fn is_fresh(&self) -> bool {
        matches!(self.phase, Phase::Never | Phase::Void)
    }

    /// Another check, or another generation of this one, answers.
    pub(crate) fn assign(&mut self, rule: Option<Arc<Rule>>) {
        if self.rule != rule {
            self.forget();
            // What was not written yet, or what an override hides, is void.
            if self.phase == Phase::Decided || self.phase == Phase::Written && self.is_overridden() {
                (self.phase, self.unsure) = (Phase::Void, true);
            }
            self.rule = rule;
        }
    }

    /// Whether an override stands, by its text.
    fn is_overridden(&self) -> bool {
        self.said.starts_with("until ")
    }

    fn forget(&mut self) {
        (self.decided, self.last, self.met_on) = (None, None, None);
        (self.met_in_row, self.failures, self.counted, self.faults) = (0, 0, None, 0);
        self.faulty = None;
    }

    /// A container restarted or the IP is a new one.
    pub(crate) fn renew(&mut self) {
        self.forget();
        if self.phase != Phase::Never {
            (self.phase, self.unsure) = (Phase::Void, false);
            self.void = true;
        }
    }

    /// The core learns what stands.
    pub(crate) fn stand(&mut self, status: Option<Status>, said: &str) {
        (self.standing, self.said) = (status, said.into());
        self.settle();
    }

    fn settle(&mut self) {
        let status = self.standing;
        self.was_true |= status == Some(True);
        if status != Some(True) {
            self.void = false;
        }
        if self.phase == Phase::Decided && status.is_some() && status == self.decided {
            self.phase = Phase::Written;
        }
    }

    /// In `mode: bootstrap` a True that stands is the last word.
    pub(crate) fn is_done(&self) -> bool {
        let bootstrap = self.rule.as_ref().is_some_and(|rule| rule.policy.mode == Mode::Bootstrap);
        let stands = self.standing.filter(|_| !self.is_overridden());
        bootstrap && self.phase == Phase::Written && self.decided.or(stands) == Some(True)
    }

    /// Whether `startWhen` keeps it from being asked.
    pub(crate) fn waits(&self, pod: &Pod) -> bool {
        let is_true = |kind: &str| pod.condition(kind).is_some_and(|c| c.status == "True");
        let started = self.rule.as_ref().is_none_or(|rule| match rule.policy.start_when {
            StartWhen::ContainersReady => is_true("ContainersReady"),
            StartWhen::Scheduled => is_true("PodScheduled"),
            StartWhen::Always => true,
        });
        // What a restart made void is asked about once the containers are ready, whatever the check starts with.
        self.is_fresh() && !self.unsure && (!started || self.phase == Phase::Void && !is_true("ContainersReady"))
    }

    /// An answer that counts.
    pub(crate) fn answer(&mut self, answer: Result<Status, ()>, pod: &Pod, now: Now) {
        let Some(rule) = self.rule.clone() else { return };
        self.last = Some(answer);
        if let Ok(status) = answer {
            (self.faults, self.faulty, self.heard) = (0, None, true);
            if status == True {
                self.met_on = Some(pod.clone());
            }
            if self.turns(status, &rule, now.mono) {
                self.decide(status);
            }
        } else {
            self.faults += 1;
            self.begin_fault(now);
            let to = match rule.policy.on_fault {
                _ if self.is_fresh() => return self.decided = Some(Unknown),
                OnFault::Hold => None,
                // A first True that has not been written yet is held as long as one that stands.
                _ if self.phase == Phase::Decided && self.decided == Some(True) && !self.fails(&rule, now.mono) => {
                    return;
                }
                OnFault::False => Some(False),
                OnFault::Unknown => Some(Unknown),
            };
            match to {
                None => self.hold(&rule, now),
                // It counts as an unmet answer does: it ends a row of met ones.
                Some(to) if self.turns(to, &rule, now.mono) => self.decide(to),
                Some(_) => {}
            }
        }
        if self.decided == Some(True) {
            self.void = false;
        }
        self.settle();
    }

    /// Faults hold what stands, or was to stand; after maxStaleSeconds it is Unknown.
    fn hold(&mut self, rule: &Rule, now: Now) {
        let stale = self.age(now).zip(rule.policy.max_stale).is_some_and(|(age, most)| age >= most);
        if stale {
            self.decided = Some(Unknown);
        } else if self.phase == Phase::Written && self.faults >= rule.policy.failure_threshold {
            self.decided = self.in_force();
        }
    }

    /// For how long there have been only faults; a former host's word of it counts.
    pub(crate) fn age(&self, now: Now) -> Option<Duration> {
        self.faulty.map(|(from, before)| before + now.mono.saturating_sub(from))
    }

    fn begin_fault(&mut self, now: Now) {
        if self.faulty.is_none() {
            let said = if self.heard { "" } else { &self.said };
            let told = said.strip_prefix("since ").and_then(|said| said.split_once(": ")?.0.parse().ok());
            let before = told.map_or(0, |told: jiff::Timestamp| now.wall.div_euclid(1000) - told.as_second());
            self.faulty = Some((now.mono, Duration::from_secs(before.try_into().unwrap_or(0))));
        }
    }

    fn decide(&mut self, status: Status) {
        (self.met_in_row, self.failures, self.counted) = (0, 0, None);
        if self.is_fresh() && self.last.is_some_and(|last| last.is_ok()) {
            self.phase = Phase::Decided;
        }
        self.decided = Some(status);
    }

    /// The status that thresholds protect: none before the first verdict is written.
    fn in_force(&self) -> Option<Status> {
        if self.phase == Phase::Written { self.decided.or(self.standing) } else { None }
    }

    fn turns(&mut self, status: Status, rule: &Rule, now: Duration) -> bool {
        let is_up = self.standing == Some(True) || self.sent == Some(True);
        match (self.in_force(), status) {
            (None, _) => true,
            (Some(True), True) => {
                (self.failures, self.counted) = (0, None);
                true
            }
            // What was to be True and never came to stand is protected by nothing.
            (Some(True), _) if !is_up => true,
            (Some(True), _) => self.fails(rule, now),
            (Some(_), True) => {
                self.met_in_row += 1;
                self.met_in_row >= rule.policy.success_threshold
            }
            (Some(_), _) => {
                self.met_in_row = 0;
                true
            }
        }
    }

    /// Counts one failure, once a period; whether they are enough.
    fn fails(&mut self, rule: &Rule, now: Duration) -> bool {
        if self.counted.is_none_or(|at| now >= at + rule.policy.period) {
            (self.counted, self.failures) = (Some(now), self.failures + 1);
        }
        self.failures >= rule.policy.failure_threshold
    }
}

/// A status as Kubernetes spells it.
pub(crate) fn read(status: &str) -> Option<Status> {
    [True, False, Unknown].into_iter().find(|known| known.as_str() == status)
}
