//! What is fuzzed: each function takes any bytes, and panics where the host breaks a rule over them. `tests/fuzz` calls them
//! under libFuzzer, and a test over every file of `tests/fuzz/corpus`, where what was found is kept.

pub mod load;
pub mod pure;
