//! How asking something outside fails, and what a check makes of it.

use std::fmt;

use serde::Deserialize;

pub use crate::bindings::gatehost::check::reach::FailureKind;
use crate::{Fault, Verdict, bindings::gatehost::check::reach};

/// Why there is no answer. Not a verdict: whether nobody there means unmet or a fault is for the check to say.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, in one line.
    pub message: String,
}

impl Failure {
    /// A failure of a kind that the check itself found, such as an answer that makes no sense.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Why, as one CamelCase word.
    pub fn reason(&self) -> &str {
        match &self.kind {
            FailureKind::Denied => "Denied",
            FailureKind::Invalid => "InvalidRequest",
            FailureKind::Unresolved => "Unresolved",
            FailureKind::Unreachable => "Unreachable",
            FailureKind::TimedOut => "TimedOut",
            FailureKind::Untrusted => "Untrusted",
            FailureKind::Garbled => "Garbled",
            FailureKind::Unavailable => "Unavailable",
            FailureKind::Other(word) => word,
        }
    }

    /// Whether whoever was asked did not answer: what this is not is a mistake in the check's document.
    pub fn is_no_answer(&self) -> bool {
        !matches!(self.kind, FailureKind::Denied | FailureKind::Invalid)
    }

    /// The failure as an unmet answer, where the gated pod itself was asked: a dead server must not stay ready. What is a
    /// mistake in the document, or is the host's own trouble, stays a fault.
    pub fn or_unmet(self) -> Result<Verdict, Fault> {
        if self.is_no_answer() && self.kind != FailureKind::Unavailable {
            return Ok(Verdict::unmet(self.reason()).message(self.message));
        }
        Err(self.into())
    }
}

/// What no answer means, where a check's config says it: the field `onNoAnswer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnNoAnswer {
    /// The gate closes.
    Unmet,
    /// It is a fault: the condition stays as it is.
    Fault,
}

impl OnNoAnswer {
    /// What it means where the config does not say: `unmet` where the gated pod itself is asked, by the host `pod`, and a
    /// fault where something is asked that other pods ask as well.
    pub fn by_host(host: &str) -> Self {
        if host.eq_ignore_ascii_case("pod") { Self::Unmet } else { Self::Fault }
    }

    /// The answer where there was none.
    pub fn answer(self, failure: Failure) -> Result<Verdict, Fault> {
        match self {
            Self::Unmet => failure.or_unmet(),
            Self::Fault => Err(failure.into()),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason(), self.message)
    }
}

impl std::error::Error for Failure {}

impl From<reach::Failure> for Failure {
    fn from(failure: reach::Failure) -> Self {
        Self { kind: failure.kind, message: failure.message }
    }
}

/// A failure is a fault unless the check says otherwise.
impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        let fault = match failure.kind {
            FailureKind::Denied => Self::denied(failure.reason()),
            FailureKind::Invalid => Self::bad_config(failure.reason()),
            _ => Self::unreachable(failure.reason()),
        };
        fault.message(failure.message)
    }
}

/// How long, for the host, which counts milliseconds.
pub(crate) fn millis(time: std::time::Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_answer_is_unmet_and_what_is_not_allowed_never_is() {
        for kind in [FailureKind::Unreachable, FailureKind::TimedOut, FailureKind::Untrusted, FailureKind::Garbled] {
            assert!(Failure::new(kind, "x").or_unmet().is_ok());
        }
        for kind in [FailureKind::Denied, FailureKind::Invalid, FailureKind::Unavailable] {
            assert!(Failure::new(kind, "x").or_unmet().is_err());
        }
    }

    #[test]
    fn no_answer_closes_the_gate_of_the_pod_that_was_asked_and_is_a_fault_elsewhere() {
        let nobody = || Failure::new(FailureKind::Unreachable, "nobody listens there");
        assert!(OnNoAnswer::by_host("Pod").answer(nobody()).is_ok_and(|verdict| verdict.reason == "Unreachable"));
        assert!(OnNoAnswer::by_host("db.example.com").answer(nobody()).is_err());
    }
}
