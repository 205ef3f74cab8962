//! What a language says of an error of its own reaches whoever reads the fault.

use gatehost::{
    decide::{FaultKind, Status},
    pod::Pod,
    sandbox::reasons,
};

use crate::ask;

/// The fault of a call under a config that `validate` refuses, so that the host never makes such a call.
fn fault(language: &str, config: &str) -> String {
    let fault = ask(language, &Pod::default(), config).unwrap_err();
    assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Trap, reasons::TRAP), "{}", fault.message);
    // The plugin is as good as before.
    let after = ask(language, &Pod::default(), r#"{"tracks":["stable"]}"#).unwrap();
    assert_eq!((after.status, after.reason.as_str()), (Status::False, "NoTrack"));
    fault.message
}

#[test]
fn an_exception_of_python_shows_its_traceback() {
    let message = fault("python", "{}");
    for part in ["Traceback (most recent call last)", "check.py", "in evaluate", "KeyError: 'tracks'"] {
        assert!(message.contains(part), "no {part} in {message}");
    }
}

#[test]
fn an_exception_of_javascript_shows_its_words() {
    let message = fault("javascript", r#"{"tracks":["#);
    for part in ["SyntaxError: JSON.parse", "evaluate@"] {
        assert!(message.contains(part), "no {part} in {message}");
    }
}
