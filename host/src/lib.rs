//! gatehost decides Kubernetes readiness gates with WebAssembly checks.
//!
//! ```text
//!            files                                    pods
//!              │                                        │
//!              ▼                                        ▼
//!   catalog: watch → scan → load → publish        cluster: watch
//!              │ a snapshot: checks, plugins            │ a trimmed pod
//!              └──────────────► dispatch ◄──────────────┘
//!                       which gate is due, what runs
//!                         │                    ▲
//!                  a call ▼                    │ a verdict or a fault
//!                      sandbox ── wasm ────────┘
//!                         dispatch → decide: which condition follows
//!                         dispatch → cluster: patch pods/status
//! ```
//!
//! A call may ask outside what its check allows: `sandbox` over the network, and objects of the cluster from the watches of
//! `cluster`, whose changes make gates due.
//!
//! Each arrow points one way. `check`, `pod` and `decide` are pure: no async and no clock of their own.

pub mod catalog;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod decide;
pub mod dispatch;
pub mod pod;
pub mod sandbox;
pub mod serve;
