#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gatehost_fuzz::pure::verdict(bytes));
