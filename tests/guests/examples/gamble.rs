//! Asks for as many random bytes at once as the config says.

use guests::{Fault, Plugin, Pod, Verdict, met, number};

struct Gamble;

/// `wasi:random/random`, without the pieces in which the standard library asks. How many bytes came.
#[cfg(target_arch = "wasm32")]
#[expect(unsafe_code, reason = "an import by hand")]
fn random(bytes: u64) -> usize {
    #[link(wasm_import_module = "wasi:random/random@0.2.0")]
    unsafe extern "C" {
        #[link_name = "get-random-bytes"]
        fn get_random_bytes(len: u64, answer: *mut [usize; 2]);
    }
    let mut list = [0; 2];
    // SAFETY: the canonical ABI of `get-random-bytes: func(len: u64) -> list<u8>`: a pointer and a length. What it
    // points to is never freed, and the instance ends with the call.
    unsafe { get_random_bytes(bytes, &raw mut list) };
    list[1]
}

#[cfg(not(target_arch = "wasm32"))]
fn random(_: u64) -> usize {
    0
}

impl Plugin for Gamble {
    fn evaluate(_: &Pod, config: &str) -> Result<Verdict, Fault> {
        met(random(number(config)).to_string())
    }
}

guests::plugin!(Gamble);
