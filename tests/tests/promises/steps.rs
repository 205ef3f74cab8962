//! Random schedules.

use std::time::Duration;

use gatehost::{
    check::{MaxUnready, Mode, OnFault, Policy, StartWhen},
    decide::Blame,
};
use proptest::{prelude::*, sample::Index};

use super::step::{Ending, Step};

const PODS: usize = 7;

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        6 => Just(Ending::Written),
        1 => Just(Ending::Refused),
        1 => Just(Ending::Lost),
        1 => Just(Ending::AppliedButLost),
    ]
}

/// Plugins that break off, for a while, and calls that fail for other reasons.
fn trouble() -> impl Strategy<Value = Step> {
    let blame = prop_oneof![Just(Blame::Answer), Just(Blame::Nothing)];
    prop_oneof![
        3 => (0..2_usize, any::<bool>()).prop_map(|(gate, broken)| Step::Break { gate, broken }),
        2 => (any::<Index>(), blame).prop_map(|(which, blame)| Step::Excuse { which, blame }),
    ]
}

fn time() -> impl Strategy<Value = Step> {
    prop_oneof![1..200_u64, 900..1100_u64, 9_000..12_000_u64, 290_000..310_000_u64].prop_map(Step::Pass)
}

/// What happens to any host.
pub(crate) fn plain() -> impl Strategy<Value = Step> {
    let pod = 0..4_usize;
    let gate = 0..3_usize;
    prop_oneof![
        3 => (pod.clone(), 0..5_u8).prop_map(|(pod, note)| Step::Annotate { pod, note }),
        1 => pod.clone().prop_map(Step::Recreate),
        1 => pod.clone().prop_map(Step::Delete),
        1 => (pod, gate.clone(), 0..3_u8).prop_map(|(pod, gate, status)| Step::Foreign { pod, gate, status }),
        2 => (gate.clone(), 0..3_u8).prop_map(|(gate, mood)| Step::Object { gate, mood }),
        1 => gate.clone().prop_map(Step::Reload),
        1 => gate.prop_map(|gate| Step::Remove { gate, dry_run: false }),
        4 => (1..6_usize).prop_map(Step::Deliver),
        1 => Just(Step::Relist),
        1 => any::<Index>().prop_map(Step::RelistOld),
        6 => (any::<Index>(), 0..4_u8).prop_map(|(which, how)| Step::Answer { which, fault: how == 0 }),
        6 => (any::<Index>(), ending()).prop_map(|(which, how)| Step::EndWrite { which, how }),
        2 => trouble(),
        4 => time(),
        1 => (-3_600_000..3_600_000_i64).prop_map(Step::JumpWall),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let thresholds = (1..4_u32, 1..4_u32, prop_oneof![Just(5_u64), Just(10), Just(20)]);
    let start = (
        prop_oneof![Just(StartWhen::ContainersReady), Just(StartWhen::Scheduled), Just(StartWhen::Always)],
        prop_oneof![3 => Just(0_u64), 1 => 1..20_u64],
    );
    let faults = (
        prop_oneof![Just(OnFault::Hold), Just(OnFault::False), Just(OnFault::Unknown)],
        prop_oneof![2 => Just(None), 1 => (1..60_u64).prop_map(Some)],
    );
    let bounds = (
        prop_oneof![
            2 => Just(MaxUnready::Percent(50)),
            1 => (1..4_u32).prop_map(MaxUnready::Count),
            1 => (1..101_u32).prop_map(MaxUnready::Percent),
        ],
        prop_oneof![2 => Just(6000_u32), 1 => 1..7_u32],
        prop_oneof![3 => Just(Mode::Continuous), 1 => Just(Mode::Bootstrap)],
        0..4_u8,
    );
    (thresholds, start, faults, bounds).prop_map(|(thresholds, start, faults, bounds)| Policy {
        success_threshold: thresholds.0,
        failure_threshold: thresholds.1,
        period: Duration::from_secs(thresholds.2),
        start_when: start.0,
        initial_delay: Duration::from_secs(start.1),
        on_fault: faults.0,
        max_stale: faults.1.map(Duration::from_secs),
        max_unready: bounds.0,
        max_flaps: bounds.1,
        mode: bounds.2,
        overridable: bounds.3 > 0,
    })
}

fn rule(gate: usize, dry_run: bool) -> impl Strategy<Value = Step> {
    let select = prop_oneof![4 => Just(0_u8), 1 => 1..4_u8];
    (policy(), select).prop_map(move |(policy, select)| Step::Policy { gate, dry_run, policy: policy.into(), select })
}

/// A live check for each type and a dry-run check for one.
pub(crate) fn rules() -> impl Strategy<Value = Vec<Step>> {
    (rule(0, false), rule(1, false), rule(2, false), rule(1, true)).prop_map(|(a, b, c, d)| vec![a, b, c, d])
}

/// All pods are there, and most of them begin in service.
pub(crate) fn pods() -> impl Strategy<Value = Vec<Step>> {
    let all = |note: u8| (0..PODS).map(move |pod| Step::Annotate { pod, note }).collect::<Vec<_>>();
    let moods = prop::collection::vec(0..3_u8, 2);
    (0..3_u8, moods).prop_map(move |(note, moods)| {
        let moods = moods.into_iter().enumerate().map(|(gate, mood)| Step::Mood { gate, mood });
        all(note).into_iter().chain(moods).collect()
    })
}

fn to_pods() -> impl Strategy<Value = Step> {
    let pod = 0..PODS;
    let gate = 0..2_usize;
    let seconds = prop_oneof![4 => 1..300_i64, 1 => Just(90_000_i64), 1 => -5..1_i64];
    prop_oneof![
        2 => (pod.clone(), 0..5_u8).prop_map(|(pod, note)| Step::Annotate { pod, note }),
        1 => pod.clone().prop_map(Step::Recreate),
        1 => pod.clone().prop_map(Step::Delete),
        1 => pod.clone().prop_map(Step::Finish),
        1 => (pod.clone(), any::<bool>()).prop_map(|(pod, web)| Step::Label { pod, web }),
        1 => pod.clone().prop_map(Step::Bump),
        1 => pod.clone().prop_map(Step::NewIp),
        2 => (pod.clone(), any::<bool>()).prop_map(|(pod, ready)| Step::Containers { pod, ready }),
        2 => (pod.clone(), any::<bool>()).prop_map(|(pod, told_late)| Step::Restart { pod, told_late }),
        4 => pod.clone().prop_map(Step::Kubelet),
        2 => (pod.clone(), gate.clone(), any::<bool>(), seconds, 0..5_u8).prop_map(|(pod, gate, status, seconds, f)| {
            Step::Override { pod, gate, status, seconds, foreign: f == 0 }
        }),
        1 => pod.clone().prop_map(Step::ClearOverride),
        1 => (pod, gate, 0..3_u8).prop_map(|(pod, gate, status)| Step::Foreign { pod, gate, status }),
    ]
}

/// What happens to a host with every field of a policy in use.
pub(crate) fn wild() -> impl Strategy<Value = Step> {
    let gate = 0..2_usize;
    prop_oneof![
        6 => to_pods(),
        2 => (gate.clone(), 0..3_u8).prop_map(|(gate, mood)| Step::Mood { gate, mood }),
        1 => (gate.clone(), 0..3_u8).prop_map(|(gate, mood)| Step::Object { gate, mood }),
        1 => (gate.clone(), any::<bool>()).prop_flat_map(|(gate, dry_run)| rule(gate, dry_run)),
        1 => (gate, any::<bool>()).prop_map(|(gate, dry_run)| Step::Remove { gate, dry_run }),
        1 => any::<bool>().prop_map(Step::Namespace),
        5 => (1..12_usize).prop_map(Step::Deliver),
        1 => Just(Step::Relist),
        1 => any::<Index>().prop_map(Step::RelistOld),
        7 => (any::<Index>(), 0..5_u8).prop_map(|(which, how)| Step::Answer { which, fault: how == 0 }),
        7 => (any::<Index>(), ending()).prop_map(|(which, how)| Step::EndWrite { which, how }),
        1 => any::<u8>().prop_map(Step::RestartHost),
        2 => trouble(),
        4 => time(),
        1 => prop_oneof![9 => Just(0_i64), 1 => -3_600_000..3_600_000_i64].prop_map(Step::JumpWall),
        3 => (1..15_u64).prop_map(Step::Rounds),
    ]
}
