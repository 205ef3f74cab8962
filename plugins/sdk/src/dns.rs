//! Look-ups of names, of those that the check's document lists under `allow.dns`.

use crate::{Failure, bindings::gatehost::check::dns};

/// The addresses of a name, as text, sorted; never none.
pub fn resolve(name: &str) -> Result<Vec<String>, Failure> {
    Ok(dns::resolve(name)?)
}
