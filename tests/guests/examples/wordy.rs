//! Describes itself with a config schema of one byte more than 64 KiB.

use guests::{Description, Plugin};

struct Wordy;

impl Plugin for Wordy {
    fn describe() -> Description {
        Description {
            name: "wordy".into(),
            version: "0.1.0".into(),
            help: "Never seen".into(),
            config_schema: format!("{{\"$comment\":\"{}\"}}", "x".repeat((64 << 10) + 1 - 15)),
            extra: Vec::new(),
        }
    }
}

guests::plugin!(Wordy);
