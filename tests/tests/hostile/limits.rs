//! Limits that a check's document sets, within those of the host.

use gatehost::{
    check::{Limit, Limits},
    decide::{Fault, FaultKind, Status, Verdict},
    sandbox::{Evaluation, GrantError, LoadError, Options, Sandbox, reasons},
};
use gatehost_tests::corpus::{self, Guest};

use crate::library::{check, question};

fn guest(name: &str) -> Guest {
    corpus::all().into_iter().find(|guest| guest.name == name).unwrap()
}

fn host(ceilings: &[(Limit, u32)]) -> Sandbox {
    let ceilings = ceilings.iter().copied().collect::<Limits>();
    Sandbox::with(Options { ceilings, ..Options::default() }).unwrap()
}

/// The guest's document with these limits.
fn limited(guest: &Guest, limits: &str) -> gatehost::check::Check {
    let mut document: serde_json::Value = serde_json::from_str(&guest.check()).unwrap();
    document["spec"]["limits"] = serde_json::from_str(limits).unwrap();
    check(&document.to_string())
}

/// Asks it with this config and these limits.
async fn ask(sandbox: &Sandbox, name: &str, config: &str, limits: &str) -> Result<Verdict, Fault> {
    let guest = guest(name);
    let plugin = sandbox.load(guest.wasm()).await.unwrap();
    let grant = sandbox.grant_to(&limited(&guest, limits)).unwrap();
    plugin.evaluate(Evaluation { grant, config: config.into(), ..question(sandbox, &guest, 0) }).await.answer
}

/// The guest answers within `enough` and ends in this fault, which names the mend, within `few`.
async fn limit(name: &str, config: &str, [enough, few]: [&str; 2], reason: &str, message: &str) {
    let sandbox = host(&[(Limit::Memory, 128 << 20), (Limit::TableElements, 200_000), (Limit::HostCall, 4 << 20)]);
    assert_eq!(ask(&sandbox, name, config, enough).await.unwrap().status, Status::True, "{name} within {enough}");
    let fault = ask(&sandbox, name, config, few).await.unwrap_err();
    assert_eq!((fault.kind, &*fault.reason, &*fault.message), (FaultKind::Limit, reason, message), "{name}");
}

#[tokio::test]
async fn a_check_sets_the_memory_of_its_calls() {
    let told = "it needs more than 16 MiB of memory; raise spec.limits.memory";
    limit("grow", "20", [r#"{"memory":"32Mi"}"#, r#"{"memory":"16Mi"}"#], reasons::MEMORY_LIMIT, told).await;
}

#[tokio::test]
async fn a_check_may_have_more_memory_than_is_usual_where_the_host_grants_it() {
    let told = "it needs more than 64 MiB of memory; raise spec.limits.memory";
    limit("grow", "100", [r#"{"memory":"128Mi"}"#, "{}"], reasons::MEMORY_LIMIT, told).await;
}

#[tokio::test]
async fn a_check_sets_the_handles_of_its_calls() {
    let told = "it holds more than 50 handles; raise spec.limits.handles";
    limit("hoard", "100", [r#"{"handles":300}"#, r#"{"handles":50}"#], reasons::HANDLE_LIMIT, told).await;
}

#[tokio::test]
async fn a_check_sets_what_its_calls_hand_over_at_once() {
    let told = "it hands over more than 64 KiB at once; raise spec.limits.hostCall";
    limit("heavy", "100", [r#"{"hostCall":"2Mi"}"#, r#"{"hostCall":"64Ki"}"#], reasons::DATA_LIMIT, told).await;
}

#[tokio::test]
async fn a_check_sets_the_table_elements_of_its_calls() {
    let sandbox = host(&[]);
    let fault = ask(&sandbox, "table_grow", "{}", r#"{"tableElements":5000}"#).await.unwrap_err();
    assert_eq!((fault.kind, &*fault.reason), (FaultKind::Limit, reasons::TABLE_LIMIT));
    assert_eq!(fault.message, "it needs more than 5000 table elements; raise spec.limits.tableElements");
    assert!(ask(&sandbox, "good", "{}", r#"{"tableElements":5000}"#).await.is_ok());
}

#[tokio::test]
async fn a_check_that_asks_for_more_than_the_host_grants_is_refused() {
    let sandbox = host(&[(Limit::Memory, 32 << 20)]);
    let refused = sandbox.grant_to(&limited(&guest("good"), r#"{"memory":"33Mi"}"#)).unwrap_err();
    assert!(matches!(refused, GrantError::Limit { limit: Limit::Memory, .. }), "{refused:?}");
    assert_eq!(
        refused.to_string(),
        "spec.limits.memory: 33Mi is more than this host grants; ask for at most 32Mi, or start the host with \
         --max-limits memory=33Mi"
    );
    assert!(sandbox.grant_to(&limited(&guest("good"), r#"{"memory":"32Mi"}"#)).is_ok());
    // Whoever asks for nothing gets no more than the ceiling either.
    let fault = ask(&sandbox, "grow", "40", "{}").await.unwrap_err();
    assert_eq!(
        fault.message,
        "it needs more than 32 MiB of memory; raise spec.limits.memory and memory in the host's --max-limits"
    );
}

#[tokio::test]
async fn what_a_plugin_declares_and_takes_at_its_start_is_held_to_what_the_host_grants() {
    let declared = guest("memory_declared").wasm();
    let refused = host(&[]).load(declared.clone()).await.unwrap_err();
    assert!(matches!(refused, LoadError::Invalid(_)), "{refused:?}");
    assert!(host(&[(Limit::Memory, 128 << 20)]).load(declared).await.is_ok());
}
