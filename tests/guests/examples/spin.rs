//! Computes for ever.

use guests::{Fault, Plugin, Pod, Verdict, spin};

struct Spin;

impl Plugin for Spin {
    fn evaluate(_: &Pod, _: &str) -> Result<Verdict, Fault> {
        spin()
    }
}

guests::plugin!(Spin);
