//! Lines for the operator, in the host's log beside the check's and the pod's names: `log::info(format_args!(..))`.

use std::fmt::Display;

use crate::bindings::gatehost::check::log::{Level, write};

/// For whoever writes the plugin; hidden unless asked for.
pub fn debug(line: impl Display) {
    write(Level::Debug, &line.to_string());
}

/// Worth knowing.
pub fn info(line: impl Display) {
    write(Level::Info, &line.to_string());
}

/// Somebody should look.
pub fn warn(line: impl Display) {
    write(Level::Warn, &line.to_string());
}

/// Somebody must look.
pub fn severe(line: impl Display) {
    write(Level::Severe, &line.to_string());
}
