//! Keeps bytes for the next call, or tries to.

use guests::{
    ConfigError, Description, Fault, FaultKind, Plugin, Pod, Verdict,
    bindings::gatehost::check::{memory, reach::FailureKind},
    met, number,
};

struct Keep;

impl Plugin for Keep {
    fn describe() -> Description {
        Description {
            name: "keep".into(),
            version: "0.1.0".into(),
            help: keep(1),
            config_schema: r#"{"type":"string"}"#.into(),
            extra: Vec::new(),
        }
    }

    fn validate(_config: &str) -> Result<(), Vec<ConfigError>> {
        Err(vec![ConfigError { path: String::new(), message: keep(1) }])
    }

    /// The config says how it ends, and how much it keeps before.
    fn evaluate(_pod: &Pod, config: &str) -> Result<Verdict, Fault> {
        let (end, bytes) = config.split_once(' ').unwrap_or((config, "0"));
        let (found, told) = (memory::kept().len(), keep(number(bytes)));
        match end {
            "trap" => panic!("{told}"),
            "fault" => Err(Fault {
                kind: FaultKind::Internal,
                reason: "Fault".into(),
                message: told,
                retry_after_ms: None,
                extra: Vec::new(),
            }),
            _ => met(format!("found {found}, {told}")),
        }
    }
}

/// What comes of keeping so many bytes.
fn keep(size: u64) -> String {
    let bytes = vec![7; usize::try_from(size).unwrap_or(usize::MAX)];
    match memory::keep(&bytes) {
        Ok(()) => "kept".into(),
        Err(failure) if matches!(failure.kind, FailureKind::Denied) => format!("denied: {}", failure.message),
        Err(failure) => format!("failed: {}", failure.message),
    }
}

guests::plugin!(Keep);
