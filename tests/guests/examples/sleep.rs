//! Sleeps in a host function for as many milliseconds as the config says.

use std::{thread, time::Duration};

use guests::{Fault, Plugin, Pod, Verdict, met, number};

struct Sleep;

impl Plugin for Sleep {
    fn evaluate(_: &Pod, config: &str) -> Result<Verdict, Fault> {
        thread::sleep(Duration::from_millis(number(config)));
        met("")
    }
}

guests::plugin!(Sleep);
