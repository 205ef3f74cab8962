//! Single sentences about budgets, restarts, thresholds and writes that random schedules reach rarely.

use std::time::Duration;

use gatehost::{
    check::{MaxUnready, Mode, Policy, Selection, StartWhen},
    decide::Status,
    dispatch::{NoteKind, Options},
};

use super::{
    cluster::{ALONE, CLAIMED},
    plugins::claims,
    step::{Ending, Step},
    world::{World, plain},
};

/// So many pods of one owner with one gate, all of them in service.
pub(crate) fn in_service(pods: usize, policy: Policy) -> World {
    let mut world = World::with(Options::default());
    world.rule(0, false, policy, Selection::default());
    // The other gate is answered by a check that is always met.
    world.rule(1, false, plain(), Selection::default());
    for pod in 0..pods {
        world.take(Step::Annotate { pod, note: 0 });
    }
    be(&mut world, Status::True);
    world.settle(Duration::from_secs(30));
    assert_eq!(standing(&world, Status::True), pods);
    world
}

/// From now on the check of the first gate says this.
pub(crate) fn be(world: &mut World, status: Status) {
    for (gate, status) in [(0, status), (1, Status::True)] {
        let kind = super::cluster::TYPES[gate];
        let (Some(rule), Some(stored)) = (world.rules.live.get(kind), world.cluster.pods.values().next()) else {
            continue;
        };
        let generation = rule.generation;
        let pod = stored.pod.clone();
        for mood in 0..3 {
            world.take(Step::Mood { gate, mood });
            if world.truth(kind, generation, &pod) == status {
                break;
            }
        }
    }
}

/// How many pods' first gates have this status.
pub(crate) fn standing(world: &World, status: Status) -> usize {
    let gate = super::cluster::TYPES[0];
    world.cluster.pods.values().filter(|stored| stored.status(gate) == Some(status.as_str())).count()
}

fn noted(world: &World, kind: NoteKind) -> usize {
    world.notes.iter().filter(|(noted, _)| *noted == kind).count()
}

#[test]
fn after_a_restart_of_the_host_half_false_is_not_exceeded() {
    let mut world = in_service(4, plain());
    be(&mut world, Status::False);
    for _ in 0..5 {
        world.settle(Duration::from_mins(2));
        assert_eq!(standing(&world, Status::False), 2);
        world.take(Step::RestartHost(0xff));
    }
    assert!(noted(&world, NoteKind::HeldByBudget) >= 2);
    world.rest();
    be(&mut world, Status::True);
    world.settle(Duration::from_mins(1));
    assert_eq!(standing(&world, Status::True), 4);
}

#[test]
fn a_host_that_dies_while_it_writes_does_not_exceed_the_budget() {
    for arrive in [0, 1, 2, 3, 0xff] {
        let mut world = in_service(4, plain());
        be(&mut world, Status::False);
        world.take(Step::Pass(15_000));
        for call in std::mem::take(&mut world.calls) {
            world.answer(&call, false);
        }
        world.act();
        let turns = |c: &gatehost::decide::Condition| c.status == Status::False;
        let tried = world.patches.iter().filter(|patch| patch.conditions.iter().any(|(_, c)| turns(c))).count();
        assert_eq!(tried, 2, "no more are even tried");
        world.take(Step::RestartHost(arrive));
        world.rest();
        assert_eq!(standing(&world, Status::False), 2, "{arrive}");
    }
}

#[test]
fn writes_whose_end_nobody_knows_count_for_the_budget() {
    let mut world = in_service(4, plain());
    be(&mut world, Status::False);
    world.take(Step::Pass(15_000));
    for _ in 0..20 {
        for call in std::mem::take(&mut world.calls) {
            world.answer(&call, false);
        }
        world.act();
        for patch in std::mem::take(&mut world.patches) {
            world.end_write(&patch, Ending::AppliedButLost);
        }
        world.take(Step::Pass(1_000));
        assert!(standing(&world, Status::False) <= 2);
    }
    world.rest();
}

#[test]
fn a_pod_that_crashes_uses_up_the_budget_and_is_itself_never_held() {
    let mut world = in_service(4, Policy { start_when: StartWhen::ContainersReady, ..plain() });
    for pod in [0, 1, 2] {
        world.take(Step::Restart { pod, told_late: false });
        world.settle(Duration::from_secs(1));
    }
    assert_eq!(standing(&world, Status::Unknown), 3, "restarts are not held");
    be(&mut world, Status::False);
    world.settle(Duration::from_mins(2));
    assert_eq!(standing(&world, Status::True), 1, "and the one that is left is");
    world.rest();
}

#[test]
fn gates_that_were_never_true_do_not_count_and_are_not_held() {
    let mut world = World::with(Options::default());
    world.rule(0, false, plain(), Selection::default());
    for pod in 0..4 {
        world.take(Step::Annotate { pod, note: 0 });
    }
    be(&mut world, Status::False);
    world.settle(Duration::from_mins(1));
    assert_eq!(standing(&world, Status::False), 4);
    assert_eq!(noted(&world, NoteKind::HeldByBudget), 0);
}

#[test]
fn pods_without_an_owner_have_a_budget_each_of_one() {
    let mut world = in_service(0, plain());
    for pod in [ALONE, ALONE + 1] {
        world.take(Step::Annotate { pod, note: 0 });
    }
    be(&mut world, Status::True);
    world.settle(Duration::from_secs(30));
    be(&mut world, Status::False);
    world.rest();
    assert_eq!(standing(&world, Status::False), 2);
}

#[test]
fn a_hundred_percent_switches_the_budget_off() {
    let mut world = in_service(4, Policy { max_unready: MaxUnready::Percent(100), ..plain() });
    let all = Policy { max_unready: MaxUnready::Percent(100), ..plain() };
    world.rule(1, false, all, Selection::default());
    be(&mut world, Status::False);
    world.rest();
    assert_eq!(standing(&world, Status::False), 4);
}

#[test]
fn of_several_checks_on_one_owner_the_smallest_budget_counts() {
    let mut world = in_service(4, Policy { max_unready: MaxUnready::Percent(100), ..plain() });
    // The second check selects one pod only.
    for pod in 1..4 {
        world.take(Step::Label { pod, web: false });
    }
    let select = Selection { labels: Some("app=web".parse().unwrap()), ..Selection::default() };
    world.rule(1, false, Policy { max_unready: MaxUnready::Count(1), ..plain() }, select);
    be(&mut world, Status::True);
    world.settle(Duration::from_secs(30));
    be(&mut world, Status::False);
    world.settle(Duration::from_mins(2));
    assert_eq!(standing(&world, Status::False), 1);
}

#[test]
fn a_condition_that_is_too_old_spends_the_budget() {
    let policy = Policy { max_stale: Some(Duration::from_secs(20)), ..plain() };
    let mut world = in_service(4, policy);
    for _ in 0..200 {
        world.take(Step::Pass(1_000));
        for call in std::mem::take(&mut world.calls) {
            world.answer(&call, &*call.check == "check-0");
        }
        world.act();
        for patch in std::mem::take(&mut world.patches) {
            world.end_write(&patch, Ending::Written);
        }
        world.take(Step::Deliver(99));
    }
    assert_eq!((standing(&world, Status::Unknown), standing(&world, Status::True)), (2, 2));
}

#[test]
fn a_container_that_is_not_ready_without_a_restart_changes_nothing_and_the_check_goes_on() {
    let mut world = in_service(1, Policy { start_when: StartWhen::ContainersReady, ..plain() });
    let before = world.sent;
    world.take(Step::Containers { pod: 0, ready: false });
    world.settle(Duration::from_secs(30));
    assert_eq!((world.sent, standing(&world, Status::True)), (before, 1));
    be(&mut world, Status::False);
    world.settle(Duration::from_secs(30));
    assert_eq!(standing(&world, Status::False), 1, "it is still asked");
}

#[test]
fn a_restart_that_is_over_when_it_is_seen_is_asked_about_at_once_and_only_the_answer_is_written() {
    for (truth, fault, status) in [
        (Status::True, false, Status::True),
        (Status::False, false, Status::False),
        (Status::True, true, Status::Unknown),
    ] {
        let mut world =
            in_service(1, Policy { start_when: StartWhen::ContainersReady, failure_threshold: 3, ..plain() });
        be(&mut world, truth);
        world.calls.clear();
        let before = world.sent;
        world.take(Step::Restart { pod: 0, told_late: true });
        world.take(Step::Deliver(9));
        let asked = world.calls.iter().position(|call| &*call.check == "check-0").expect("asked at once");
        assert_eq!(world.sent, before, "nothing is written yet");
        let call = world.calls.swap_remove(asked);
        world.answer(&call, fault);
        world.act();
        for patch in std::mem::take(&mut world.patches) {
            world.end_write(&patch, Ending::Written);
        }
        assert_eq!(standing(&world, status), 1, "{truth:?} {fault}");
        assert_eq!(world.sent - before, usize::from(status != Status::True));
    }
}

#[test]
fn in_bootstrap_the_first_true_stands_until_the_containers_or_the_ip_are_others() {
    let mut world = in_service(2, Policy { mode: Mode::Bootstrap, ..plain() });
    be(&mut world, Status::False);
    for step in [Step::Annotate { pod: 0, note: 3 }, Step::Bump(0), Step::RestartHost(0)] {
        world.take(step);
        be(&mut world, Status::False);
        world.settle(Duration::from_mins(1));
        assert_eq!(standing(&world, Status::True), 2);
    }
    world.take(Step::NewIp(0));
    world.settle(Duration::from_mins(1));
    assert_eq!((standing(&world, Status::True), standing(&world, Status::False)), (1, 1));
}

#[test]
fn a_claimed_gate_says_that_no_check_answers_it_only_after_the_first_scan_and_where_nothing_stands() {
    let mut world = World::with(Options { claims: claims(), ..Options::default() });
    for pod in 0..2 {
        world.take(Step::Annotate { pod, note: 0 });
    }
    let wall = world.now.wall;
    world.cluster.touch(0, wall, |stored| stored.set(CLAIMED, "True", wall));
    world.settle(Duration::from_mins(1));
    assert_eq!(world.sent, 0, "nothing is known of the directories yet");
    world.rule(0, false, plain(), Selection::default());
    world.settle(Duration::from_mins(1));
    let says =
        |pod: usize| world.cluster.pods[&pod].pod.condition(CLAIMED).map(|c| (c.status.clone(), c.reason.clone()));
    assert_eq!(says(0), Some(("True".into(), String::new())));
    assert_eq!(says(1), Some(("Unknown".into(), "NoCheck".into())));
}
