//! What the host says when a guest ends without an answer.

use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, Trap, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use super::{
    limits::{Exceeded, HANDLES, STACK},
    output::Output,
};
use crate::decide::{Blame, Fault, FaultKind, sanitize};

/// The reasons of faults that the host makes: a closed set, which people write alerts against.
pub mod reasons {
    /// No answer within the timeout: it computes, sleeps or waits for too long.
    pub const DEADLINE_EXCEEDED: &str = "DeadlineExceeded";
    /// It needs more memory than a call may have.
    pub const MEMORY_LIMIT: &str = "MemoryLimit";
    /// It needs larger tables than a call may have.
    pub const TABLE_LIMIT: &str = "TableLimit";
    /// It holds more handles than a call may have.
    pub const HANDLE_LIMIT: &str = "HandleLimit";
    /// It calls itself too deeply.
    pub const STACK_OVERFLOW: &str = "StackOverflow";
    /// It trapped, as a panic does, or broke the rules of the component model.
    pub const TRAP: &str = "Trap";
    /// It called `exit`.
    pub const EXIT: &str = "Exit";
    /// The host failed, not the plugin: it has a defect or is being stopped.
    pub const HOST_ERROR: &str = "HostError";
    /// All of them.
    pub const ALL: &[&str] =
        &[DEADLINE_EXCEEDED, MEMORY_LIMIT, TABLE_LIMIT, HANDLE_LIMIT, STACK_OVERFLOW, TRAP, EXIT, HOST_ERROR];
}

/// How a call ended without an answer.
#[derive(Debug)]
pub(super) enum Ended {
    /// The guest trapped or was stopped at a limit.
    Failed(wasmtime::Error),
    /// It had no answer in time.
    Deadline,
    /// A function of the host panicked.
    Panicked,
    /// The guests' runtime is gone: the process is ending.
    Stopped,
}

/// The fault of a call that ended so. Its message holds facts that stay the same from call to call, and the end of
/// what the guest printed: without it a panic or a traceback is only `unreachable`.
pub(super) fn fault(ended: &Ended, timeout: Duration, output: &Output) -> Fault {
    let late = || (FaultKind::Deadline, reasons::DEADLINE_EXCEEDED, format!("no answer within {timeout:?}"));
    let (kind, reason, mut message) = match ended {
        Ended::Deadline => late(),
        Ended::Panicked => (FaultKind::Trap, reasons::HOST_ERROR, "the host failed during the call".to_owned()),
        Ended::Stopped => (FaultKind::Trap, reasons::HOST_ERROR, "the host is stopping".to_owned()),
        Ended::Failed(error) => match cause(error) {
            Cause::Exceeded(Exceeded::Deadline) => late(),
            Cause::Exceeded(limit @ Exceeded::Memory) => (FaultKind::Limit, reasons::MEMORY_LIMIT, limit.to_string()),
            Cause::Exceeded(limit @ Exceeded::Table) => (FaultKind::Limit, reasons::TABLE_LIMIT, limit.to_string()),
            Cause::Handles => {
                (FaultKind::Limit, reasons::HANDLE_LIMIT, format!("it holds more than {HANDLES} handles"))
            }
            Cause::Stack => {
                (FaultKind::Limit, reasons::STACK_OVERFLOW, format!("it needs more than {} KiB of stack", STACK >> 10))
            }
            Cause::Exit(code) => (FaultKind::Trap, reasons::EXIT, format!("it called exit with status {code}")),
            Cause::Pool => (FaultKind::Trap, reasons::HOST_ERROR, "no instance is free".to_owned()),
            Cause::Other(text) => (FaultKind::Trap, reasons::TRAP, text),
        },
    };
    if kind != FaultKind::Deadline {
        let tail = output.tail();
        if !tail.is_empty() {
            message = format!("{message}; its output ends: {tail}");
        }
    }
    let blame = if reason == reasons::HOST_ERROR { Blame::Nothing } else { Blame::Code };
    Fault { kind, blame, reason: reason.to_owned(), message: sanitize::message(&message), retry_after: None }
}

enum Cause {
    Exceeded(Exceeded),
    Handles,
    Stack,
    Exit(i32),
    Pool,
    Other(String),
}

fn cause(error: &wasmtime::Error) -> Cause {
    if let Some(limit) = error.downcast_ref() {
        Cause::Exceeded(*limit)
    } else if let Some(I32Exit(code)) = error.downcast_ref() {
        Cause::Exit(*code)
    } else if let Some(ResourceTableError::Full) = error.downcast_ref() {
        Cause::Handles
    } else if error.is::<PoolConcurrencyLimitError>() {
        Cause::Pool
    } else {
        match error.downcast_ref() {
            Some(Trap::StackOverflow) => Cause::Stack,
            Some(trap) => Cause::Other(trap.to_string()),
            None => Cause::Other(error.root_cause().to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_host_obeys_the_api_conventions() {
        for reason in reasons::ALL {
            assert_eq!(sanitize::reason(reason), *reason);
        }
    }

    #[test]
    fn a_trap_shows_the_end_of_the_output_and_stays_printable() {
        let output = Output::default();
        output.stream(b"x\n".repeat(4000).as_slice());
        output.stream(b"thread panicked:\n\x1b[31mthe cache is gone\n");
        let fault = fault(&Ended::Failed(Trap::UnreachableCodeReached.into()), Duration::from_secs(1), &output);
        assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Trap, reasons::TRAP));
        assert!(fault.message.starts_with("wasm trap: wasm `unreachable` instruction executed; its output ends: "));
        assert!(fault.message.ends_with("thread panicked:  [31mthe cache is gone"), "{}", fault.message);
        assert!(fault.message.len() <= sanitize::MESSAGE_MAX);
    }
}
