//! Answers with what must not stand in a condition: a fault for the config `fault`, a verdict otherwise.

use guests::{Fault, FaultKind, Plugin, Pod, Status, Verdict};

struct Rude;

impl Plugin for Rude {
    fn evaluate(_: &Pod, config: &str) -> Result<Verdict, Fault> {
        let (reason, message) = ("not a reason".to_owned(), format!("\u{1b}[2J\u{202e}{}", "é".repeat(200_000)));
        if config == "fault" {
            let kind = FaultKind::Other("Odd".into());
            return Err(Fault { kind, reason, message, retry_after_ms: Some(u32::MAX), extra: Vec::new() });
        }
        let extra = vec![("unknown".into(), "ignored".into())];
        Ok(Verdict { status: Status::Unknown, reason, message, recheck_after_ms: Some(1), extra })
    }
}

guests::plugin!(Rude);
