//! How large a component may be made, and what it may say of itself and ask for at once.

use std::fmt::Write as _;

use gatehost::{
    decide::{Fault, FaultKind},
    sandbox::{LoadError, Sandbox, reasons},
};

use crate::{ask, guest};

#[tokio::test]
async fn the_schema_in_a_description_is_limited() {
    let obeyed = Sandbox::new().unwrap().load(guest("good")).await.unwrap();
    assert!(!obeyed.description().config_schema.is_empty());
    let error = Sandbox::new().unwrap().load(guest("wordy")).await.unwrap_err();
    assert!(matches!(error, LoadError::SchemaTooLarge { size: 65_537 }), "{error:?}");
    assert_eq!(error.to_string(), "the config schema in its description has 65537 bytes; it may have 65536");
}

#[tokio::test]
async fn what_chance_gives_at_once_is_limited() {
    let plugin = crate::load("gamble").await;
    assert_eq!(ask(&plugin, "65536").await.unwrap().message, "65536");
    let fault = ask(&plugin, "65537").await.unwrap_err();
    assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Trap, reasons::TRAP));
    assert!(fault.message.contains("65536") || fault.message.contains("random"), "{}", fault.message);
    assert_eq!(ask(&plugin, "65536").await.unwrap().message, "65536");
}

/// Loads a component that exports functions of the right names and has these core modules, each instantiated once.
///
/// Its functions have wrong types. That is found out after it was instantiated: [`LoadError::Mismatch`] says that
/// whatever its modules do on their start was within the limits.
async fn load(modules: &[String]) -> LoadError {
    let mut parts = String::new();
    for (i, module) in modules.iter().enumerate() {
        write!(parts, "(core module $m{i} {module}) (core instance $i{i} (instantiate $m{i}))").unwrap();
    }
    let text = format!(
        r#"(component
            {parts}
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $gate (export "describe" (func $f)) (export "validate" (func $f)) (export "evaluate" (func $f)))
            (export "gatehost:check/gate@0.1.0" (instance $gate)))"#
    );
    Sandbox::new().unwrap().load(wat::parse_str(text).unwrap()).await.unwrap_err()
}

async fn obeys(modules: &[String]) {
    let error = load(modules).await;
    assert!(matches!(error, LoadError::Mismatch(_)), "{error:?}");
}

/// The fault of a component that begins to run and asks for too much.
async fn violates(modules: &[String]) -> Fault {
    let error = load(modules).await;
    let LoadError::Describe(fault) = error else { panic!("{error:?}") };
    assert_eq!(fault.kind, FaultKind::Limit);
    fault
}

/// A module whose start function grows its table by this many elements.
fn grows_table(by: u32) -> String {
    format!("(table $t 1 funcref) (func $s (drop (table.grow $t (ref.null func) (i32.const {by})))) (start $s)")
}

/// A module whose start function grows its memory by this many pages of 64 KiB.
fn grows_memory(by: u32) -> String {
    format!("(memory 1) (func $s (drop (memory.grow (i32.const {by})))) (start $s)")
}

#[tokio::test]
async fn tables_are_limited() {
    obeys(&[grows_table(99_999)]).await;
    let fault = violates(&[grows_table(100_000)]).await;
    assert_eq!(
        (fault.reason.as_str(), &*fault.message),
        (
            reasons::TABLE_LIMIT,
            "it needs more than 100000 table elements; raise tableElements in the host's --max-limits"
        )
    );
}

#[tokio::test]
async fn all_tables_together_are_limited() {
    obeys(&[grows_table(49_999), grows_table(49_999)]).await;
    let fault = violates(&[grows_table(49_999), grows_table(50_000)]).await;
    assert_eq!(fault.reason, reasons::TABLE_LIMIT);
}

#[tokio::test]
async fn all_memories_together_are_limited() {
    obeys(&[grows_memory(511), grows_memory(511)]).await;
    let fault = violates(&[grows_memory(511), grows_memory(512)]).await;
    assert_eq!(fault.reason, reasons::MEMORY_LIMIT);
}

#[tokio::test]
async fn what_a_component_declares_is_limited_when_it_is_loaded() {
    let many = |module: &str, count: usize| vec![module.to_owned(); count];
    // The component has one core instance of its own.
    obeys(&many("", 99)).await;
    obeys(&many("(memory 1)", 4)).await;
    obeys(&many("(table 1 funcref)", 16)).await;
    for (modules, what) in [
        (many("", 100), "instances"),
        (many("(memory 1)", 5), "memories"),
        (many("(table 1 funcref)", 17), "tables"),
        (many("(memory 1025)", 1), "memory"),
        (many("(table 100001 funcref)", 1), "table"),
    ] {
        let error = load(&modules).await;
        assert!(matches!(&error, LoadError::Invalid(_)), "too many {what}: {error:?}");
        let source = std::error::Error::source(&error).unwrap();
        let told = std::iter::successors(Some(source), |error| error.source()).any(|e| e.to_string().contains(what));
        assert!(told, "{what}: {source:?}");
    }
}
