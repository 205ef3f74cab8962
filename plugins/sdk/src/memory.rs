//! A few bytes that outlive a call: what a rate or a streak needs. They are gone with the pod, with a new version of the
//! check or the plugin (see [`crate::Description::memory_version`]), and with the host.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Failure, FailureKind, bindings::gatehost::check::memory};

/// What the last call that ended with a verdict kept, or nothing. What cannot be read as this type counts as nothing: a
/// check answers unknown then, not unmet.
pub fn kept<T: DeserializeOwned>() -> Option<T> {
    serde_json::from_slice(&memory::kept()).ok()
}

/// Keeps this for the next call, as JSON of at most 4 KiB, once this call has returned a verdict.
pub fn keep<T: Serialize>(value: &T) -> Result<(), Failure> {
    let bytes = serde_json::to_vec(value).map_err(|error| Failure::new(FailureKind::Invalid, error.to_string()))?;
    Ok(memory::keep(&bytes)?)
}

/// Forgets what was kept, once this call has returned a verdict.
pub fn forget() -> Result<(), Failure> {
    Ok(memory::keep(&[])?)
}
