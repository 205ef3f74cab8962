//! Hands as many KiB to a host function at once as the config says.

use guests::{Fault, Level, Plugin, Pod, Verdict, log, met, number};

struct Heavy;

impl Plugin for Heavy {
    fn evaluate(_: &Pod, config: &str) -> Result<Verdict, Fault> {
        let bytes = usize::try_from(number(config)).unwrap_or_default() << 10;
        log::write(Level::Debug, &"x".repeat(bytes));
        met("")
    }
}

guests::plugin!(Heavy);
