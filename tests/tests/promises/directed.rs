//! Promises that random schedules would rarely reach.

use std::time::Duration;

use gatehost::{
    check::Policy,
    decide::{Status, Verdict},
};

use super::{
    cluster::TYPES,
    operator::in_service,
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
