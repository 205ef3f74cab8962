//! Exits, as a program does.

#![expect(clippy::print_stdout, reason = "its words must be shown")]

use guests::{Fault, Plugin, Pod, Verdict};

struct Exit;

impl Plugin for Exit {
    fn evaluate(_: &Pod, _: &str) -> Result<Verdict, Fault> {
        println!("goodbye");
        std::process::exit(3)
    }
}

guests::plugin!(Exit);
