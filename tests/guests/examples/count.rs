//! Counts its calls in its own memory, and then does what its config says.
#![allow(clippy::print_stdout, reason = "one of the things that it is told to do")]

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use guests::{Fault, FaultKind, Level, Plugin, Pod, Verdict, clock, log, met, number};

static CALLS: AtomicU64 = AtomicU64::new(0);

struct Count;

impl Plugin for Count {
    fn evaluate(_pod: &Pod, config: &str) -> Result<Verdict, Fault> {
        let calls = CALLS.fetch_add(1, Relaxed) + 1;
        let (what, amount) = (config.split(' ').next().unwrap_or_default(), number(config));
        match what {
            "fault" => {
                return Err(Fault {
                    kind: FaultKind::Internal,
                    reason: "Fault".into(),
                    message: String::new(),
                    retry_after_ms: None,
                    extra: Vec::new(),
                });
            }
            "trap" => panic!("on purpose"),
            "sleep" => thread::sleep(Duration::from_millis(amount)),
            "spin" => guests::spin(),
            // Never given back, as far as the guest goes.
            "grow" => {
                let size = usize::try_from(amount << 20).unwrap_or(usize::MAX);
                std::mem::forget(std::hint::black_box(vec![1u8; size]));
            }
            "hand" => log::write(Level::Debug, &"x".repeat(usize::try_from(amount).unwrap_or(usize::MAX))),
            "print" => println!("printed"),
            "clocks" => {
                let began = Instant::now();
                return met(format!("{calls} {} {}", clock::now_ms(), began.elapsed().as_secs()));
            }
            _ => {}
        }
        met(calls.to_string())
    }
}

guests::plugin!(Count);
