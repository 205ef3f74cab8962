//! The reasons that the host itself writes. A plugin cannot use them: after a restart of the host they are its memory.

/// `startWhen: containersReady` does not hold yet.
pub const WAITING_FOR_CONTAINERS: &str = "WaitingForContainers";
/// `startWhen: scheduled` does not hold yet.
pub const WAITING_FOR_SCHEDULE: &str = "WaitingForSchedule";
/// `initialDelaySeconds` have not passed yet.
pub const INITIAL_DELAY: &str = "InitialDelay";
/// There were only faults so far.
pub const NO_VERDICT_YET: &str = "NoVerdictYet";
/// No check answers the gate.
pub const NO_CHECK: &str = "NoCheck";
/// A container restarted or the IP is a new one: the verdict is void.
pub const RESTARTED: &str = "Restarted";
/// There has been no verdict for longer than `maxStaleSeconds`.
pub const STALE: &str = "Stale";
/// There is no verdict now, and the last one stands.
pub const FAULT_HELD: &str = "FaultHeld";
/// It would turn, and `maxUnready` of its owner is used up.
pub const HELD_BY_BUDGET: &str = "HeldByBudget";
/// It would turn, and has done so too often.
pub const HELD_BY_DAMPER: &str = "HeldByDamper";
/// The check is not asked for now, because its plugin broke off on one gate after the other. A fault's reason, which
/// stands in a condition where `onFault` makes one of it.
pub const QUARANTINED: &str = "Quarantined";
/// Somebody overrides it.
pub const OVERRIDDEN: &str = "Overridden";

/// Those that are written only before a first verdict.
const BEFORE: [&str; 5] = [WAITING_FOR_CONTAINERS, WAITING_FOR_SCHEDULE, INITIAL_DELAY, NO_VERDICT_YET, NO_CHECK];
const AFTER: [&str; 7] = [RESTARTED, STALE, FAULT_HELD, HELD_BY_BUDGET, HELD_BY_DAMPER, QUARANTINED, OVERRIDDEN];

/// Whether a condition with this reason has never been a verdict.
pub fn is_before_first_verdict(reason: &str) -> bool {
    BEFORE.contains(&reason)
}

/// Whether the host alone may give this reason.
pub fn is_ours(reason: &str) -> bool {
    BEFORE.contains(&reason) || AFTER.contains(&reason)
}
