//! The import `memory`: a few bytes that outlive a call.

use std::sync::Arc;

use super::{
    bindings::gatehost::check::memory::{Failure, Host},
    state::State,
};

/// How many bytes a plugin may keep for a gate.
pub const MAX_KEPT: usize = 4 << 10;

/// What a gate's plugin kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The bytes.
    pub bytes: Arc<[u8]>,
    /// How many may be there instead.
    pub room: usize,
}

impl Host for State {
    fn kept(&mut self) -> wasmtime::Result<Vec<u8>> {
        Ok(self.kept.as_ref().map(|kept| kept.bytes.to_vec()).unwrap_or_default())
    }

    fn keep(&mut self, bytes: Vec<u8>) -> wasmtime::Result<Result<(), Failure>> {
        let size = bytes.len();
        let Some(room) = self.kept.as_ref().map(|kept| kept.room) else {
            return Ok(Err(self
                .reach
                .refuse("memory", "only evaluate is about a gate, for which something can be kept")));
        };
        if size > MAX_KEPT {
            let message = format!("{size} bytes are more than the {MAX_KEPT} that a gate may keep");
            return Ok(Err(self.reach.refuse("memory", &message)));
        }
        if size > room {
            return Ok(Err(self.reach.refuse("memory", "all gates of the check together keep 16 MiB already")));
        }
        self.keep = Some(bytes.into());
        Ok(Ok(()))
    }
}
