//! The promises of the design, under random schedules of events, faults, reloads and lost answers, over the real
//! core of dispatch with a virtual clock.
#![allow(clippy::unwrap_used, clippy::missing_docs_in_private_items, reason = "tests")]

mod promises {
    pub(crate) mod directed;
    pub(crate) mod fairness;
    pub(crate) mod world;
}

use proptest::prelude::*;

use crate::promises::world::{Ending, Step, World};

fn step() -> impl Strategy<Value = Step> {
    let pod = 0..4_usize;
    let gate = 0..3_usize;
    prop_oneof![
        3 => (pod.clone(), 0..5_u8).prop_map(|(pod, note)| Step::Annotate { pod, note }),
        1 => pod.clone().prop_map(Step::Recreate),
        1 => pod.clone().prop_map(Step::Delete),
        1 => (pod, gate.clone(), 0..3_u8).prop_map(|(pod, gate, status)| Step::Foreign { pod, gate, status }),
        1 => gate.clone().prop_map(Step::Reload),
        1 => gate.prop_map(Step::Remove),
        4 => (1..6_usize).prop_map(Step::Deliver),
        1 => Just(Step::Relist),
        6 => (any::<prop::sample::Index>(), 0..4_u8).prop_map(|(which, how)| Step::Answer { which, fault: how == 0 }),
        6 => (any::<prop::sample::Index>(), ending()).prop_map(|(which, how)| Step::EndWrite { which, how }),
        4 => prop_oneof![1..200_u64, 900..1100_u64, 9_000..12_000_u64, 290_000..310_000_u64].prop_map(Step::Pass),
        1 => (-3_600_000..3_600_000_i64).prop_map(Step::JumpWall),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        6 => Just(Ending::Written),
        1 => Just(Ending::Refused),
        1 => Just(Ending::Lost),
        1 => Just(Ending::AppliedButLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_shrink_iters: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promises 1 to 6 and 8, checked at each action, and promise 4 at rest.
    #[test]
    fn the_promises_hold_under_random_schedules(steps in prop::collection::vec(step(), 1..160)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.rest();
    }
}
