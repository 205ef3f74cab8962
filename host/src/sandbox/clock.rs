//! The import `clock`: one instant for the whole call.

use super::{bindings::gatehost::check::clock, state::State};

impl clock::Host for State {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        Ok(self.now)
    }
}
