//! Never says what it is.

use guests::{Description, Plugin, spin};

struct Spin;

impl Plugin for Spin {
    fn describe() -> Description {
        spin()
    }
}

guests::plugin!(Spin);
