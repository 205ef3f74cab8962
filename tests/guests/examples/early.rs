//! Calls every import that reaches outside from `describe` and from `validate`, and tells how each call ended.

use guests::{
    ConfigError, Description, Plugin,
    bindings::gatehost::check::{
        dns,
        http::{self, Request},
        memory, objects,
        reach::{Failure, FailureKind},
        tcp::{self, Exchange},
    },
};

struct Early;

fn told<T>(import: &str, result: Result<T, Failure>) -> String {
    let how = match result {
        Ok(_) => "reached",
        Err(Failure { kind: FailureKind::Denied, .. }) => "denied",
        Err(_) => "failed",
    };
    format!("{import}={how}")
}

fn all() -> Vec<String> {
    let request = |url: &str| Request {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: Vec::new(),
        timeout_ms: None,
        most_bytes: None,
        extra: Vec::new(),
    };
    let exchange = |host: &str| Exchange {
        host_name: host.into(),
        port: 80,
        payload: Vec::new(),
        until: Vec::new(),
        most_bytes: 0,
        timeout_ms: None,
        extra: Vec::new(),
    };
    vec![
        told("http", http::send(&request("http://db.example.com/"))),
        told("http-pod", http::send(&request("http://pod/"))),
        told("http-address", http::send(&request("http://127.0.0.1/"))),
        told("tcp", tcp::connect(&exchange("db.example.com"))),
        told("tcp-pod", tcp::connect(&exchange("pod"))),
        told("dns", dns::resolve("db.example.com")),
        told("object", objects::find_one("v1", "Service", "shop", "web")),
        told("objects", objects::find_all("v1", "Service", "shop", "")),
        told("memory", memory::keep(b"x")),
    ]
}

impl Plugin for Early {
    fn describe() -> Description {
        Description {
            name: "early".into(),
            version: "0.1.0".into(),
            help: all().join(" "),
            config_schema: "{}".into(),
            extra: Vec::new(),
        }
    }

    fn validate(_: &str) -> Result<(), Vec<ConfigError>> {
        Err(vec![ConfigError { path: String::new(), message: all().join(" ") }])
    }
}

guests::plugin!(Early);
