//! Limits, each obeyed and violated by the same guest.

use std::time::{Duration, Instant};

use gatehost::{
    decide::{FaultKind, Status},
    sandbox::{LoadError, Plugin, Sandbox, reasons},
};
use tokio::{task::JoinSet, time};

use crate::{ENOUGH, ask, guest, load, question};

/// The guest answers under `obeyed`, and ends in this fault under `violated`; and after it, it answers again.
async fn limit(name: &str, obeyed: &str, violated: &str, kind: FaultKind, reason: &str) -> String {
    let plugin = load(name).await;
    assert_eq!(ask(&plugin, obeyed).await.unwrap().status, Status::True);
    let fault = ask(&plugin, violated).await.unwrap_err();
    assert_eq!((fault.kind, fault.reason.as_str()), (kind, reason), "{}", fault.message);
    assert_eq!(ask(&plugin, violated).await.unwrap_err(), fault, "the fault differs from call to call");
    assert_eq!(ask(&plugin, obeyed).await.unwrap().status, Status::True);
    fault.message
}

#[tokio::test]
async fn memory_is_limited() {
    let message = limit("grow", "48", "64", FaultKind::Limit, reasons::MEMORY_LIMIT).await;
    assert!(message.starts_with("it needs more than 64 MiB of memory; raise spec.limits.memory"), "{message}");
}

#[tokio::test]
async fn the_stack_is_limited() {
    let message = limit("recurse", "1000", "10000000", FaultKind::Limit, reasons::STACK_OVERFLOW).await;
    assert_eq!(message, "it needs more than 512 KiB of stack");
}

#[tokio::test]
async fn handles_are_limited() {
    let message = limit("hoard", "400", "1100", FaultKind::Limit, reasons::HANDLE_LIMIT).await;
    assert!(message.starts_with("it holds more than 1000 handles; raise spec.limits.handles"), "{message}");
}

#[tokio::test]
async fn what_one_host_call_takes_is_limited() {
    let message = limit("heavy", "1100", "1200", FaultKind::Limit, reasons::DATA_LIMIT).await;
    assert!(message.starts_with("it hands over more than 1152 KiB at once; raise spec.limits.hostCall"), "{message}");
}

#[tokio::test]
async fn a_sleep_in_a_host_function_ends_at_the_deadline() {
    let plugin = load("sleep").await;
    assert_eq!(ask(&plugin, "20").await.unwrap().status, Status::True);
    let fault = late(&plugin, "3600000").await;
    assert_eq!(fault, "no answer within 300ms");
}

#[tokio::test]
async fn a_computation_without_end_ends_at_the_deadline() {
    let fault = late(&load("spin").await, "").await;
    assert_eq!(fault, "no answer within 300ms");
}

async fn late(plugin: &Plugin, config: &str) -> String {
    let timeout = Duration::from_millis(300);
    let start = Instant::now();
    let fault = plugin.evaluate(question(config, timeout)).await.answer.unwrap_err();
    let took = start.elapsed();
    assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Deadline, reasons::DEADLINE_EXCEEDED));
    assert!((timeout..ENOUGH / 2).contains(&took), "{took:?}");
    fault.message
}

#[tokio::test]
async fn describe_has_five_seconds() {
    let start = Instant::now();
    let error = Sandbox::new().unwrap().load(guest("spin_describe")).await.unwrap_err();
    let LoadError::Describe(fault) = &error else { panic!("{error:?}") };
    assert_eq!(fault.kind, FaultKind::Deadline);
    assert_eq!(error.to_string(), "it cannot describe itself: DeadlineExceeded: no answer within 5s");
    assert!(start.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn validate_has_five_seconds() {
    let plugin = load("spin_validate").await;
    assert_eq!(plugin.validate("{}".into()).await.unwrap(), []);
    let wrong = plugin.validate("bad".into()).await.unwrap();
    assert_eq!((wrong[0].path.as_str(), wrong[0].message.as_str()), ("/port", "not a port"));
    let start = Instant::now();
    let fault = plugin.validate(r#"{"do":"spin"}"#.into()).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Deadline);
    assert!(start.elapsed() >= Duration::from_secs(5));
}

#[tokio::test]
async fn a_panic_is_a_fault_that_shows_its_words() {
    let fault = ask(&load("panic").await, "").await.unwrap_err();
    assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Trap, reasons::TRAP));
    assert!(fault.message.contains("the cache is gone"), "{}", fault.message);
    assert!(fault.message.contains("panic.rs"), "{}", fault.message);
}

#[tokio::test]
async fn exit_is_a_fault() {
    let fault = ask(&load("exit").await, "").await.unwrap_err();
    assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Trap, reasons::EXIT));
    assert_eq!(fault.message, "it called exit with status 1; its output ends: goodbye");
}

#[tokio::test]
async fn a_flood_of_output_is_no_fault_and_hides_no_panic() {
    let plugin = load("flood").await;
    assert_eq!(ask(&plugin, "2").await.unwrap().status, Status::True);
    assert_eq!(ask(&plugin, "4000").await.unwrap().status, Status::True);
    let fault = ask(&plugin, "4001").await.unwrap_err();
    assert!(fault.message.contains("an odd number"), "{}", fault.message);
    assert!(fault.message.len() <= 1024);
}

#[tokio::test]
async fn fifty_guests_that_spin_starve_neither_the_host_nor_a_good_plugin() {
    let sandbox = Sandbox::new().unwrap();
    let spin = sandbox.load(guest("spin")).await.unwrap();
    let good = sandbox.load(guest("good")).await.unwrap();
    let mut spinning = JoinSet::new();
    for _ in 0..50 {
        let spin = spin.clone();
        spinning.spawn(async move { spin.evaluate(question("", Duration::from_mins(2))).await });
    }
    let mut timer = time::interval(Duration::from_millis(10));
    let mut gaps = Vec::new();
    for _ in 0..100 {
        let before = Instant::now();
        timer.tick().await;
        gaps.push(before.elapsed());
    }
    gaps.sort();
    assert!(gaps[50] < Duration::from_millis(100), "half of the host's timers were later than {:?}", gaps[50]);
    assert_eq!(ask(&good, "").await.unwrap().status, Status::True);
    assert!(spinning.try_join_next().is_none(), "the guests were to spin all the time");
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_makes_room_for_another() {
    let sandbox = Sandbox::new().unwrap();
    let spin = sandbox.load(guest("spin")).await.unwrap();
    let good = sandbox.load(guest("good")).await.unwrap();
    let mut spinning = JoinSet::new();
    for _ in 0..70 {
        let spin = spin.clone();
        spinning.spawn(async move { spin.evaluate(question("", Duration::from_hours(1))).await });
    }
    let crowded = async { while good.evaluate(question("", Duration::from_millis(500))).await.answer.is_ok() {} };
    time::timeout(ENOUGH, crowded).await.unwrap();
    spinning.shutdown().await;
    assert_eq!(ask(&good, "").await.unwrap().status, Status::True);
}
