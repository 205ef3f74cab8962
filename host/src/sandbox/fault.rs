//! What the host says when a guest ends without an answer.

use std::time::Duration;

use wasmtime::{PoolConcurrencyLimitError, Trap, component::ResourceTableError};
use wasmtime_wasi::I32Exit;

use super::{
    limits::{Allowance, Exceeded, STACK},
    output::Output,
};
use crate::{
    check::Limit,
    decide::{Blame, Fault, FaultKind, sanitize},
};

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
    /// It hands over more data at once than a call may: in its answer, or to an import.
    pub const DATA_LIMIT: &str = "DataLimit";
    /// It calls itself too deeply.
    pub const STACK_OVERFLOW: &str = "StackOverflow";
    /// It trapped, as a panic does, or broke the rules of the component model.
    pub const TRAP: &str = "Trap";
    /// It called `exit`.
    pub const EXIT: &str = "Exit";
    /// The host failed, not the plugin: it has a defect or is being stopped.
    pub const HOST_ERROR: &str = "HostError";
    /// All of them.
    pub const ALL: &[&str] = &[
        DEADLINE_EXCEEDED,
        MEMORY_LIMIT,
        TABLE_LIMIT,
        HANDLE_LIMIT,
        DATA_LIMIT,
        STACK_OVERFLOW,
        TRAP,
        EXIT,
        HOST_ERROR,
    ];
}

/// What a call had, and who may give it more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Had {
    pub(super) timeout: Duration,
    pub(super) allowance: Allowance,
    /// What the host grants at most.
    pub(super) ceilings: Allowance,
    /// Whether it was for a check: the document of one may ask for more.
    pub(super) for_check: bool,
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
pub(super) fn fault(ended: &Ended, had: &Had, output: &Output) -> Fault {
    let late = || (FaultKind::Deadline, reasons::DEADLINE_EXCEEDED, format!("no answer within {:?}", had.timeout));
    let (kind, reason, mut message) = match ended {
        Ended::Deadline => late(),
        Ended::Panicked => (FaultKind::Trap, reasons::HOST_ERROR, "the host failed during the call".to_owned()),
        Ended::Stopped => (FaultKind::Trap, reasons::HOST_ERROR, "the host is stopping".to_owned()),
        Ended::Failed(error) => match cause(error) {
            Cause::Late => late(),
            Cause::Limit(limit) => {
                let (reason, message) = had.exceeded(limit);
                (FaultKind::Limit, reason, message)
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

impl Had {
    /// The reason and the message for a limit that is exceeded, with the mend.
    fn exceeded(&self, limit: Limit) -> (&'static str, String) {
        let had = self.allowance.of(limit);
        let (reason, what) = match limit {
            Limit::Memory => (reasons::MEMORY_LIMIT, format!("it needs more than {} of memory", bytes(had))),
            Limit::TableElements => (reasons::TABLE_LIMIT, format!("it needs more than {had} table elements")),
            Limit::Handles => (reasons::HANDLE_LIMIT, format!("it holds more than {had} handles")),
            Limit::HostCall | Limit::Log | Limit::LogPerSecond => {
                (reasons::DATA_LIMIT, format!("it hands over more than {} at once", bytes(had)))
            }
        };
        let field = limit.field();
        let mend = match (self.for_check, had < self.ceilings.of(limit)) {
            (true, true) => format!("raise spec.limits.{field}"),
            (true, false) => format!("raise spec.limits.{field} and {field} in the host's --max-limits"),
            (false, _) => format!("raise {field} in the host's --max-limits"),
        };
        (reason, format!("{what}; {mend}"))
    }
}

/// A number of bytes in words.
fn bytes(count: u32) -> String {
    match count {
        n if n.is_multiple_of(1 << 20) => format!("{} MiB", n >> 20),
        n if n.is_multiple_of(1 << 10) => format!("{} KiB", n >> 10),
        n => format!("{n} bytes"),
    }
}

enum Cause {
    Late,
    Limit(Limit),
    Stack,
    Exit(i32),
    Pool,
    Other(String),
}

fn cause(error: &wasmtime::Error) -> Cause {
    if let Some(exceeded) = error.downcast_ref() {
        match exceeded {
            Exceeded::Deadline => Cause::Late,
            Exceeded::Limit(limit) => Cause::Limit(*limit),
        }
    } else if let Some(I32Exit(code)) = error.downcast_ref() {
        Cause::Exit(*code)
    } else if let Some(ResourceTableError::Full) = error.downcast_ref() {
        Cause::Limit(Limit::Handles)
    } else if error.is::<PoolConcurrencyLimitError>() {
        Cause::Pool
    } else {
        match error.downcast_ref() {
            Some(Trap::StackOverflow) => Cause::Stack,
            Some(trap) => Cause::Other(trap.to_string()),
            None if is_out_of_fuel(error) => Cause::Limit(Limit::HostCall),
            None => Cause::Other(error.root_cause().to_string()),
        }
    }
}

/// Whether a guest handed over too much at once. wasmtime's type for that is private, so it is known by its name alone,
/// which no message of a guest can hold: guests make no errors of the host's.
fn is_out_of_fuel(error: &wasmtime::Error) -> bool {
    format!("{:?}", error.root_cause()) == "HostcallFuelExhausted"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Limits;

    fn had(for_check: bool, ceilings: &[(Limit, u32)]) -> Had {
        let ceilings = Allowance::ceilings(&ceilings.iter().copied().collect());
        let allowance = Allowance::new(&Limits::default(), &ceilings).unwrap();
        Had { timeout: Duration::from_secs(1), allowance, ceilings, for_check }
    }

    #[test]
    fn a_limit_is_told_with_its_mend() {
        let told = |had: Had, limit| {
            let ended = Ended::Failed(Exceeded::Limit(limit).into());
            let fault = fault(&ended, &had, &Output::new(&had.allowance));
            assert_eq!(fault.kind, FaultKind::Limit);
            format!("{}: {}", fault.reason, fault.message)
        };
        let more = [(Limit::Memory, 128 << 20)];
        assert_eq!(
            told(had(true, &more), Limit::Memory),
            "MemoryLimit: it needs more than 64 MiB of memory; raise spec.limits.memory"
        );
        assert_eq!(
            told(had(true, &more), Limit::Handles),
            "HandleLimit: it holds more than 1000 handles; raise spec.limits.handles and handles in the host's --max-limits"
        );
        assert_eq!(
            told(had(false, &[]), Limit::HostCall),
            "DataLimit: it hands over more than 1152 KiB at once; raise hostCall in the host's --max-limits"
        );
    }

    #[test]
    fn every_reason_of_the_host_obeys_the_api_conventions() {
        for reason in reasons::ALL {
            assert_eq!(sanitize::reason(reason), *reason);
        }
    }

    #[test]
    fn a_trap_shows_the_end_of_the_output_and_stays_printable() {
        let had = had(true, &[]);
        let output = Output::new(&had.allowance);
        output.stream(b"x\n".repeat(4000).as_slice());
        output.stream(b"thread panicked:\n\x1b[31mthe cache is gone\n");
        let fault = fault(&Ended::Failed(Trap::UnreachableCodeReached.into()), &had, &output);
        assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Trap, reasons::TRAP));
        assert!(fault.message.starts_with("wasm trap: wasm `unreachable` instruction executed; its output ends: "));
        assert!(fault.message.ends_with("thread panicked:  [31mthe cache is gone"), "{}", fault.message);
        assert!(fault.message.len() <= sanitize::MESSAGE_MAX);
    }
}
