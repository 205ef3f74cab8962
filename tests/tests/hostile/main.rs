//! Every guest of the corpus, `tests/guests`: through the library, by the type of what comes of it, and through `dev`.
//! `tests/cluster/hostile.rs` has them in a host that works a cluster.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dev;
mod library;
mod limits;
