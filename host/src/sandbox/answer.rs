//! What guests say, as the host knows it: sanitised.

use super::{ConfigError, Description, bindings::gatehost::check::types};
use crate::decide::{Blame, Fault, FaultKind, Status, Verdict, sanitize};

pub(super) fn description(d: &types::Description) -> Description {
    Description {
        name: sanitize::text(&d.name, 63),
        version: sanitize::text(&d.version, 63),
        help: sanitize::text(&d.help, 256),
        config_schema: d.config_schema.clone(),
        memory_version: extra(&d.extra, "memory-version").map(|version| sanitize::text(version, 63)),
    }
}

/// The value of a documented key.
fn extra<'a>(extra: &'a [(String, String)], key: &str) -> Option<&'a str> {
    extra.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

pub(super) fn config_error(e: &types::ConfigError) -> ConfigError {
    ConfigError { path: sanitize::text(&e.path, 256), message: sanitize::message(&e.message) }
}

pub(super) fn verdict(v: &types::Verdict) -> Verdict {
    Verdict {
        status: match v.status {
            types::Status::Met => Status::True,
            types::Status::Unmet => Status::False,
            types::Status::Unknown => Status::Unknown,
        },
        reason: sanitize::reason(&v.reason),
        message: sanitize::message(&v.message),
        recheck_after: v.recheck_after_ms.map(sanitize::delay),
    }
}

pub(super) fn guest_fault(f: &types::Fault) -> Fault {
    Fault {
        kind: match f.kind {
            types::FaultKind::BadConfig => FaultKind::BadConfig,
            types::FaultKind::Denied => FaultKind::Denied,
            types::FaultKind::Unreachable => FaultKind::Unreachable,
            types::FaultKind::Internal => FaultKind::Internal,
            types::FaultKind::Other(_) => FaultKind::Other,
        },
        blame: Blame::Answer,
        reason: sanitize::reason(&f.reason),
        message: sanitize::message(&f.message),
        retry_after: f.retry_after_ms.map(sanitize::delay),
    }
}
