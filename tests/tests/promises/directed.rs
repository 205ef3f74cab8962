//! Promises that random schedules would rarely reach.

use std::time::Duration;

use gatehost::{
    check::{MaxUnready, OnFault, Policy, Selection, StartWhen},
    decide::{Status, Verdict},
};

use super::{
    cluster::TYPES,
    operator::{be, in_service, standing},
    step::{Ending, Step},
    world::{World, plain},
};

/// A pod whose note something rewrites 20 times a second for half a minute.
#[test]
fn a_restless_pod_is_asked_about_at_most_five_times_and_then_once_a_second_and_its_last_value_decides() {
    let mut world = World::new();
    let mut asked = 0;
    for round in 0..600_u32 {
        world.take(Step::Annotate { pod: 0, note: u8::try_from(round % 5).unwrap() });
        world.take(Step::Deliver(9));
        asked += world.calls.iter().filter(|call| &*call.key.gate == "example.com/a").count();
        for call in std::mem::take(&mut world.calls) {
            let verdict = Verdict {
                status: Status::True,
                reason: "Because".into(),
                message: World::word(&call),
                recheck_after: None,
            };
            world.reply(&call, Ok(verdict));
        }
        world.take(Step::Pass(50));
    }
    assert!((30..=36).contains(&asked), "asked {asked} times in 30 s");
    world.rest();
}

/// A check whose message differs at every call, with answers each second for a minute.
#[test]
fn a_message_that_always_differs_is_written_once_in_five_minutes() {
    let mut world = World::new();
    world.take(Step::Annotate { pod: 0, note: 1 });
    world.take(Step::Deliver(9));
    for round in 0..60 {
        for call in std::mem::take(&mut world.calls) {
            let verdict = Verdict {
                status: Status::True,
                reason: "Because".into(),
                message: format!("{round} {}", World::word(&call)),
                recheck_after: Some(Duration::from_secs(1)),
            };
            world.reply(&call, Ok(verdict));
        }
        world.act();
        for patch in std::mem::take(&mut world.patches) {
            world.end_write(&patch, Ending::Written);
        }
        world.take(Step::Pass(1000));
    }
    // One patch that sets both statuses, and at most one with new texts a gate.
    assert!((2..=3).contains(&world.sent), "{} patches", world.sent);
}

/// A condition that another controller keeps changing is set right, but not in a fight.
#[test]
fn a_status_that_somebody_else_changes_is_set_right_at_most_every_ten_seconds() {
    let mut world = World::new();
    world.take(Step::Annotate { pod: 0, note: 1 });
    world.rest();
    let before = world.sent;
    for round in 0..300_u32 {
        world.take(Step::Foreign { pod: 0, gate: 0, status: u8::try_from(round % 3).unwrap() });
        world.take(Step::Deliver(9));
        for patch in std::mem::take(&mut world.patches) {
            world.end_write(&patch, Ending::Written);
        }
        world.take(Step::Pass(100));
    }
    assert!((1..=4).contains(&(world.sent - before)), "{} patches in 30 s", world.sent - before);
    world.rest();
}

/// A pod that changes while its gate is being asked about.
#[test]
fn a_change_during_a_call_is_answered_by_another_call_at_once() {
    let mut world = World::new();
    world.take(Step::Annotate { pod: 0, note: 1 });
    world.take(Step::Deliver(9));
    let first = std::mem::take(&mut world.calls);
    assert_eq!(first.len(), 2);
    world.take(Step::Annotate { pod: 0, note: 2 });
    world.take(Step::Deliver(9));
    assert!(world.calls.is_empty(), "a gate is asked while a call runs");
    for call in first {
        world.answer(&call, true);
    }
    world.act();
    assert_eq!(world.calls.len(), 2, "no time has passed and both gates are asked again");
}

/// A host that begins while an override stands, is answered once, and then hears of faults only.
#[test]
fn a_verdict_that_an_override_hid_is_too_old_when_any_other_would_be() {
    for (seconds, then) in [(20, ("True", "Because")), (120, ("Unknown", "Stale"))] {
        let mut world = in_service(1, Policy { max_stale: Some(Duration::from_mins(1)), ..plain() });
        world.take(Step::Override { pod: 0, gate: 0, status: false, seconds, foreign: false });
        world.settle(Duration::from_secs(1));
        world.take(Step::RestartHost(0));
        world.settle(Duration::from_secs(1));
        world.take(Step::Break { gate: 0, broken: true });
        let said = |world: &World| {
            let condition = world.cluster.pods[&0].pod.condition(TYPES[0]).unwrap();
            (condition.status.clone(), condition.reason.clone())
        };
        let is = |(status, reason): (&str, &str)| (status.to_owned(), reason.to_owned());
        let left = u64::try_from(seconds).unwrap() - 2;
        world.settle(Duration::from_secs(left - 1));
        assert_eq!(said(&world), is(("False", "Overridden")));
        world.settle(Duration::from_secs(2));
        assert_eq!(said(&world), is(then), "{seconds} s");
        world.settle(Duration::from_secs(120_u64.saturating_sub(left)));
        assert_eq!(said(&world), is(("Unknown", "Stale")), "{seconds} s");
        world.rest();
    }
}

/// A gate with nothing but faults, whose text changes when its check's plugin is taken for broken, and changes again when
/// the containers are not ready.
#[test]
fn what_a_gate_waits_for_is_said_within_five_minutes_of_another_text() {
    let mut world = in_service(0, Policy { start_when: StartWhen::ContainersReady, ..plain() });
    world.take(Step::Break { gate: 0, broken: true });
    for pod in 0..7 {
        world.take(Step::Annotate { pod, note: 0 });
    }
    let said = |world: &World| world.cluster.pods[&0].pod.condition(TYPES[0]).unwrap().clone();
    world.settle(Duration::from_secs(15));
    assert!(said(&world).message.contains("Quarantined"), "{:?}", said(&world));
    world.take(Step::Restart { pod: 0, told_late: false });
    // Another generation ends the quarantine, and a rest is shorter than the time between two texts then.
    world.take(Step::Reload(0));
    world.rest();
    assert_eq!(said(&world).reason, "NoVerdictYet");
    world.settle(Duration::from_mins(1));
    assert_eq!(said(&world).reason, "WaitingForContainers");
}

/// The check's first verdict here, which an override hides, is True; from then on there are faults only.
#[test]
fn a_true_that_an_override_hid_is_not_written_after_faults_that_would_have_turned_it() {
    for (on_fault, to) in [(OnFault::False, "False"), (OnFault::Unknown, "Unknown")] {
        for begins in [Step::RestartHost(0), Step::Reload(0), Step::Pass(0)] {
            for (seconds, then) in [(20, "True"), (120, to)] {
                let first = !matches!(begins, Step::Pass(_));
                let mut world = in_service(1, Policy { on_fault, failure_threshold: 3, ..plain() });
                world.take(Step::Override { pod: 0, gate: 0, status: false, seconds, foreign: false });
                world.settle(Duration::from_secs(1));
                world.take(begins.clone());
                be(&mut world, Status::True);
                world.settle(Duration::from_secs(1));
                world.take(Step::Break { gate: 0, broken: true });
                let said = |world: &World| world.cluster.pods[&0].pod.condition(TYPES[0]).unwrap().clone();
                world.settle(Duration::from_secs(u64::try_from(seconds).unwrap() - 3));
                assert_eq!(said(&world).reason, "Overridden");
                world.settle(Duration::from_secs(2));
                // A True that has been written, and does not stand, is protected by no threshold.
                let then = if first { then } else { to };
                assert_eq!(said(&world).status, then, "{on_fault:?} {begins:?} {seconds} s");
                world.settle(Duration::from_mins(1));
                assert_eq!(said(&world).status, to, "{on_fault:?} {begins:?} {seconds} s");
                world.rest();
            }
        }
    }
}

/// What makes the second gate of a pod True for a moment before there was a verdict: somebody else, and an override.
fn for_a_moment(pod: usize) -> [Step; 2] {
    let by_hand = Step::Override { pod, gate: 1, status: true, seconds: 5, foreign: false };
    [Step::Foreign { pod, gate: 1, status: 0 }, by_hand]
}

/// Five pods of one owner with a True gate and another one that is not asked for an hour, of which one is made True for
/// a moment.
fn put_right(pod: usize, make: Step) -> World {
    let mut world = in_service(0, Policy { max_unready: MaxUnready::Count(1), ..plain() });
    world.rule(1, false, Policy { initial_delay: Duration::from_hours(1), ..plain() }, Selection::default());
    for pod in 0..5 {
        world.take(Step::Annotate { pod, note: 0 });
    }
    be(&mut world, Status::True);
    world.settle(Duration::from_secs(30));
    let look = |world: &mut World| {
        if world.cluster.pods[&pod].is_true(TYPES[1]) {
            world.take(Step::Kubelet(pod));
        }
        world.take(Step::Deliver(9));
    };
    let said = |world: &World| world.cluster.pods[&pod].pod.condition(TYPES[1]).unwrap().reason.clone();
    assert_eq!(said(&world), "InitialDelay");
    world.take(make);
    look(&mut world);
    arrive(&mut world);
    look(&mut world);
    world.take(Step::Pass(10_000));
    arrive(&mut world);
    assert_eq!(said(&world), "InitialDelay");
    assert!(world.cluster.pods[&pod].ever_true.contains(TYPES[1]));
    be(&mut world, Status::False);
    world
}

/// One write after the other arrives; kubelet does not look.
fn arrive(world: &mut World) {
    while let Some(patch) = world.patches.pop() {
        world.end_write(&patch, Ending::Written);
        world.act();
    }
}

/// Which pods' first gates are False after each has been asked once; kubelet does not look.
fn turned(world: &mut World) -> Vec<usize> {
    world.take(Step::Relist);
    world.take(Step::Pass(10_000));
    for call in std::mem::take(&mut world.calls) {
        world.answer(&call, false);
    }
    world.act();
    arrive(world);
    (0..5).filter(|pod| world.cluster.pods[pod].status(TYPES[0]) == Some("False")).collect()
}

#[test]
fn a_host_that_begins_before_kubelet_looks_counts_a_pod_that_was_ready_until_its_gate_was_put_right() {
    for make in for_a_moment(2) {
        let mut world = put_right(2, make);
        assert!(world.cluster.pods[&2].is_true("Ready"), "kubelet has not looked since");
        world.take(Step::RestartHost(0));
        assert_eq!(turned(&mut world), [2], "it is out of service already, and nobody else may be");
        world.settle(Duration::from_mins(1));
        assert_eq!(turned(&mut world), [2]);
    }
}

/// The condition says that there was no verdict yet, and nothing else tells of it.
#[test]
fn a_true_before_a_first_verdict_that_made_no_pod_ready_counts_until_the_host_restarts() {
    for make in for_a_moment(3) {
        for (restarts, pod) in [(false, 3), (true, 0)] {
            let mut world = put_right(3, make.clone());
            assert!(!world.cluster.pods[&3].ever_true.contains("Ready"));
            if restarts {
                world.take(Step::RestartHost(0));
            }
            assert_eq!(turned(&mut world), [pod]);
            world.settle(Duration::from_mins(1));
            assert_eq!(turned(&mut world), [pod]);
        }
    }
}

/// A restart while no check answers a gate whose True stands.
#[test]
fn a_true_that_a_restart_made_void_while_no_check_answered_it_is_not_held_by_the_next_one() {
    for begins in [Step::Pass(0), Step::RestartHost(0)] {
        let one = Policy { max_unready: MaxUnready::Count(1), ..plain() };
        let mut world = in_service(2, one.clone());
        for gate in 0..2 {
            world.take(Step::Remove { gate, dry_run: false });
        }
        for pod in 0..2 {
            world.take(Step::Restart { pod, told_late: false });
        }
        world.settle(Duration::from_secs(10));
        assert_eq!(standing(&world, Status::True), 2, "nobody answers it");
        world.take(begins);
        world.rule(0, false, one, Selection::default());
        world.settle(Duration::from_secs(10));
        assert_eq!(standing(&world, Status::Unknown), 2, "neither verdict holds for its containers");
        world.rest();
    }
}
