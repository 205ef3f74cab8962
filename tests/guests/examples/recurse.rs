//! Calls itself as deeply as the config says.

use std::hint::black_box;

use guests::{Fault, Plugin, Pod, Verdict, met, number};

struct Recurse;

fn deep(n: u64) -> u64 {
    if n == 0 { 0 } else { black_box(deep(black_box(n - 1))) + 1 }
}

impl Plugin for Recurse {
    fn evaluate(_: &Pod, config: &str) -> Result<Verdict, Fault> {
        met(deep(number(config)).to_string())
    }
}

guests::plugin!(Recurse);
