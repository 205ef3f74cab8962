//! Prints and logs as many KiB as the config says, then panics if it is an odd number.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "that is its fault")]

use guests::{Fault, Level, Plugin, Pod, Verdict, log, met, number};

struct Flood;

impl Plugin for Flood {
    fn evaluate(_: &Pod, config: &str) -> Result<Verdict, Fault> {
        let line = "x".repeat(255);
        for _ in 0..number(config) {
            println!("{line}");
            eprintln!("{line}");
            log::write(Level::Warn, &line);
            log::write(Level::Debug, &line);
        }
        assert!(number(config).is_multiple_of(2), "an odd number");
        met("")
    }
}

guests::plugin!(Flood);
