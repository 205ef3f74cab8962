//! What plugins reach over the network, on real servers: HTTP, TLS, TCP and DNS; and what they do not.
//!
//! The guest `ask` asks what its config says. Where names matter, or addresses that are not loopback ones, a test runs in
//! a network namespace of its own; all others stay on 127.0.0.1, which only an entry with that very address allows.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, path::Path, sync::Arc, time::Duration};

use gatehost::{
    check::{self, Allow},
    pod::{Packed, Pod},
    sandbox::{Evaluated, Evaluation, Kept, Options, Plugin, Sandbox},
};
use serde_json::{Value, json};

mod broken;
mod credentials;
mod crowd;
mod forbidden;
mod gates;
mod http;
mod load;
mod names;
mod pods;
mod refusals;
mod server;
mod tcp;
mod tls;

/// Long enough for any call on a busy machine.
const ENOUGH: Duration = Duration::from_secs(30);

fn guest(name: &str) -> Vec<u8> {
    let path = gatehost_tests::target().join(format!("wasm32-wasip2/plugin/examples/{name}.wasm"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; build it with `make guests`", path.display()))
}

/// A check whose plugin asks what the test wants.
#[derive(Clone)]
struct Asker {
    sandbox: Sandbox,
    plugin: Plugin,
    question: Evaluation,
}

/// `spec.allow` as a document has it.
fn allow(allow: &Value) -> Allow {
    let document = json!({
        "apiVersion": "gatehost.dev/v1alpha1",
        "kind": "Check",
        "metadata": { "name": "test" },
        "spec": { "gate": "example.com/test", "plugin": "ask.wasm", "allow": allow },
    });
    let parsed = check::parse(&document.to_string(), false);
    assert!(parsed.broken.is_empty(), "{:?}", parsed.broken);
    parsed.checks.into_iter().next().unwrap().allow
}

impl Asker {
    async fn new(allow: &Value) -> Self {
        Self::with(allow, None).await
    }

    /// With `--credentials`.
    async fn with(allowed: &Value, credentials: Option<&Path>) -> Self {
        let sandbox =
            Sandbox::with(Options { credentials: credentials.map(Path::to_owned), ..Options::default() }).unwrap();
        let plugin = sandbox.load(guest("ask")).await.unwrap();
        let grant = sandbox.grant(&allow(allowed)).unwrap();
        let pod = Pod { namespace: "shop".into(), name: "web-0".into(), uid: "u-1".into(), ..Pod::default() };
        let question = Evaluation {
            check: "test".into(),
            pod: Packed::new(&pod),
            config: "{}".into(),
            now: 1_700_000_000_123,
            timeout: ENOUGH,
            grant,
            kept: Kept::default(),
        };
        Self { sandbox, plugin, question }
    }

    fn pod(mut self, ip: &str, host_network: bool) -> Self {
        let ip = Some(ip.to_owned()).filter(|ip| !ip.is_empty());
        let pod = Pod {
            namespace: "shop".into(),
            name: "web-0".into(),
            uid: "u-1".into(),
            ip,
            host_network,
            ..Pod::default()
        };
        self.question.pod = Packed::new(&pod);
        self
    }

    fn timeout(mut self, timeout: Duration) -> Self {
        self.question.timeout = timeout;
        self
    }

    async fn evaluate(&self, step: &Value) -> Evaluated {
        let config: Arc<str> = json!({ "steps": [step] }).to_string().into();
        self.plugin.evaluate(Evaluation { config, ..self.question.clone() }).await
    }

    /// What became of one step.
    async fn ask(&self, step: &Value) -> String {
        match self.evaluate(step).await.answer {
            Ok(verdict) => verdict.message,
            Err(fault) => panic!("{step}: {fault:?}"),
        }
    }

    async fn get(&self, url: &str) -> String {
        self.ask(&json!({ "http": { "url": url } })).await
    }
}

#[track_caller]
fn starts(told: &str, with: &str) {
    assert!(told.starts_with(with), "{told:?} does not begin with {with:?}");
}
