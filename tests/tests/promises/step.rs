//! What happens in the model's world.

use gatehost::{check::Policy, decide::Blame};
use proptest::sample::Index;

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Annotate {
        pod: usize,
        note: u8,
    },
    Recreate(usize),
    Delete(usize),
    /// It ends: it is being deleted, or has run to its end.
    Finish(usize),
    Label {
        pod: usize,
        web: bool,
    },
    Bump(usize),
    NewIp(usize),
    Containers {
        pod: usize,
        ready: bool,
    },
    Restart {
        pod: usize,
        told_late: bool,
    },
    Kubelet(usize),
    Override {
        pod: usize,
        gate: usize,
        status: bool,
        seconds: i64,
        foreign: bool,
    },
    ClearOverride(usize),
    Foreign {
        pod: usize,
        gate: usize,
        status: u8,
    },
    /// Another generation of a gate's check.
    Reload(usize),
    Policy {
        gate: usize,
        dry_run: bool,
        policy: Box<Policy>,
        select: u8,
    },
    Remove {
        gate: usize,
        dry_run: bool,
    },
    Namespace(bool),
    Deliver(usize),
    Relist,
    /// A list from a replica that lags.
    RelistOld(Index),
    /// The plugins of a gate break off at every call, or do so no more.
    Break {
        gate: usize,
        broken: bool,
    },
    /// What the plugins of a gate say changes.
    Mood {
        gate: usize,
        mood: u8,
    },
    /// The same, by an object that they read.
    Object {
        gate: usize,
        mood: u8,
    },
    Answer {
        which: Index,
        fault: bool,
    },
    /// There is no answer, and it is not the code's fault.
    Excuse {
        which: Index,
        blame: Blame,
    },
    EndWrite {
        which: Index,
        how: Ending,
    },
    /// The host dies, and another one begins. Of what it was writing some arrives, by bit.
    RestartHost(u8),
    Pass(u64),
    /// Everything runs as it should, for so many seconds.
    Rounds(u64),
    JumpWall(i64),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Ending {
    Written,
    Refused,
    Lost,
    AppliedButLost,
}
