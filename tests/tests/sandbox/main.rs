//! The sandbox: each limit once obeyed and once violated, what a plugin can reach, and what is said of files that are
//! no plugins. The guests stand in `tests/guests/examples`, one fault each.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path, time::Duration};

use gatehost::{
    decide::{Fault, Verdict},
    pod::{Packed, Pod},
    sandbox::{Evaluation, Grant, Kept, Plugin, Sandbox},
};

mod blast;
mod keep;
mod limits;
mod load;
mod objects;
mod old;
mod reach;
mod reuse;
mod shape;

/// Long enough for any call on a busy machine.
const ENOUGH: Duration = Duration::from_secs(30);

/// The instant of all calls.
const NOW: i64 = 1_700_000_000_123;

/// A guest's file.
fn guest(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/wasm32-wasip2/plugin/examples")
        .join(name)
        .with_extension("wasm");
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; build it with `make guests`", path.display()))
}

async fn load(name: &str) -> Plugin {
    Sandbox::new().unwrap().load(guest(name)).await.unwrap()
}

fn question(config: &str, timeout: Duration) -> Evaluation {
    let pod = Pod { namespace: "shop".into(), name: "web-0".into(), uid: "u-1".into(), ..Pod::default() };
    Evaluation {
        check: "test".into(),
        pod: Packed::new(&pod),
        config: config.into(),
        now: NOW,
        timeout,
        grant: Grant::default(),
        kept: Kept::default(),
    }
}

async fn ask(plugin: &Plugin, config: &str) -> Result<Verdict, Fault> {
    plugin.evaluate(question(config, ENOUGH)).await.answer
}
