//! The model's world: a host over a server, with a watch that lags, plugins and writes that end at random, and strangers.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use gatehost::{
    check::{Policy, Selection, StartWhen},
    decide::{Condition, Now, Status},
    dispatch::{Action, Call, Core, Event, GateKey, NoteKind, Options, Outcome, Patch, Rule, Rules},
    sandbox::View,
};

use super::{
    cluster::{Cluster, NOTE, START, TYPES, Told},
    known::{Known, OVERRIDE},
    plugins::{annotate, selection, set_override},
    quarantine::Account,
    reference::Reference,
    step::{Ending, Step},
};

/// No watch tells nothing for longer than this.
const DEAF: Duration = Duration::from_secs(30);
pub(crate) const PERIOD: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) core: Core,
    pub(crate) options: Options,
    pub(crate) now: Now,
    pub(crate) cluster: Cluster,
    pub(crate) rules: Rules,
    pub(crate) generation: u64,
    pub(crate) calls: Vec<Call>,
    /// The epoch of each pod at the begin of a call.
    pub(super) asked: BTreeMap<u64, u32>,
    pub(crate) patches: Vec<Patch>,
    /// By write, the gates in it that it turns from True although nothing made their verdicts void.
    pub(super) turns: BTreeMap<u64, BTreeSet<Arc<str>>>,
    pub(crate) notes: Vec<(NoteKind, String)>,
    /// What this host has been told.
    pub(super) view: BTreeMap<String, Known>,
    pub(super) namespaces: BTreeMap<String, Vec<(String, String)>>,
    pub(super) listed: bool,
    /// When the watch last told everything.
    heard: Duration,
    pub(crate) references: BTreeMap<GateKey, Reference>,
    /// Gates whose condition somebody else wrote, or whose write was applied but reported lost: what the host knew
    /// of them at a write cannot be told from here.
    pub(super) blurred: BTreeSet<GateKey>,
    /// The last condition that was reported as written.
    pub(super) written: BTreeMap<GateKey, Condition>,
    pub(super) texts: BTreeMap<GateKey, Duration>,
    pub(super) flaps: BTreeMap<GateKey, Vec<Duration>>,
    pub(super) writes: VecDeque<Duration>,
    pub(crate) sent: usize,
    pub(super) mood: [u64; 3],
    pub(super) broken: [bool; 3],
    /// By check, what the model knows of its faults.
    pub(super) accounts: BTreeMap<Arc<str>, Account>,
    pub(super) moods: [View; 3],
    pub(super) mood_version: u64,
    pub(super) jumped: bool,
}

/// A policy that decides at once and holds nothing back.
pub(crate) fn plain() -> Policy {
    Policy { period: PERIOD, failure_threshold: 1, start_when: StartWhen::Always, max_flaps: 6000, ..Policy::default() }
}

impl World {
    /// A world with a plain check for each type.
    pub(crate) fn new() -> Self {
        let mut world = Self::with(Options::default());
        for gate in 0..TYPES.len() {
            world.take(Step::Reload(gate));
        }
        world
    }

    /// A world without a check.
    pub(crate) fn with(options: Options) -> Self {
        let mut world = Self {
            core: Core::new(options.clone()),
            options,
            now: Now { mono: Duration::ZERO, wall: START },
            cluster: Cluster::new(),
            rules: Rules::default(),
            generation: 0,
            calls: Vec::new(),
            asked: BTreeMap::new(),
            patches: Vec::new(),
            turns: BTreeMap::new(),
            notes: Vec::new(),
            view: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            listed: false,
            heard: Duration::ZERO,
            references: BTreeMap::new(),
            blurred: BTreeSet::new(),
            written: BTreeMap::new(),
            texts: BTreeMap::new(),
            flaps: BTreeMap::new(),
            writes: VecDeque::new(),
            sent: 0,
            mood: [0; 3],
            broken: [false; 3],
            accounts: BTreeMap::new(),
            moods: [View::new(1), View::new(2), View::new(3)],
            mood_version: 1,
            jumped: false,
        };
        world.take(Step::Relist);
        world
    }

    pub(crate) fn take(&mut self, step: Step) {
        let wall = self.now.wall;
        match step {
            Step::Annotate { pod, note } => {
                self.cluster.touch(pod, wall, |p| annotate(&mut p.pod, NOTE, Some(note.to_string())));
            }
            Step::Recreate(pod) => {
                self.cluster.delete(pod);
                self.cluster.touch(pod, wall, |_| ());
            }
            Step::Delete(pod) => self.cluster.delete(pod),
            Step::Finish(pod) => self.existing(pod, |p| p.over = true),
            Step::Label { pod, web } => {
                let app = if web { "web" } else { "batch" };
                self.existing(pod, |p| p.pod.labels = vec![("app".into(), app.into())]);
            }
            Step::Bump(pod) => self.existing(pod, |p| p.pod.generation += 1),
            Step::NewIp(pod) => self.existing(pod, |p| {
                p.identity += 1;
                p.pod.ip = Some(format!("10.1.{pod}.{}", p.identity));
            }),
            Step::Containers { pod, ready } => self.cluster.containers_ready(pod, ready, wall),
            Step::Restart { pod, told_late } => self.cluster.restart(pod, told_late, wall),
            Step::Kubelet(pod) => self.cluster.kubelet(pod, wall),
            Step::Override { pod, gate, status, seconds, foreign } => {
                self.existing(pod, |p| set_override(&mut p.pod, TYPES[gate], status, wall + seconds * 1000, foreign));
            }
            Step::ClearOverride(pod) => self.existing(pod, |p| annotate(&mut p.pod, OVERRIDE, None)),
            Step::Foreign { pod, gate, status } => {
                let status = [Status::True, Status::False, Status::Unknown][usize::from(status)];
                self.cluster.touch(pod, wall, |p| p.set(TYPES[gate], status.as_str(), wall));
                let uid = self.cluster.pods[&pod].pod.uid.as_str().into();
                self.blurred.insert(GateKey { uid, gate: TYPES[gate].into(), dry_run: false });
            }
            Step::Reload(gate) => {
                let old = self.rules.live.get(TYPES[gate]).cloned();
                let (policy, select) =
                    old.map_or((plain(), Selection::default()), |rule| (rule.policy.clone(), rule.select.clone()));
                self.rule(gate, false, policy, select);
            }
            Step::Policy { gate, dry_run, policy, select } => self.rule(gate, dry_run, *policy, selection(select)),
            Step::Remove { gate, dry_run } => {
                let rules = if dry_run { &mut self.rules.dry_run } else { &mut self.rules.live };
                rules.remove(TYPES[gate]);
                self.take_rules();
            }
            Step::Namespace(a) => {
                let team = if a { "a" } else { "b" };
                let labels = vec![("team".to_owned(), team.to_owned())];
                self.cluster.watch.push_back(Told::Namespace("late".into(), labels));
            }
            // What comes before a list is complete is a part of it.
            Step::Deliver(count) if !self.listed => {
                for stored in self.cluster.pods.values().take(count).cloned().collect::<Vec<_>>() {
                    self.list(&stored);
                }
            }
            Step::Deliver(count) => {
                let count = count.min(self.cluster.watch.len());
                for told in self.cluster.watch.drain(..count).collect::<Vec<_>>() {
                    self.tell(told);
                }
            }
            Step::Relist => self.relist(None),
            Step::RelistOld(which) => self.relist(Some(which)),
            Step::Break { gate, broken } => self.broken[gate] = broken,
            Step::Mood { gate, mood } => self.mood[gate] = mood.into(),
            Step::Object { gate, mood } => {
                self.mood[gate] = mood.into();
                self.mood_version += 1;
                self.core.handle(Event::ObjectsChanged(vec![(self.moods[gate].id(), self.mood_version)]), self.now);
            }
            Step::Answer { which, fault } if !self.calls.is_empty() => {
                let call = self.calls.swap_remove(which.index(self.calls.len()));
                self.answer(&call, fault);
            }
            Step::EndWrite { which, how } if !self.patches.is_empty() => {
                let patch = self.patches.swap_remove(which.index(self.patches.len()));
                self.end_write(&patch, how);
            }
            Step::Excuse { which, blame } if !self.calls.is_empty() => {
                let call = self.calls.swap_remove(which.index(self.calls.len()));
                self.reply(&call, Self::fault(&call, blame));
            }
            Step::Answer { .. } | Step::Excuse { .. } | Step::EndWrite { .. } => {}
            Step::RestartHost(arrive) => self.restart_host(arrive),
            Step::Rounds(seconds) => self.settle(Duration::from_secs(seconds)),
            Step::Pass(ms) => {
                if self.now.mono >= self.heard + DEAF {
                    self.heard = self.now.mono;
                    self.take(Step::Deliver(usize::MAX));
                }
                self.now.mono += Duration::from_millis(ms);
                self.now.wall += i64::try_from(ms).unwrap();
            }
            Step::JumpWall(ms) => {
                self.now.wall += ms;
                self.jumped |= ms != 0;
            }
        }
        self.act();
    }

    fn existing(&mut self, pod: usize, change: impl FnOnce(&mut super::cluster::Stored)) {
        if self.cluster.pods.contains_key(&pod) {
            self.cluster.touch(pod, self.now.wall, change);
        }
    }

    /// Another generation of a check is in force.
    pub(crate) fn rule(&mut self, gate: usize, dry_run: bool, policy: Policy, select: Selection) {
        self.generation += 1;
        let check = format!("{}-{gate}", if dry_run { "trial" } else { "check" }).into();
        let rule = Rule { check, generation: self.generation, select, policy, memory: None };
        let rules = if dry_run { &mut self.rules.dry_run } else { &mut self.rules.live };
        rules.insert(TYPES[gate].into(), rule.into());
        self.take_rules();
    }

    fn take_rules(&mut self) {
        self.rules.scanned = true;
        self.core.handle(Event::Rules(self.rules.clone()), self.now);
        self.close_accounts();
        self.assign();
    }

    fn restart_host(&mut self, arrive: u8) {
        for (n, patch) in std::mem::take(&mut self.patches).iter().enumerate() {
            if arrive & (1 << (n % 8)) != 0 && self.outcome(patch).is_none() {
                self.apply(patch, true);
            }
        }
        self.core = Core::new(self.options.clone());
        self.calls.clear();
        self.asked.clear();
        self.turns.clear();
        self.view.clear();
        self.references.clear();
        self.accounts.clear();
        self.texts.clear();
        self.flaps.clear();
        self.writes.clear();
        self.namespaces.clear();
        self.listed = false;
        self.core.handle(Event::Rules(self.rules.clone()), self.now);
        self.core.handle(Event::ListStarted(0), self.now);
        // What the watch has not told comes with the list.
        let names = self.cluster.watch.drain(..).filter(|told| matches!(told, Told::Namespace(..))).collect::<Vec<_>>();
        self.cluster.watch.extend(names);
        self.act();
    }

    /// What the server would say instead of taking a patch.
    fn outcome(&self, patch: &Patch) -> Option<Outcome> {
        match self.cluster.find(&patch.uid) {
            None => Some(Outcome::Replaced),
            Some((_, stored)) if patch.version.is_some_and(|bound| bound != stored.version) => Some(Outcome::Conflict),
            Some(_) => None,
        }
    }

    pub(crate) fn end_write(&mut self, patch: &Patch, how: Ending) {
        let lost = || Outcome::Failed { error: "lost".into(), retry_after: None };
        let outcome = match how {
            Ending::Refused => Outcome::Refused("policy".into()),
            Ending::Lost => lost(),
            Ending::Written => self.outcome(patch).unwrap_or_else(|| {
                self.apply(patch, false);
                Outcome::Written(Some(self.cluster.version))
            }),
            Ending::AppliedButLost => self.outcome(patch).unwrap_or_else(|| {
                self.apply(patch, true);
                lost()
            }),
        };
        self.wrote(patch, &outcome);
        self.turns.remove(&patch.id);
        self.core.handle(Event::Wrote { id: patch.id, outcome }, self.now);
    }

    /// Carries the core forward, and checks what it wants done against the promises.
    pub(crate) fn act(&mut self) {
        self.core.advance(self.now);
        for action in self.core.actions() {
            match action {
                Action::Call(call) => {
                    self.judge_call(&call);
                    self.calls.push(call);
                }
                Action::Patch(patch) => {
                    self.sent += 1;
                    self.judge_patch(&patch);
                    self.patches.push(patch);
                }
                Action::Note(note) => self.notes.push((note.kind, note.message)),
                Action::Spared(spared) => self.judge_spared(&spared),
            }
        }
    }
}
