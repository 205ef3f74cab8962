//! Uses as many MiB of memory as the config says.

use std::hint::black_box;

use guests::{Fault, Plugin, Pod, Verdict, met, number};

struct Grow;

impl Plugin for Grow {
    fn evaluate(_: &Pod, config: &str) -> Result<Verdict, Fault> {
        let memory: Vec<Vec<u8>> = (0..number(config)).map(|_| vec![1; 1 << 20]).collect();
        black_box(memory);
        met("")
    }
}

guests::plugin!(Grow);
