//! Panics.

use guests::{Fault, Plugin, Pod, Verdict};

struct Panic;

impl Plugin for Panic {
    fn evaluate(_: &Pod, _: &str) -> Result<Verdict, Fault> {
        panic!("the cache is gone")
    }
}

guests::plugin!(Panic);
