//! What the compiler's process is told on its command line, and what its exit code says.

use std::time::Duration;

use crate::sandbox::engine::{Cpu, Room};

/// The verb of the host's own binary that compiles one component: from stdin to stdout, for the process that started it.
pub const VERB: &str = "compile-for-host";

/// Exit code: the component is not one that can be compiled; stderr says why.
pub(super) const INVALID: u8 = 65;
/// Exit code: the memory did not suffice.
pub(super) const NO_MEMORY: u8 = 70;
/// Exit code: it could not work at all; stderr says why.
pub(super) const BROKEN: u8 = 71;

/// What to compile for, and what that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) cpu: Cpu,
    pub(super) room: Room,
    /// Address space, in bytes.
    pub(super) memory: u64,
    /// The time of all its threads on processors, in whole seconds.
    pub(super) time: Duration,
    /// The artifact, in bytes.
    pub(super) artifact: u64,
}

impl Order {
    pub(super) fn words(&self) -> [String; 5] {
        let cpu = match self.cpu {
            Cpu::Native => "native",
            Cpu::Baseline => "baseline",
        };
        let room = match self.room {
            Room::Pool => "pool",
            Room::Little => "little",
        };
        let numbers = [self.memory, self.time.as_secs().max(1), self.artifact].map(|number| number.to_string());
        let [memory, time, artifact] = numbers;
        [cpu.to_owned(), room.to_owned(), memory, time, artifact]
    }

    pub(super) fn parse(words: &[String]) -> Option<Self> {
        let [cpu, room, memory, time, artifact] = words else { return None };
        Some(Self {
            cpu: match cpu.as_str() {
                "native" => Cpu::Native,
                "baseline" => Cpu::Baseline,
                _ => return None,
            },
            room: match room.as_str() {
                "pool" => Room::Pool,
                "little" => Room::Little,
                _ => return None,
            },
            memory: memory.parse().ok()?,
            time: Duration::from_secs(time.parse().ok()?),
            artifact: artifact.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_survives_the_command_line() {
        for (cpu, room) in [(Cpu::Native, Room::Pool), (Cpu::Baseline, Room::Little)] {
            let order = Order { cpu, room, memory: 1 << 30, time: Duration::from_secs(9), artifact: 7 };
            assert_eq!(Order::parse(&order.words()), Some(order));
        }
        assert_eq!(Order::parse(&["native".to_owned()]), None);
    }
}
