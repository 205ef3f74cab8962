//! Every guest under `tests/guests`: what its fault is, and what a host must make of it. A file there that `table` has no
//! function for does not compile; each one in it is tried through the library, `dev` and `run`.
//!
//! ```text
//! guests/examples/NAME.rs   a component in Rust, on the bindings
//! guests/wat/NAME.wat       what a core module does otherwise than a good one, or a whole component
//! ```

use std::path::PathBuf;

use gatehost::{
    decide::{FaultKind, Status},
    sandbox::LoadError,
};
use serde_json::{Value, json};

mod component;
mod table;

pub use component::component;

include!(concat!(env!("OUT_DIR"), "/guests.rs"));

macro_rules! list {
    ($($name:ident)*) => {
        /// All of them.
        pub fn all() -> Vec<Guest> {
            vec![$(Guest { name: stringify!($name), ..table::$name() }),*]
        }
    };
}
guests!(list);

/// A guest and what becomes of it.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The name of its file.
    pub name: &'static str,
    /// The config that makes it do its worst: a JSON object.
    pub config: &'static str,
    /// How long a call may take, in seconds: short for one that never ends.
    pub timeout: u64,
    /// What it does then.
    pub does: Does,
}

/// What a guest does.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    /// It is a plugin and answers with this status and reason.
    Answers(Status, &'static str),
    /// It is a plugin, and a call of it ends in this fault.
    Faults(FaultKind, &'static str),
    /// It does now the one and now the other: True, or a trap.
    Wavers,
    /// It is a plugin that finds its config wrong.
    Rejects,
    /// It is a plugin that cannot judge its config, and this is why.
    CannotJudge(FaultKind, &'static str),
    /// It cannot say what it is, and this is why.
    CannotDescribe(FaultKind, &'static str),
    /// It is no plugin, by this error.
    IsNone(fn(&LoadError) -> bool),
}

impl Guest {
    /// The gate that its check answers.
    pub fn gate(&self) -> String {
        format!("example.com/{}", self.name.replace('_', "-"))
    }

    /// Its file: where cargo built it, or a component that is made of the text now.
    ///
    /// # Panics
    /// It is not built, or the text is wrong: the message says so.
    pub fn wasm(&self) -> Vec<u8> {
        let text = crate::workspace().join("tests/guests/wat").join(self.name).with_extension("wat");
        if let Ok(text) = std::fs::read_to_string(&text) {
            return component(&text);
        }
        let built = built(self.name);
        std::fs::read(&built).unwrap_or_else(|e| panic!("{}: {e}; build it with `make guests`", built.display()))
    }

    /// The document of its check.
    pub fn check(&self) -> String {
        let config: Value = serde_json::from_str(self.config).unwrap();
        let plugin = format!("{}.wasm", self.name);
        json!({
            "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": self.name.replace('_', "-") },
            "spec": { "gate": self.gate(), "plugin": plugin, "config": config, "timeoutSeconds": self.timeout,
                      "periodSeconds": 60, "startWhen": "always" },
        })
        .to_string()
    }

    /// Whether its check comes into force: else the directory has a problem.
    pub fn is_in_force(&self) -> bool {
        matches!(self.does, Does::Answers(..) | Does::Faults(..) | Does::Wavers)
    }
}

fn built(name: &str) -> PathBuf {
    crate::target().join("wasm32-wasip2/plugin/examples").join(name).with_extension("wasm")
}
