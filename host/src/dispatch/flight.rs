//! A call on its way.

use std::sync::Arc;

use super::GateKey;

/// A call in flight.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts that are independent of each other")]
pub(super) struct Flight {
    pub(super) key: GateKey,
    pub(super) check: Arc<str>,
    pub(super) generation: u64,
    /// The generation and the digest of the pod that is judged.
    pub(super) judged: u64,
    pub(super) digest: u64,
    /// Whether the gate was True at the begin.
    pub(super) was_true: bool,
    /// [`Gate::epoch`] at the begin.
    ///
    /// [`Gate::epoch`]: super::gate::Gate::epoch
    pub(super) epoch: u32,
    /// Neither the first one nor one that answers a change.
    pub(super) periodic: bool,
    /// The process stood still while it ran.
    pub(super) stalled: bool,
    /// It waits, or has waited, for an answer from outside.
    pub(super) outside: bool,
}
