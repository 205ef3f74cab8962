//! The promises of the design, under random schedules of events, faults, reloads, restarts and lost answers, over the
//! real core of dispatch with a virtual clock.
#![allow(clippy::unwrap_used, clippy::missing_docs_in_private_items, reason = "tests")]

mod promises {
    pub(crate) mod cluster;
    pub(crate) mod directed;
    pub(crate) mod fairness;
    pub(crate) mod judge;
    pub(crate) mod keeping;
    pub(crate) mod known;
    pub(crate) mod objects;
    pub(crate) mod operator;
    pub(crate) mod plugins;
    pub(crate) mod quarantine;
    pub(crate) mod reference;
    pub(crate) mod rest;
    pub(crate) mod step;
    pub(crate) mod steps;
    pub(crate) mod world;
    pub(crate) mod writes;
}

use gatehost::dispatch::Options;
use proptest::prelude::*;

use crate::promises::{plugins::claims, steps, world::World};

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(400), max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Plain checks that decide at once, in a busy world.
    #[test]
    fn the_promises_hold_under_random_schedules(steps in prop::collection::vec(steps::plain(), 1..160)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.rest();
    }

    /// Every field of a policy, containers that restart, overrides, budgets, and hosts that die.
    #[test]
    fn the_promises_hold_for_every_policy_and_over_restarts_of_the_host(
        rules in steps::rules(),
        pods in steps::pods(),
        steps in prop::collection::vec(steps::wild(), 1..160),
        seed in any::<u64>(),
    ) {
        let options = Options { seed, claims: claims(), writes_per_second: 5, write_burst: 20, ..Options::default() };
        let mut world = World::with(options);
        for step in rules.into_iter().chain(pods) {
            world.take(step);
        }
        world.settle(std::time::Duration::from_secs(5));
        for step in steps {
            world.take(step);
        }
        world.rest();
    }
}
