//! What becomes of each guest. Its fault is told in its file.

use gatehost::{
    decide::{FaultKind, Status},
    sandbox::{LoadError, reasons},
};

use super::{Does, Guest};

const fn guest(does: Does) -> Guest {
    Guest { name: "", config: "{}", timeout: 10, does }
}

const fn faults(kind: FaultKind, reason: &'static str) -> Guest {
    guest(Does::Faults(kind, reason))
}

/// It does nothing that a host has to mind.
const MET: Guest = guest(Does::Answers(Status::True, "Met"));
/// It traps.
const TRAPS: Guest = faults(FaultKind::Trap, reasons::TRAP);
/// It never ends.
const LATE: Guest = Guest { timeout: 1, ..faults(FaultKind::Deadline, reasons::DEADLINE_EXCEEDED) };

pub(super) fn abi_alignment() -> Guest {
    TRAPS
}

pub(super) fn abi_length() -> Guest {
    TRAPS
}

pub(super) fn abi_level() -> Guest {
    TRAPS
}

pub(super) fn abi_option() -> Guest {
    TRAPS
}

pub(super) fn abi_pointer() -> Guest {
    TRAPS
}

pub(super) fn abi_result() -> Guest {
    TRAPS
}

pub(super) fn abi_status() -> Guest {
    TRAPS
}

pub(super) fn abi_utf8() -> Guest {
    TRAPS
}

pub(super) fn alternate() -> Guest {
    guest(Does::Wavers)
}

pub(super) fn count() -> Guest {
    MET
}

pub(super) fn ask() -> Guest {
    Guest { config: r#"{"steps":[]}"#, ..guest(Does::Answers(Status::True, "Asked")) }
}

pub(super) fn dump() -> Guest {
    MET
}

pub(super) fn early() -> Guest {
    guest(Does::Rejects)
}

pub(super) fn eat() -> Guest {
    faults(FaultKind::Limit, reasons::MEMORY_LIMIT)
}

pub(super) fn exit() -> Guest {
    faults(FaultKind::Trap, reasons::EXIT)
}

pub(super) fn flood() -> Guest {
    Guest { config: r#"{"times":4001}"#, ..TRAPS }
}

pub(super) fn gamble() -> Guest {
    Guest { config: r#"{"bytes":65537}"#, ..TRAPS }
}

pub(super) fn good() -> Guest {
    MET
}

pub(super) fn grow() -> Guest {
    Guest { config: r#"{"mib":64}"#, ..faults(FaultKind::Limit, reasons::MEMORY_LIMIT) }
}

pub(super) fn grow_refused() -> Guest {
    MET
}

pub(super) fn grow_start() -> Guest {
    guest(Does::CannotDescribe(FaultKind::Limit, reasons::MEMORY_LIMIT))
}

pub(super) fn heavy() -> Guest {
    Guest { config: r#"{"kib":1200}"#, ..faults(FaultKind::Limit, reasons::DATA_LIMIT) }
}

pub(super) fn hoard() -> Guest {
    Guest { config: r#"{"handles":1100}"#, ..faults(FaultKind::Limit, reasons::HANDLE_LIMIT) }
}

pub(super) fn import_alien() -> Guest {
    guest(Does::IsNone(|error| matches!(error, LoadError::UnknownImport { import } if import == "my:own/thing")))
}

pub(super) fn import_http() -> Guest {
    guest(Does::IsNone(
        |error| matches!(error, LoadError::UnknownImport { import } if import.starts_with("wasi:http/")),
    ))
}

pub(super) fn keep() -> Guest {
    guest(Does::Rejects)
}

pub(super) fn log_escapes() -> Guest {
    MET
}

pub(super) fn log_storm() -> Guest {
    LATE
}

pub(super) fn long_list() -> Guest {
    faults(FaultKind::Limit, reasons::DATA_LIMIT)
}

pub(super) fn long_message() -> Guest {
    faults(FaultKind::Limit, reasons::DATA_LIMIT)
}

pub(super) fn lost_describe() -> Guest {
    guest(Does::CannotDescribe(FaultKind::Trap, reasons::TRAP))
}

pub(super) fn memory_copy() -> Guest {
    LATE
}

pub(super) fn memory_declared() -> Guest {
    guest(Does::IsNone(|error| matches!(error, LoadError::Invalid(_))))
}

pub(super) fn memory_fill() -> Guest {
    LATE
}

pub(super) fn memory_grow() -> Guest {
    faults(FaultKind::Limit, reasons::MEMORY_LIMIT)
}

pub(super) fn nagging() -> Guest {
    guest(Does::Rejects)
}

pub(super) fn name_escapes() -> Guest {
    MET
}

pub(super) fn objects() -> Guest {
    guest(Does::Answers(Status::True, "Seen"))
}

pub(super) fn panic() -> Guest {
    TRAPS
}

pub(super) fn pod() -> Guest {
    MET
}

pub(super) fn pod_after_drop() -> Guest {
    TRAPS
}

pub(super) fn pod_forged() -> Guest {
    TRAPS
}

pub(super) fn pod_leaked() -> Guest {
    TRAPS
}

pub(super) fn pod_twice() -> Guest {
    TRAPS
}

pub(super) fn post_spins() -> Guest {
    LATE
}

pub(super) fn post_traps() -> Guest {
    TRAPS
}

pub(super) fn realloc_lies() -> Guest {
    guest(Does::CannotJudge(FaultKind::Trap, reasons::TRAP))
}

pub(super) fn recurse() -> Guest {
    Guest { config: r#"{"deep":10000000}"#, ..faults(FaultKind::Limit, reasons::STACK_OVERFLOW) }
}

pub(super) fn recurse_start() -> Guest {
    guest(Does::CannotDescribe(FaultKind::Limit, reasons::STACK_OVERFLOW))
}

pub(super) fn rude() -> Guest {
    guest(Does::Answers(Status::Unknown, "InvalidReason"))
}

pub(super) fn schema_refs() -> Guest {
    MET
}

pub(super) fn schema_text() -> Guest {
    MET
}

pub(super) fn sleep() -> Guest {
    Guest { config: r#"{"ms":18446744073709551615}"#, ..LATE }
}

pub(super) fn slow() -> Guest {
    Guest { timeout: 60, ..MET }
}

pub(super) fn spin() -> Guest {
    LATE
}

pub(super) fn spin_describe() -> Guest {
    guest(Does::CannotDescribe(FaultKind::Deadline, reasons::DEADLINE_EXCEEDED))
}

pub(super) fn spin_start() -> Guest {
    guest(Does::CannotDescribe(FaultKind::Deadline, reasons::DEADLINE_EXCEEDED))
}

pub(super) fn spin_validate() -> Guest {
    Guest { config: r#"{"do":"spin"}"#, ..guest(Does::CannotJudge(FaultKind::Deadline, reasons::DEADLINE_EXCEEDED)) }
}

pub(super) fn table_fill() -> Guest {
    LATE
}

pub(super) fn table_grow() -> Guest {
    faults(FaultKind::Limit, reasons::TABLE_LIMIT)
}

pub(super) fn trap_conversion() -> Guest {
    TRAPS
}

pub(super) fn trap_describe() -> Guest {
    guest(Does::CannotDescribe(FaultKind::Trap, reasons::TRAP))
}

pub(super) fn trap_division() -> Guest {
    TRAPS
}

pub(super) fn trap_memory() -> Guest {
    TRAPS
}

pub(super) fn trap_null() -> Guest {
    TRAPS
}

pub(super) fn trap_overflow() -> Guest {
    TRAPS
}

pub(super) fn trap_signature() -> Guest {
    TRAPS
}

pub(super) fn trap_table() -> Guest {
    TRAPS
}

pub(super) fn trap_unreachable() -> Guest {
    TRAPS
}

pub(super) fn trap_validate() -> Guest {
    guest(Does::CannotJudge(FaultKind::Trap, reasons::TRAP))
}

pub(super) fn wordy() -> Guest {
    guest(Does::IsNone(|error| matches!(error, LoadError::SchemaTooLarge { size: 65_537 })))
}

pub(super) fn world_0_2() -> Guest {
    guest(Does::IsNone(|error| matches!(error, LoadError::OtherVersion { built_for } if built_for == "0.2.0")))
}

pub(super) fn world_newer() -> Guest {
    guest(Does::IsNone(|error| matches!(error, LoadError::Newer { missing, .. } if missing == "clock.now-ns")))
}

pub(super) fn world_other() -> Guest {
    guest(Does::IsNone(|error| matches!(error, LoadError::MissingExport { .. })))
}

pub(super) fn world_types() -> Guest {
    guest(Does::IsNone(|error| matches!(error, LoadError::Mismatch(_))))
}
