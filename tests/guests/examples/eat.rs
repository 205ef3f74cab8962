//! Takes memory until there is none, whatever the config.

use std::hint::black_box;

use guests::{Fault, Plugin, Pod, Verdict, met};

struct Eat;

impl Plugin for Eat {
    fn evaluate(_: &Pod, _: &str) -> Result<Verdict, Fault> {
        let mut memory = Vec::new();
        while black_box(memory.len()) < 1 << 20 {
            memory.push(vec![1_u8; 1 << 20]);
        }
        met("")
    }
}

guests::plugin!(Eat);
