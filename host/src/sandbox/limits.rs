//! What one call may use, and what keeps it to that.

use std::time::Duration;

use wasmtime::ResourceLimiter;

use crate::check::{Limit, Limits};

/// The largest file that is read as a plugin, in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// How long `describe` and `validate` may take.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How many calls compute at once. More wait for their turn, within their deadlines.
pub(super) const CALLS: u32 = 64;

/// How many calls there are at once, with those that wait for an answer from outside. Sizes the instance pool.
pub(super) const PLACES: u32 = 512;

/// How many linear memories a component may have.
pub(super) const MEMORIES: u32 = 4;

/// How many tables a component may have.
pub(super) const TABLES: u32 = 16;

/// How many core instances a component may have; those that Python's tools make have dozens.
pub(super) const INSTANCES: u32 = 100;

/// The stack of a guest, in bytes.
pub(super) const STACK: usize = 512 << 10;

/// The stack of a guest and of the host functions that it calls, in bytes.
pub(super) const ASYNC_STACK: usize = 1 << 20;

/// How many random bytes a guest may ask for at once.
pub(super) const RANDOM_BYTES: u64 = 64 << 10;

/// How many bytes of one log line are kept.
pub(super) const LOG_LINE: usize = 1 << 10;

/// How many bytes of config schema a plugin may have.
pub(super) const SCHEMA: usize = 64 << 10;

/// How many errors that `validate` finds in a config are told.
pub(super) const CONFIG_ERRORS: usize = 20;

/// How much one call may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowance([u32; Limit::ALL.len()]);

impl Allowance {
    /// The ceilings of a host: what its flags give, what is usual elsewhere.
    pub(super) fn ceilings(given: &Limits) -> Self {
        Self(Limit::ALL.map(|limit| given.get(limit).unwrap_or(limit.usual())))
    }

    /// What a check gets that asks for this: what is usual where it says nothing, and nothing above a ceiling.
    ///
    /// # Errors
    /// The limit of which it asks for more than the ceiling.
    pub(super) fn new(asked: &Limits, ceilings: &Self) -> Result<Self, Limit> {
        let above = |limit: &Limit| asked.get(*limit).is_some_and(|value| value > ceilings.of(*limit));
        match Limit::ALL.into_iter().find(above) {
            Some(limit) => Err(limit),
            None => Ok(Self(Limit::ALL.map(|limit| asked.get(limit).unwrap_or(limit.usual().min(ceilings.of(limit)))))),
        }
    }

    pub(super) fn of(&self, limit: Limit) -> u32 {
        self.0[limit as usize]
    }

    /// The same, to compare with sizes.
    pub(super) fn size(&self, limit: Limit) -> usize {
        self.of(limit) as usize
    }
}

/// What ended a call from within.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("the limit {} is exceeded", .0.field())]
    Limit(Limit),
    #[error("the deadline has passed")]
    Deadline,
}

/// Counts what one store uses. Growth beyond a limit ends the call, so that the fault names the cause and not what
/// the guest made of a refused allocation.
#[derive(Debug)]
pub(super) struct Limiter {
    allowance: Allowance,
    memory: usize,
    table: usize,
}

impl Limiter {
    pub(super) fn new(allowance: Allowance) -> Self {
        Self { allowance, memory: 0, table: 0 }
    }

    /// Whether a memory or a table does not grow after all, because of the maximum that it declares itself. wasmtime
    /// asks before it looks at that; what is refused by it costs nothing and must not count. A maximum that is no less
    /// than the limit may be that of the pool.
    fn stays(&self, desired: usize, maximum: Option<usize>, limit: Limit) -> bool {
        maximum.is_some_and(|maximum| desired > maximum && maximum < self.allowance.size(limit))
    }

    /// All linear memories together, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    fn counts(&self, used: usize, limit: Limit) -> wasmtime::Result<bool> {
        if used > self.allowance.size(limit) { Err(Exceeded::Limit(limit).into()) } else { Ok(true) }
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if !self.stays(desired, maximum, Limit::Memory) {
            self.memory = self.memory.saturating_add(desired.saturating_sub(current));
        }
        self.counts(self.memory, Limit::Memory)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if !self.stays(desired, maximum, Limit::TableElements) {
            self.table = self.table.saturating_add(desired.saturating_sub(current));
        }
        self.counts(self.table, Limit::TableElements)
    }

    fn instances(&self) -> usize {
        INSTANCES as usize
    }

    fn tables(&self) -> usize {
        TABLES as usize
    }

    fn memories(&self) -> usize {
        MEMORIES as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: usize = Limit::Memory.usual() as usize;

    fn usual() -> Allowance {
        Allowance::ceilings(&Limits::default())
    }

    #[test]
    fn each_limit_has_its_own_place() {
        for (at, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!((limit as usize, usual().of(limit)), (at, limit.usual()));
        }
    }

    #[test]
    fn several_memories_share_one_limit() {
        let mut limiter = Limiter::new(usual());
        assert!(limiter.memory_growing(0, USUAL / 2, None).unwrap());
        assert!(limiter.memory_growing(0, USUAL / 2, None).unwrap());
        let refused = limiter.memory_growing(USUAL / 2, USUAL / 2 + 65536, None).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&Exceeded::Limit(Limit::Memory)));
    }

    #[test]
    fn several_tables_share_one_limit() {
        let mut limiter = Limiter::new(usual());
        assert!(limiter.table_growing(0, 100_000, None).unwrap());
        let refused = limiter.table_growing(0, 1, None).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&Exceeded::Limit(Limit::TableElements)));
    }

    #[test]
    fn what_a_memory_and_a_table_refuse_themselves_does_not_count() {
        let mut limiter = Limiter::new(usual());
        for _ in 0..3 {
            assert!(limiter.memory_growing(65536, USUAL, Some(65536)).unwrap());
            assert!(limiter.table_growing(1, 100_000, Some(1)).unwrap());
        }
        // That of the pool is the host's limit.
        let refused = limiter.table_growing(1, 100_002, Some(100_000)).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&Exceeded::Limit(Limit::TableElements)));
        let mut limiter = Limiter::new(usual());
        assert!(limiter.memory_growing(0, USUAL, None).unwrap());
        assert!(limiter.table_growing(0, 100_000, None).unwrap());
    }

    #[test]
    fn a_check_gets_what_it_asks_for_and_nothing_above_a_ceiling() {
        let limits = |pairs: &[(Limit, u32)]| pairs.iter().copied().collect::<Limits>();
        let ceilings = Allowance::ceilings(&limits(&[(Limit::Memory, 128 << 20), (Limit::Handles, 100)]));
        let asked = Allowance::new(&limits(&[(Limit::Memory, 128 << 20), (Limit::Log, 1024)]), &ceilings).unwrap();
        assert_eq!((asked.of(Limit::Memory), asked.of(Limit::Log)), (128 << 20, 1024));
        // The usual is more than this host grants.
        assert_eq!(asked.of(Limit::Handles), 100);
        let none = Allowance::new(&Limits::default(), &ceilings).unwrap();
        assert_eq!(none.of(Limit::Memory), Limit::Memory.usual());
        for (limit, value) in [(Limit::Memory, (128 << 20) + 1), (Limit::Handles, 101), (Limit::Log, (8 << 10) + 1)] {
            assert_eq!(Allowance::new(&limits(&[(limit, value)]), &ceilings), Err(limit));
        }
    }

    #[test]
    fn the_contract_names_every_limit() {
        let contract = include_str!("../../../wit/gate.wit").replace("\n/// ", " ").replace("\n    /// ", " ");
        for figure in [
            format!("deadline of {} s", LOAD_TIMEOUT.as_secs()),
            format!("{} MiB of memory", Limit::Memory.usual() >> 20),
            format!("{} table elements", Limit::TableElements.usual()),
            format!("{} KiB of stack", STACK >> 10),
            format!("{} handles", Limit::Handles.usual()),
            format!("{} KiB of data", Limit::HostCall.usual() >> 10),
            format!("{} KiB of random bytes", RANDOM_BYTES >> 10),
            format!("A file has at most {} MiB", MAX_FILE >> 20),
            format!("{MEMORIES} memories, {TABLES} tables and {INSTANCES} core instances"),
            format!("the first {CONFIG_ERRORS} are shown"),
        ] {
            assert!(contract.contains(&figure), "wit/gate.wit does not name {figure:?}");
        }
        let logs = include_str!("../../../wit/log.wit").replace("\n    /// ", " ");
        assert!(logs.contains(&format!("a line is cut at {} KiB", LOG_LINE >> 10)));
        assert!(logs.contains(&format!("at most {} KiB are kept", Limit::Log.usual() >> 10)));
        assert!(logs.contains(&format!("{} KiB a second", Limit::LogPerSecond.usual() >> 10)));
        assert!(include_str!("../../../wit/types.wit").contains(&format!("at most {} KiB", SCHEMA >> 10)));
    }
}
