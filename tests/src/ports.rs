//! Free TCP ports on 127.0.0.1.

use std::{collections::BTreeSet, net::TcpListener, sync::Mutex};

/// A port that nobody listens on and that this process has not handed out before.
///
/// It lies below the kernel's range for outgoing connections. A client that keeps dialling a stopped server's port
/// out of that range is sooner or later given that very port as its own, connects to itself, and the server can
/// never come back.
///
/// # Panics
/// Every port that was tried is in use.
pub fn free() -> u16 {
    static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut taken = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for _ in 0..10_000 {
        let port = fastrand::u16(10_000..32_000);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && taken.insert(port) {
            return port;
        }
    }
    panic!("no free port between 10000 and 32000 on 127.0.0.1")
}
