//! The stack that a plugin gets: linkers default to 1 MiB, which the host would have to clear for every call.

fn main() {
    if std::env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "wasm") {
        println!("cargo::rustc-link-arg-cdylib=-zstack-size=131072");
    }
}
