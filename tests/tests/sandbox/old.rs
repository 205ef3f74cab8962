//! A plugin that was built long ago: `tests/fixtures/plugin-0.1.0.wasm` is `tests/guests/examples/pod.rs` as it was
//! built for `gatehost:check@0.1.0`, which reads every accessor of the pod. It is never built again: a host of any
//! later 0.1.y runs it, and a change of `wit/` that breaks it breaks every plugin there is.

use std::{fs, path::Path};

use gatehost::{decide::Status, sandbox::Sandbox};

use crate::ask;

#[tokio::test]
async fn a_plugin_built_for_0_1_0_still_runs() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plugin-0.1.0.wasm");
    let plugin = Sandbox::new().unwrap().load(fs::read(file).unwrap()).await.unwrap();
    assert_eq!(plugin.description().name, "guest");
    assert_eq!(plugin.validate("{}".into()).await.unwrap(), []);
    let verdict = ask(&plugin, "{}").await.unwrap();
    assert_eq!((verdict.status, verdict.reason.as_str()), (Status::True, "Met"));
    assert!(verdict.message.starts_with("shop web-0 u-1 "), "{}", verdict.message);
}
