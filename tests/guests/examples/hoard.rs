//! Holds as many handles as the config says.

use guests::{Fault, Plugin, Pod, Verdict, met, number};

struct Hoard;

/// `wasi:clocks/monotonic-clock`, which hands out a handle for the asking.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "an import by hand")]
fn pollable() -> u32 {
    #[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.0")]
    unsafe extern "C" {
        #[link_name = "subscribe-duration"]
        fn subscribe_duration(nanoseconds: u64) -> u32;
    }
    // SAFETY: the canonical ABI of `subscribe-duration: func(when: duration) -> pollable`.
    unsafe { subscribe_duration(1) }
}

#[cfg(not(target_arch = "wasm32"))]
fn pollable() -> u32 {
    0
}

impl Plugin for Hoard {
    fn evaluate(_: &Pod, config: &str) -> Result<Verdict, Fault> {
        for _ in 0..number(config) {
            pollable();
        }
        met("")
    }
}

guests::plugin!(Hoard);
