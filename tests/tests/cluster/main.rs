//! Facts on a real control plane, one file a behaviour.
#![allow(clippy::unwrap_used, reason = "a failed assumption fails the test")]

mod bound;
mod deploy;
mod events;
mod explain;
mod faults;
mod gates;
mod hostile;
mod live;
mod obeyed;
mod objects;
mod others;
mod overriding;
mod policies;
mod quarantine;
mod rates;
mod readme;
mod refused;
mod reload;
mod rollout;
mod scope;
mod selected;
mod settle;
mod soak;
mod start;
