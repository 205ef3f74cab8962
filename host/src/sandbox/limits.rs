//! What one call may use, and what keeps it to that.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The largest file that is read as a plugin, in bytes.
pub const MAX_FILE: u64 = 64 << 20;

/// How long `describe` and `validate` may take.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How many calls compute at once. More wait for their turn, within their deadlines.
pub(super) const CALLS: u32 = 64;

/// How many calls there are at once, with those that wait for an answer from outside. Sizes the instance pool.
pub(super) const PLACES: u32 = 512;

/// All linear memories of one call together, in bytes.
pub(super) const MEMORY: usize = 64 << 20;

/// How many linear memories a component may have.
pub(super) const MEMORIES: u32 = 4;

/// All tables of one call together, in elements.
pub(super) const TABLE_ELEMENTS: usize = 100_000;

/// How many tables a component may have.
pub(super) const TABLES: u32 = 16;

/// How many core instances a component may have; those that Python's tools make have dozens.
pub(super) const INSTANCES: u32 = 100;

/// The stack of a guest, in bytes.
pub(super) const STACK: usize = 512 << 10;

/// The stack of a guest and of the host functions that it calls, in bytes.
pub(super) const ASYNC_STACK: usize = 1 << 20;

/// How many bytes a guest may hand over in one call of a host function, or in its answer: 1 MiB, which is the most that
/// an import sends for it, and room for what stands around that.
pub(super) const HOST_CALL_BYTES: usize = (1 << 20) + (128 << 10);

/// How many handles a guest may hold at once.
pub(super) const HANDLES: usize = 1000;

/// How many random bytes a guest may ask for at once.
pub(super) const RANDOM_BYTES: u64 = 64 << 10;

/// How many bytes of standard output, standard error and log lines are kept of one call.
pub(super) const OUTPUT: usize = 8 << 10;

/// How many bytes of one log line are kept.
pub(super) const LOG_LINE: usize = 1 << 10;

/// How many bytes of config schema a plugin may have.
pub(super) const SCHEMA: usize = 64 << 10;

/// A limit that ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Exceeded {
    #[error("it needs more than {} MiB of memory", MEMORY >> 20)]
    Memory,
    #[error("it needs more than {TABLE_ELEMENTS} table elements")]
    Table,
    #[error("the deadline has passed")]
    Deadline,
}

/// Counts what one store uses. Growth beyond a limit ends the call, so that the fault names the cause and not what
/// the guest made of a refused allocation.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    memory: usize,
    table: usize,
}

impl ResourceLimiter for Limiter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.memory = self.memory.saturating_add(desired.saturating_sub(current));
        if self.memory > MEMORY { Err(Exceeded::Memory.into()) } else { Ok(true) }
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        self.table = self.table.saturating_add(desired.saturating_sub(current));
        if self.table > TABLE_ELEMENTS { Err(Exceeded::Table.into()) } else { Ok(true) }
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

    #[test]
    fn several_memories_share_one_limit() {
        let mut limiter = Limiter::default();
        assert!(limiter.memory_growing(0, MEMORY / 2, None).unwrap());
        assert!(limiter.memory_growing(0, MEMORY / 2, None).unwrap());
        let refused = limiter.memory_growing(MEMORY / 2, MEMORY / 2 + 65536, None).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&Exceeded::Memory));
    }

    #[test]
    fn several_tables_share_one_limit() {
        let mut limiter = Limiter::default();
        assert!(limiter.table_growing(0, TABLE_ELEMENTS, None).unwrap());
        let refused = limiter.table_growing(0, 1, None).unwrap_err();
        assert_eq!(refused.downcast_ref(), Some(&Exceeded::Table));
    }

    #[test]
    fn the_contract_names_every_limit() {
        let contract = include_str!("../../../wit/gate.wit").replace("\n/// ", " ").replace("\n    /// ", " ");
        for figure in [
            format!("deadline of {} s", LOAD_TIMEOUT.as_secs()),
            format!("{} MiB of memory", MEMORY >> 20),
            format!("{TABLE_ELEMENTS} table elements"),
            format!("{} KiB of stack", STACK >> 10),
            format!("{HANDLES} handles"),
            format!("{} KiB of data", HOST_CALL_BYTES >> 10),
            format!("{} KiB of random bytes", RANDOM_BYTES >> 10),
            format!("A file has at most {} MiB", MAX_FILE >> 20),
            format!("{MEMORIES} memories, {TABLES} tables and {INSTANCES} core instances"),
        ] {
            assert!(contract.contains(&figure), "wit/gate.wit does not name {figure:?}");
        }
        let logs = include_str!("../../../wit/log.wit").replace("\n    /// ", " ");
        assert!(logs.contains(&format!("a line is cut at {} KiB", LOG_LINE >> 10)));
        assert!(logs.contains(&format!("at most {} KiB are kept", OUTPUT >> 10)));
        assert!(include_str!("../../../wit/types.wit").contains(&format!("at most {} KiB", SCHEMA >> 10)));
    }
}
