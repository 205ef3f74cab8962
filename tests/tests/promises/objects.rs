//! Objects that plugins read: who read one is asked again when it changes, under the rules of a change of the pod.

use gatehost::{
    decide::{Status, Verdict},
    dispatch::{Call, Event},
    sandbox::{Read, View},
};

use super::{step::Step, world::World};

const GATE: &str = "example.com/a";

/// A world at work, of whose gates one reads an object in version 1.
fn reading(view: &View) -> World {
    let mut world = World::new();
    world.take(Step::Annotate { pod: 0, note: 1 });
    world.take(Step::Deliver(9));
    for call in std::mem::take(&mut world.calls) {
        answer(&mut world, &call, view, 1);
    }
    world.act();
    assert!(world.calls.is_empty());
    world
}

/// The gate's plugin has read this version, another's nothing.
fn answer(world: &mut World, call: &Call, view: &View, version: u64) {
    let reads = if &*call.key.gate == GATE { vec![Read { view: view.clone(), version }] } else { vec![] };
    let (reason, message) = ("Because".into(), World::word(call));
    let verdict = Ok(Verdict { status: Status::True, reason, message, recheck_after: None });
    world.reply_having_read(call, verdict, reads);
}

fn change(world: &mut World, view: &View, version: u64) {
    world.core.handle(Event::ObjectsChanged(vec![(view.id(), version)]), world.now);
    world.act();
}

#[test]
fn a_change_makes_due_at_once_what_read_it_and_nothing_else() {
    let view = View::new(7);
    let mut world = reading(&view);
    change(&mut world, &View::new(8), 5);
    change(&mut world, &view, 1);
    assert!(world.calls.is_empty(), "another object, and the version that was read");
    change(&mut world, &view, 2);
    assert_eq!(world.calls.iter().map(|call| &*call.key.gate).collect::<Vec<_>>(), [GATE]);
}

#[test]
fn an_object_that_never_rests_is_answered_five_times_and_then_once_a_second_and_its_last_version_is_read() {
    let view = View::new(7);
    let mut world = reading(&view);
    let (mut asked, mut read) = (0, 1);
    for version in 2..602 {
        change(&mut world, &view, version);
        for call in std::mem::take(&mut world.calls) {
            asked += usize::from(&*call.key.gate == GATE);
            answer(&mut world, &call, &view, version);
            read = version;
        }
        world.take(Step::Pass(50));
    }
    assert!((30..=36).contains(&asked), "asked {asked} times in 30 s");
    for _ in 0..20 {
        for call in std::mem::take(&mut world.calls) {
            answer(&mut world, &call, &view, 601);
            read = 601;
        }
        world.take(Step::Pass(100));
    }
    assert_eq!(read, 601);
}

#[test]
fn a_change_between_the_read_and_the_end_of_the_call_is_not_lost() {
    let view = View::new(7);
    let mut world = World::new();
    world.take(Step::Annotate { pod: 0, note: 1 });
    world.take(Step::Deliver(9));
    change(&mut world, &view, 2);
    for call in std::mem::take(&mut world.calls) {
        answer(&mut world, &call, &view, 1);
    }
    world.act();
    assert_eq!(world.calls.iter().map(|call| &*call.key.gate).collect::<Vec<_>>(), [GATE]);
}

#[test]
fn a_gate_that_reads_something_else_now_and_a_pod_that_is_gone_are_not_asked() {
    let (view, other) = (View::new(7), View::new(8));
    let mut world = reading(&view);
    change(&mut world, &view, 2);
    for call in std::mem::take(&mut world.calls) {
        answer(&mut world, &call, &other, 1);
    }
    change(&mut world, &view, 3);
    assert!(world.calls.is_empty() && !view.is_held(), "nothing of it is kept");
    change(&mut world, &other, 2);
    assert_eq!(world.calls.len(), 1);
    for call in std::mem::take(&mut world.calls) {
        answer(&mut world, &call, &other, 2);
    }
    world.take(Step::Delete(0));
    world.take(Step::Deliver(9));
    change(&mut world, &other, 3);
    assert!(world.calls.is_empty() && !other.is_held());
}
