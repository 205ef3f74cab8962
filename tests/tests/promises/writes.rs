//! Single sentences about what is written when, overrides, dry-run checks and the damper.

use std::time::Duration;

use gatehost::{
    check::{Mode, OnFault, Policy, Selection, StartWhen},
    decide::Status,
    dispatch::{Event, NoteKind, Options, Patch},
};

use super::{
    cluster::{NOTE, TYPES},
    operator::{be, in_service, standing},
    plugins::annotate,
    step::{Ending, Step},
    world::{World, plain},
};

fn answer(world: &mut World, status: Status) {
    for call in std::mem::take(&mut world.calls) {
        let status = if &*call.check == "check-0" { status } else { Status::True };
        world.say(&call, status);
    }
    world.act();
}

fn end(world: &mut World, how: Ending) -> Vec<Patch> {
    let ended = std::mem::take(&mut world.patches);
    for patch in &ended {
        world.end_write(patch, how);
    }
    world.act();
    ended
}

fn reason(world: &World, pod: usize) -> String {
    world.cluster.pods[&pod].pod.condition(TYPES[0]).map(|c| c.reason.clone()).unwrap_or_default()
}

/// A pod whose gate has been met and whose write of it has begun.
fn rising() -> World {
    let mut world = World::with(Options::default());
    world.rule(0, false, Policy { failure_threshold: 3, ..plain() }, Selection::default());
    world.take(Step::Annotate { pod: 0, note: 0 });
    world.take(Step::Deliver(9));
    answer(&mut world, Status::False);
    end(&mut world, Ending::Written);
    world.take(Step::Deliver(9));
    world.take(Step::Pass(10_001));
    answer(&mut world, Status::True);
    world
}

#[test]
fn a_true_that_was_never_written_is_not_written_after_an_unmet_answer() {
    let mut world = rising();
    end(&mut world, Ending::Refused);
    world.take(Step::Pass(10_001));
    end(&mut world, Ending::Refused);
    answer(&mut world, Status::False);
    world.take(Step::Pass(40_000));
    end(&mut world, Ending::Written);
    assert_eq!(standing(&world, Status::True), 0);
}

#[test]
fn a_true_that_was_never_written_is_not_written_on_a_pod_that_only_a_fault_has_judged() {
    let mut world = rising();
    end(&mut world, Ending::Refused);
    world.take(Step::Annotate { pod: 0, note: 1 });
    world.take(Step::Deliver(9));
    let call = world.calls.remove(0);
    world.answer(&call, true);
    world.take(Step::Pass(9_000));
    end(&mut world, Ending::Written);
    assert_eq!(standing(&world, Status::True), 0);
}

#[test]
fn after_a_conflict_the_same_is_written_again_where_nothing_changed_that_a_plugin_can_see() {
    let mut world = rising();
    let wall = world.now.wall;
    world.cluster.touch(0, wall, |stored| stored.set("Ready", "Unknown", wall));
    assert_eq!(end(&mut world, Ending::Written).len(), 1);
    assert!(world.patches.is_empty(), "it waits for the newer pod");
    world.take(Step::Deliver(9));
    assert!(world.calls.is_empty());
    end(&mut world, Ending::Written);
    assert_eq!(standing(&world, Status::True), 1);
    assert!(!world.notes.iter().any(|(kind, _)| *kind == NoteKind::Contested), "nobody fights");
}

#[test]
fn after_a_conflict_it_is_asked_again_where_a_plugin_can_see_a_change() {
    let mut world = rising();
    let wall = world.now.wall;
    world.cluster.touch(0, wall, |stored| annotate(&mut stored.pod, NOTE, Some("4".into())));
    end(&mut world, Ending::Written);
    world.take(Step::Deliver(9));
    assert_eq!((world.calls.len(), world.patches.len()), (1, 0));
    answer(&mut world, Status::True);
    end(&mut world, Ending::Written);
    assert_eq!(standing(&world, Status::True), 1);
}

#[test]
fn a_write_that_succeeds_tells_nothing_of_an_earlier_one_that_was_lost() {
    let mut world = in_service(4, plain());
    let only = |world: &mut World, pods: [&str; 2], status: Status| {
        world.take(Step::Pass(10_001));
        for call in std::mem::take(&mut world.calls) {
            let its = &*call.check == "check-0" && pods.contains(&&*call.key.uid);
            world.say(&call, if its { status } else { Status::True });
        }
        world.act();
    };
    only(&mut world, ["uid-1", "uid-2"], Status::False);
    assert_eq!(end(&mut world, Ending::AppliedButLost).len(), 2);
    // The answer is met again before anybody knows of it, and the other gate of these pods is written.
    only(&mut world, ["uid-1", "uid-2"], Status::True);
    world.rule(1, false, plain(), Selection::default());
    world.take(Step::Pass(40_000));
    only(&mut world, ["uid-1", "uid-2"], Status::True);
    end(&mut world, Ending::Written);
    only(&mut world, ["uid-3", "uid-4"], Status::False);
    end(&mut world, Ending::Written);
    assert!(standing(&world, Status::False) <= 2);
}

#[test]
fn a_gate_that_flaps_is_held_after_six_turns_in_a_minute_and_says_so() {
    let policy = Policy { period: Duration::from_secs(1), max_flaps: 6, ..plain() };
    let mut world = in_service(1, policy);
    let mut turns = 0;
    for round in 0..100_u32 {
        world.take(Step::Pass(1_100));
        answer(&mut world, if round % 2 == 0 { Status::False } else { Status::True });
        let ended = end(&mut world, Ending::Written);
        let all = ended.iter().flat_map(|patch| &patch.conditions);
        turns += all.filter(|(kind, c)| **kind == *TYPES[0] && c.status == Status::False).count();
        world.take(Step::Deliver(9));
        if round == 50 {
            assert!(turns <= 6, "{turns}");
        }
    }
    assert!((6..=14).contains(&turns), "{turns}");
    assert!(world.notes.iter().any(|(kind, _)| *kind == NoteKind::HeldByDamper));
    be(&mut world, Status::False);
    world.rest();
}

#[test]
fn an_override_counts_until_it_ends_and_over_a_restart_of_the_host() {
    let mut world = in_service(1, plain());
    world.take(Step::Override { pod: 0, gate: 0, status: false, seconds: 120, foreign: false });
    world.settle(Duration::from_secs(10));
    assert_eq!((standing(&world, Status::False), reason(&world, 0).as_str()), (1, "Overridden"));
    world.take(Step::RestartHost(0));
    world.settle(Duration::from_mins(1));
    assert_eq!((standing(&world, Status::False), reason(&world, 0).as_str()), (1, "Overridden"));
    world.settle(Duration::from_secs(80));
    assert_eq!((standing(&world, Status::True), reason(&world, 0).as_str()), (1, "Because"));
}

#[test]
fn an_override_of_another_pod_or_for_longer_than_allowed_is_refused_and_told() {
    for (seconds, foreign, policy) in
        [(60, true, plain()), (90_000, false, plain()), (60, false, Policy { overridable: false, ..plain() })]
    {
        let mut world = in_service(1, policy);
        let before = world.sent;
        world.take(Step::Override { pod: 0, gate: 0, status: false, seconds, foreign });
        world.settle(Duration::from_secs(30));
        assert_eq!((standing(&world, Status::True), world.sent), (1, before));
        assert!(world.notes.iter().any(|(kind, _)| *kind == NoteKind::OverrideRefused));
    }
}

#[test]
fn overrides_to_false_spend_the_budget() {
    let mut world = in_service(4, plain());
    for pod in 0..4 {
        world.take(Step::Override { pod, gate: 0, status: false, seconds: 3_600, foreign: false });
    }
    world.settle(Duration::from_mins(1));
    assert_eq!((standing(&world, Status::False), standing(&world, Status::True)), (2, 2));
}

#[test]
fn a_dry_run_check_is_asked_and_never_written_and_its_difference_is_told_once() {
    let mut world = in_service(1, plain());
    let before = world.sent;
    world.rule(0, true, plain(), Selection::default());
    for _ in 0..5 {
        world.take(Step::Pass(10_001));
        for call in std::mem::take(&mut world.calls) {
            world.say(&call, if call.key.dry_run { Status::False } else { Status::True });
        }
        world.act();
    }
    assert_eq!((world.sent, standing(&world, Status::True)), (before, 1));
    assert_eq!(world.notes.iter().filter(|(kind, _)| *kind == NoteKind::DryRunDiffers).count(), 1);
}

#[test]
fn an_initial_delay_counts_from_the_pods_own_times_and_not_from_the_hosts_start() {
    // ContainersReady is 10 s old when the host begins.
    let delayed = |seconds| Policy {
        initial_delay: Duration::from_secs(seconds),
        start_when: StartWhen::ContainersReady,
        ..plain()
    };
    for (seconds, left) in [(5, 0), (30, 20_000)] {
        let mut world = World::with(Options::default());
        world.rule(0, false, delayed(seconds), Selection::default());
        world.take(Step::Annotate { pod: 0, note: 0 });
        world.take(Step::Deliver(9));
        if left > 0 {
            assert!(world.calls.is_empty());
            world.take(Step::Pass(left / 2));
            world.take(Step::RestartHost(0));
            world.take(Step::Relist);
            world.take(Step::Pass(left / 2 - 1));
            assert!(world.calls.is_empty());
            world.take(Step::Pass(1));
        }
        assert_eq!(world.calls.len(), 1, "{seconds} s");
    }
}

#[test]
fn answers_of_what_is_replaced_and_events_that_are_old_count_for_nothing() {
    let mut world = in_service(1, plain());
    world.take(Step::Pass(10_001));
    let call = world.calls.swap_remove(world.calls.iter().position(|call| &*call.check == "check-0").unwrap());
    let old = world.cluster.pods[&0].event();
    world.take(Step::Annotate { pod: 0, note: 3 });
    world.take(Step::Deliver(9));
    world.core.handle(old, world.now);
    world.rule(0, false, plain(), Selection::default());
    world.say(&call, Status::False);
    world.act();
    assert!(world.patches.is_empty());
    let again = world.calls.iter().find(|call| &*call.check == "check-0").expect("asked once more");
    assert_eq!(super::cluster::note(&again.pod.open()), 3);
}

#[test]
fn in_bootstrap_an_answer_that_comes_after_the_first_true_stands_counts_for_nothing() {
    let mut world = World::with(Options::default());
    world.rule(0, false, Policy { mode: Mode::Bootstrap, ..plain() }, Selection::default());
    world.take(Step::Annotate { pod: 0, note: 0 });
    world.take(Step::Deliver(9));
    answer(&mut world, Status::True);
    world.take(Step::Annotate { pod: 1, note: 0 });
    let wall = world.now.wall;
    end(&mut world, Ending::Lost);
    world.cluster.touch(0, wall, |stored| annotate(&mut stored.pod, NOTE, Some("1".into())));
    world.take(Step::Deliver(9));
    // One answer makes it True, and before it stands the pod changes once more.
    answer(&mut world, Status::True);
    world.take(Step::Pass(1_000));
    let risen = std::mem::take(&mut world.patches);
    world.take(Step::Pass(10_001));
    for patch in &risen {
        world.end_write(patch, Ending::Written);
    }
    assert_eq!(standing(&world, Status::True), 2);
    answer(&mut world, Status::False);
    world.take(Step::Pass(1_000));
    end(&mut world, Ending::Written);
    assert_eq!(standing(&world, Status::True), 2);
}

#[test]
fn a_restart_of_the_host_writes_nothing_where_nothing_changed() {
    for status in [Status::True, Status::False, Status::Unknown] {
        let mut world = in_service(4, Policy { failure_threshold: 2, success_threshold: 2, ..plain() });
        be(&mut world, status);
        world.settle(Duration::from_mins(10));
        let before = world.sent;
        for _ in 0..3 {
            world.take(Step::RestartHost(0));
            world.settle(Duration::from_mins(1));
            assert_eq!(world.sent, before, "{status:?}");
        }
    }
}

/// Two hosts decide the same: whichever is first writes, and the other one finds it done.
#[test]
fn what_another_host_wrote_and_this_one_decides_too_is_no_fight() {
    let mut world = in_service(1, plain());
    let told = |world: &mut World, note: u8, status: Status| {
        world.take(Step::Annotate { pod: 0, note });
        world.take(Step::Deliver(9));
        answer(world, status);
    };
    told(&mut world, 1, Status::False);
    end(&mut world, Ending::Written);
    world.take(Step::Deliver(9));
    told(&mut world, 2, Status::True);
    end(&mut world, Ending::Written);
    world.take(Step::Deliver(9));
    // The other host's False comes while this one asks.
    world.take(Step::Annotate { pod: 0, note: 3 });
    world.take(Step::Foreign { pod: 0, gate: 0, status: 1 });
    world.take(Step::Deliver(9));
    answer(&mut world, Status::False);
    let turns = |patch: &Patch| patch.conditions.iter().any(|(_, condition)| condition.last_transition.is_some());
    assert!(!end(&mut world, Ending::Written).iter().any(turns), "its status stands");
    world.take(Step::Pass(1_000));
    told(&mut world, 4, Status::True);
    end(&mut world, Ending::Written);
    assert_eq!(standing(&world, Status::True), 1, "written at once");
    assert!(!world.notes.iter().any(|(kind, _)| *kind == NoteKind::Contested), "nobody fights");
}

#[test]
fn an_answer_of_a_call_over_which_the_host_stood_still_counts_for_nothing() {
    for fault in [false, true] {
        let mut world = in_service(1, Policy { on_fault: OnFault::False, ..plain() });
        world.take(Step::Pass(10_001));
        let call = world.calls.swap_remove(world.calls.iter().position(|call| &*call.check == "check-0").unwrap());
        world.core.handle(Event::Stalled, world.now);
        if fault {
            world.answer(&call, true);
        } else {
            world.say(&call, Status::False);
        }
        world.act();
        assert!(world.patches.is_empty() && !world.notes.iter().any(|(kind, _)| *kind == NoteKind::Fault));
        assert!(world.calls.iter().any(|call| &*call.check == "check-0"), "asked again at once");
    }
}

#[test]
fn a_fault_on_a_pod_that_changed_takes_no_gate_back_that_somebody_else_turned_true() {
    let mut world = in_service(1, plain());
    let change = |world: &mut World, note: u8| {
        world.take(Step::Annotate { pod: 0, note });
        world.take(Step::Deliver(9));
    };
    change(&mut world, 1);
    answer(&mut world, Status::False);
    end(&mut world, Ending::Written);
    world.take(Step::Deliver(9));
    world.take(Step::Pass(30_000));
    answer(&mut world, Status::False);
    // Another host saw the change first, and this one's plugin does not answer.
    world.take(Step::Annotate { pod: 0, note: 2 });
    world.take(Step::Foreign { pod: 0, gate: 0, status: 0 });
    world.take(Step::Deliver(9));
    for call in std::mem::take(&mut world.calls) {
        world.answer(&call, &*call.check == "check-0");
    }
    world.act();
    world.take(Step::Pass(60_000));
    end(&mut world, Ending::Written);
    assert_eq!(standing(&world, Status::True), 1, "a fault is not a verdict");
}
