//! What the tests stand on: a real control plane, a namespace for each test, the host as a process.
//!
//! ```no_run
//! use gatehost_tests::{
//!     objects::{APPROVED, approval, gated_workload},
//!     trial::{Trial, run},
//! };
//!
//! // The body of a #[test]. The control plane is shared by the tests of a binary, the namespace is not.
//! run(async |t: &mut Trial| {
//!     t.plugin("annotation.wasm", "annotation.wasm")?;
//!     t.file("approved.yaml", approval("annotation.wasm", "yes"));
//!     t.start_host(&[]).await?;
//!     t.create(&gated_workload("Deployment", "web", 3, &[APPROVED])).await?;
//!     t.wait_for_status("app=web", 3, APPROVED, "False").await?;
//!     t.kubectl(&["annotate", "pods", "--all", "example.com/approved=yes"])?;
//!     t.wait_for_ready("app=web", 3, "True").await?;
//!     Ok(())
//! });
//! ```
//!
//! Every wait is for a state, never for an event or a time, and has a bound (`wait::until`). Every process that is
//! started here dies with the test process, however that ends (`process`).
#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a harness that cannot go on must fail the test where it stands"
)]

use std::path::{Path, PathBuf};

pub mod component;
pub mod controlplane;
pub mod corpus;
pub mod crowd;
pub mod endpoints;
pub mod fuzzing;
pub mod history;
pub mod host;
pub mod metrics;
pub mod nameserver;
pub mod netns;
pub mod objects;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod readme;
pub mod soak;
pub mod trial;
pub mod wait;

/// The root of the workspace: where `target`, `host` and `plugins` are.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The built binary: `GATEHOST_BIN`, else `debug/gatehost` in cargo's target directory.
///
/// # Errors
/// One line that says how to build it.
pub fn gatehost_binary() -> anyhow::Result<PathBuf> {
    let binary = std::env::var_os("GATEHOST_BIN").map_or_else(|| target().join("debug/gatehost"), PathBuf::from);
    anyhow::ensure!(binary.is_file(), "{} is missing: run `cargo build`", binary.display());
    Ok(binary)
}

/// Cargo's target directory: `CARGO_TARGET_DIR`, else `target` in the workspace.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}
