//! Quarantine: the model's own account of who is to blame for what, and single sentences about it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use gatehost::{
    check::{OnFault, Policy, Selection, StartWhen},
    decide::{Blame, Fault, Status, Verdict},
    dispatch::{Call, GateKey, NoteKind, Options, Spared},
};

use super::{
    cluster::TYPES,
    step::{Ending, Step},
    world::{World, plain},
};

const SECOND: Duration = Duration::from_secs(1);

/// What the model knows of one version of a check.
#[derive(Debug)]
pub(crate) struct Account {
    generation: u64,
    faults: u32,
    gates: BTreeSet<GateKey>,
    /// Since when it may be in quarantine, by the rule of faults in a row; and how often it has been called in vain since.
    held: Option<(Duration, u32)>,
    probe: Option<u64>,
}

impl World {
    fn version(&self, check: &str) -> Option<u64> {
        let all = self.rules.live.values().chain(self.rules.dry_run.values());
        all.filter(|rule| *rule.check == *check).map(|rule| rule.generation).next()
    }

    /// Other versions begin anew.
    pub(super) fn close_accounts(&mut self) {
        let mut accounts = std::mem::take(&mut self.accounts);
        accounts.retain(|check, account| self.version(check) == Some(account.generation));
        self.accounts = accounts;
    }

    /// The end of a call, whatever becomes of the answer.
    pub(super) fn account(&mut self, call: &Call, answer: &Result<Verdict, Fault>) {
        if self.version(&call.check) != Some(call.generation) || !self.options.quarantine {
            return;
        }
        let blame = answer.as_ref().map_or_else(|fault| fault.blame, |_| Blame::Answer);
        if blame == Blame::Answer {
            self.accounts.remove(&call.check);
            return;
        }
        let answers = |reference: &super::reference::Reference| {
            reference.rule.as_ref().is_some_and(|rule| rule.check == call.check)
        };
        let all = self.references.values().filter(|reference| answers(reference)).count();
        let new =
            || Account { generation: call.generation, faults: 0, gates: BTreeSet::new(), held: None, probe: None };
        let account = self.accounts.entry(call.check.clone()).or_insert_with(new);
        let probes = account.probe == Some(call.id);
        if probes {
            account.probe = None;
        }
        if blame == Blame::Code {
            account.faults += 1;
            account.gates.insert(call.key.clone());
        }
        let now = self.now.mono;
        match &mut account.held {
            Some((since, vain)) if probes => {
                *since = now;
                *vain += u32::from(blame == Blame::Code);
            }
            None if blame == Blame::Code && account.faults >= 10 && account.gates.len() >= all.min(3) => {
                account.held = Some((now, 0));
            }
            _ => {}
        }
    }

    /// In quarantine a check has one call at a time, and none before half of its backoff, which is what jitter leaves.
    pub(super) fn judge_quarantine(&mut self, call: &Call) {
        let now = self.now.mono;
        let Some(account) = self.accounts.get_mut(&call.check) else { return };
        let Some((since, vain)) = account.held else { return };
        assert_eq!(account.probe, None, "a second call at a time: {call:?}");
        let wait = SECOND.saturating_mul(1 << vain.min(16)).min(Duration::from_mins(5));
        assert!(now >= since + wait / 2, "after {:?} instead of {wait:?}: {call:?}", now.saturating_sub(since));
        account.probe = Some(call.id);
    }

    /// Nobody is spared but for a quarantine, and what is spared has a fault.
    pub(super) fn judge_spared(&mut self, spared: &Spared) {
        let Spared { key, check, generation } = spared;
        let account = self.accounts.get(check);
        assert!(account.is_some_and(|a| a.held.is_some() && a.generation == *generation), "{spared:?} {account:?}");
        let Some(pod) = self.view.get(&*key.uid).map(|known| known.pod.clone()) else { return };
        self.judge_outcome(key, (check, *generation), Err(()), &pod);
    }
}

/// A world of one check and so many pods, whose first answers say True.
fn true_everywhere(pods: usize, policy: Policy) -> World {
    let mut world = World::with(Options::default());
    world.rule(0, false, policy, Selection::default());
    for pod in 0..pods {
        world.take(Step::Annotate { pod, note: 0 });
    }
    world.take(Step::Deliver(usize::MAX));
    round(&mut world, |_| Ok(Status::True));
    assert_eq!(statuses(&world), vec!["True"; pods]);
    world
}

/// All calls of check-0 end, and all writes arrive.
fn round(world: &mut World, answer: impl Fn(&Call) -> Result<Status, Blame>) -> usize {
    let calls: Vec<_> = std::mem::take(&mut world.calls);
    for call in &calls {
        match answer(call) {
            Ok(status) => world.say(call, status),
            Err(blame) => world.reply(call, World::fault(call, blame)),
        }
    }
    world.act();
    for patch in std::mem::take(&mut world.patches) {
        world.end_write(&patch, Ending::Written);
    }
    world.act();
    world.take(Step::Deliver(usize::MAX));
    calls.len()
}

/// Rounds for so many seconds; how many calls there were.
fn rounds(world: &mut World, seconds: u64, answer: impl Fn(&Call) -> Result<Status, Blame>) -> usize {
    let mut calls = 0;
    for _ in 0..4 * seconds {
        world.take(Step::Pass(250));
        calls += round(world, &answer);
    }
    calls
}

fn statuses(world: &World) -> Vec<&str> {
    world.cluster.pods.values().map(|stored| stored.pod.condition(TYPES[0]).map_or("-", |c| &c.status)).collect()
}

fn told(world: &World, kind: NoteKind) -> usize {
    world.notes.iter().filter(|(told, _)| *told == kind).count()
}

fn traps(_: &Call) -> Result<Status, Blame> {
    Err(Blame::Code)
}

fn message(world: &World, pod: usize) -> (String, String) {
    let condition = world.cluster.pods[&pod].pod.condition(TYPES[0]).unwrap();
    (condition.reason.clone(), condition.message.clone())
}

#[test]
fn a_plugin_that_breaks_off_everywhere_is_called_rarely_and_its_conditions_are_what_on_fault_says() {
    for (on_fault, status, reason) in [
        (OnFault::Hold, "True", "FaultHeld"),
        (OnFault::False, "False", "Quarantined"),
        (OnFault::Unknown, "Unknown", "Quarantined"),
    ] {
        let policy = Policy { on_fault, max_unready: gatehost::check::MaxUnready::Percent(100), ..plain() };
        let mut world = true_everywhere(6, policy);
        let first = rounds(&mut world, 60, traps);
        assert!(first >= 10, "{first}");
        assert_eq!((told(&world, NoteKind::Quarantined), told(&world, NoteKind::QuarantineEnded)), (1, 0));
        let later = rounds(&mut world, 3600, traps);
        assert!((12..=30).contains(&later), "{later} calls in an hour");
        assert_eq!(statuses(&world), vec![status; 6]);
        let (is, said) = message(&world, 0);
        assert_eq!(is, reason, "{said}");
        assert!(said.contains("broke off on one gate after the other (Trap); here: Trap: 1/uid-1/live; "), "{said}");
        assert!(said.ends_with("one of its gates is asked again within 300 s"), "{said}");
        assert_eq!(told(&world, NoteKind::Fault), 6, "each gate's fault is told once, and the quarantine once");
    }
}

#[test]
fn a_gate_that_is_asked_for_the_first_time_in_quarantine_says_so_and_one_whose_containers_restarted_is_void() {
    let mut world = true_everywhere(4, plain());
    rounds(&mut world, 60, traps);
    world.take(Step::Annotate { pod: 6, note: 0 });
    world.take(Step::Restart { pod: 0, told_late: false });
    world.take(Step::Containers { pod: 0, ready: true });
    world.take(Step::Deliver(usize::MAX));
    let calls = world.calls.len();
    assert!(calls <= 1, "{calls} calls");
    rounds(&mut world, 1, traps);
    assert_eq!(message(&world, 6).0, "NoVerdictYet");
    assert!(message(&world, 6).1.contains(": Quarantined: "), "{:?}", message(&world, 6));
    assert_eq!(message(&world, 0).0, "Restarted", "an old True does not outlive its containers");
}

#[test]
fn one_answer_releases_all_gates_at_once() {
    let mut world = true_everywhere(6, plain());
    rounds(&mut world, 600, traps);
    for gate in 0..6 {
        world.take(Step::Annotate { pod: gate, note: 1 });
    }
    world.take(Step::Deliver(usize::MAX));
    while world.calls.is_empty() {
        world.take(Step::Pass(1000));
    }
    assert_eq!(world.calls.len(), 1, "one call at a time");
    round(&mut world, |_| Ok(Status::False));
    assert_eq!((world.calls.len(), told(&world, NoteKind::QuarantineEnded)), (5, 1));
    world.rest();
}

#[test]
fn another_version_is_asked_at_once_about_every_gate() {
    let mut world = true_everywhere(6, plain());
    rounds(&mut world, 600, traps);
    world.take(Step::Pass(1));
    world.calls.clear();
    world.take(Step::Reload(0));
    assert!(world.calls.len() >= 5, "{} calls", world.calls.len());
    assert_eq!(told(&world, NoteKind::QuarantineEnded), 1);
    world.rest();
}

#[test]
fn a_workload_that_only_starts_silences_nobody() {
    for blame in [Blame::Answer, Blame::Nothing] {
        let mut world = true_everywhere(6, plain());
        let starts = |call: &Call| if &*call.key.uid < "uid-3" { Err(blame) } else { Ok(Status::True) };
        rounds(&mut world, 600, |_| Err(blame));
        rounds(&mut world, 600, starts);
        assert_eq!(told(&world, NoteKind::Quarantined), 0);
        world.rest();
    }
}

#[test]
fn the_faults_of_one_pod_are_no_reason_not_to_ask_about_the_others() {
    let policy = Policy { start_when: StartWhen::Always, ..plain() };
    let mut world = true_everywhere(6, policy.clone());
    let one: Arc<str> = world.cluster.pods[&0].pod.uid.as_str().into();
    rounds(&mut world, 600, |call| if call.key.uid == one { Err(Blame::Code) } else { Ok(Status::True) });
    assert_eq!(told(&world, NoteKind::Quarantined), 0);
    // Where it is the check's only one, they are all there are.
    let mut world = true_everywhere(1, policy);
    rounds(&mut world, 600, traps);
    assert_eq!(told(&world, NoteKind::Quarantined), 1);
}

#[test]
fn without_quarantine_nobody_is_spared() {
    let mut world = World::with(Options { quarantine: false, ..Options::default() });
    world.rule(0, false, plain(), Selection::default());
    for pod in 0..6 {
        world.take(Step::Annotate { pod, note: 0 });
    }
    world.take(Step::Deliver(usize::MAX));
    let calls = rounds(&mut world, 600, traps);
    assert!(calls >= 6 * 20, "{calls}");
    assert_eq!(told(&world, NoteKind::Quarantined), 0);
}
