//! Write a gatehost check in Rust: implement [`Check`], call [`export!`], build for `wasm32-wasip2`.
//!
//! ```
//! use gatehost_sdk::{Check, Description, Fault, Pod, Verdict, serde::Deserialize};
//!
//! struct OnNode;
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "gatehost_sdk::serde", deny_unknown_fields)]
//! struct Config {
//!     node: String,
//! }
//!
//! impl Check for OnNode {
//!     type Config = Config;
//!
//!     fn describe() -> Description {
//!         Description::new("on-node", "1.0.0", "True once the pod runs on the configured node.")
//!     }
//!
//!     fn evaluate(pod: &Pod, config: Config) -> Result<Verdict, Fault> {
//!         match pod.node() {
//!             Some(node) if node == config.node => Ok(Verdict::met("OnNode")),
//!             Some(node) => Ok(Verdict::unmet("OnOtherNode").message(format!("runs on {node}"))),
//!             None => Ok(Verdict::unmet("NotScheduled")),
//!         }
//!     }
//! }
//!
//! gatehost_sdk::export!(OnNode);
//! ```
//!
//! The crate is a `cdylib` (add `rlib` to run its unit tests natively):
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]
//! ```
//!
//! `cargo build --target wasm32-wasip2 --release` writes the component, ready to be dropped into a directory of the
//! host. Outside WebAssembly there is no pod and no host: keep the decision in a function of plain values, and test
//! that one; [`Pod`]'s methods, [`clock::now`] and [`log`] panic there.
//!
//! A panic is a fault, and its message stands in the host's log. What the pod, the config and the answers mean, how
//! often each function is called and what may be retried is written in the WIT package `gatehost:check`.

mod adapter;
pub mod clock;
mod compare;
mod comparison;
mod config;
pub mod dns;
pub mod fields;
pub mod http;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod objects;
mod pattern;
mod place;
mod reach;
mod selector;
pub mod shape;
pub mod tcp;
pub mod testing;
mod verdict;

pub use bindings::gatehost::check::{
    pod::{Container, ContainerRole, ContainerState, Pod, PodCondition, PodOwner},
    types::Status,
};
pub use compare::{Bounds, Several};
pub use comparison::{Comparison, Off, pointer_error};
pub use config::{ConfigError, NoConfig, parse};
pub use pattern::{Pattern, WholePattern};
pub use reach::{Failure, FailureKind, OnNoAnswer};
pub use selector::check_selector;
pub use serde;
use serde::de::DeserializeOwned;
pub use serde_json;
pub use verdict::{Description, Fault, Verdict, quoted};

/// What `wit_bindgen` generates from `wit/`, for whoever wants the world as it is.
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "generated code; its documentation is in wit/"
)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        pub_export_macro: true,
        default_bindings_module: "gatehost_sdk::bindings",
        additional_derives: [PartialEq],
    });
}

/// A check. Implement it on an empty type and hand that type to [`export!`].
///
/// Each call runs in an instance of its own: nothing is kept between calls, statics included, but what [`memory`] keeps.
pub trait Check {
    /// The config of a check document, parsed with serde. Put `#[serde(deny_unknown_fields)]` on it, so that a
    /// mistyped key is an error at load; [`NoConfig`] takes none.
    type Config: DeserializeOwned;

    /// Tells what the plugin is. Called once for each load of the file; must not depend on time or chance.
    fn describe() -> Description;

    /// Judges what a type cannot say of a config (`equals` or `matches`, not both). Called when a check is loaded and
    /// only with a config that parsed; a config that does not is reported without it, with the place of the mistake.
    /// The pod, the clock and the log are no business of this function.
    fn validate(config: &Self::Config) -> Result<(), Vec<ConfigError>> {
        let _ = config;
        Ok(())
    }

    /// Decides the gate of `pod`. `config` has passed [`Check::validate`]. May be called at any moment, again with
    /// the same pod, and for several gates at once.
    fn evaluate(pod: &Pod, config: Self::Config) -> Result<Verdict, Fault>;
}

/// Exports a type that implements [`Check`] as the plugin of this crate. Once in a crate, at its root.
#[macro_export]
macro_rules! export {
    ($check:ty) => {
        const _: () = {
            /// Natively this only checks that the type is a check; nothing is exported.
            #[allow(dead_code, reason = "used by the exported functions, which exist in WebAssembly only")]
            type Exported = $crate::Adapter<$check>;
            #[cfg(target_arch = "wasm32")]
    $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
    };
}

#[doc(hidden)]
pub use adapter::Adapter;

/// Compiles the example in plugins/README.md.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
