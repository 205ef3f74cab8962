//! Each guest through the library: loaded, asked whether its config is right, asked about a pod.

use std::{sync::Arc, time::Duration};

use gatehost::{
    check::Check,
    decide::{FaultKind, Status},
    pod::{Packed, Pod},
    sandbox::{Evaluation, Kept, LoadError, Plugin, Sandbox, reasons},
};
use gatehost_tests::corpus::{self, Does, Guest};
use tokio::task::JoinSet;

pub(crate) fn check(text: &str) -> Check {
    let parsed = gatehost::check::parse(text, false);
    assert!(parsed.broken.is_empty(), "{:?}", parsed.broken);
    parsed.checks.into_iter().next().unwrap()
}

/// A question about a pod, as the document of the guest's check has it asked.
pub(crate) fn question(sandbox: &Sandbox, guest: &Guest, now: i64) -> Evaluation {
    let check = check(&guest.check());
    let pod = Pod { namespace: "shop".into(), name: "web-0".into(), uid: "u-1".into(), ..Pod::default() };
    Evaluation {
        check: check.name.clone(),
        pod: Packed::new(&pod),
        config: check.config.clone(),
        now,
        timeout: check.timeout,
        grant: sandbox.grant_to(&check).unwrap(),
        kept: Kept::default(),
    }
}

/// What is wrong with what came of a guest; nothing where it is what the corpus says.
async fn tried(sandbox: Sandbox, guest: Guest) -> Option<String> {
    let loaded = sandbox.load(guest.wasm()).await;
    let plugin = match (guest.does, loaded) {
        (Does::IsNone(by), Err(error)) => return (!by(&error)).then(|| format!("{error:?}")),
        (Does::CannotDescribe(kind, reason), Err(LoadError::Describe(fault))) => {
            return ((fault.kind, &*fault.reason) != (kind, reason)).then(|| format!("{fault:?}"));
        }
        (_, Err(error)) => return Some(format!("it did not load: {error:?}")),
        (Does::IsNone(_) | Does::CannotDescribe(..), Ok(_)) => return Some("it loaded".to_owned()),
        (_, Ok(plugin)) => plugin,
    };
    let judged = plugin.validate(check(&guest.check()).config).await;
    match (guest.does, judged) {
        (Does::Rejects, Ok(wrong)) => {
            // However many it finds, those that are told are few.
            return (!(1..=21).contains(&wrong.len())).then(|| format!("{} errors", wrong.len()));
        }
        (Does::CannotJudge(kind, reason), Err(fault)) => {
            return ((fault.kind, &*fault.reason) != (kind, reason)).then(|| format!("{fault:?}"));
        }
        (Does::Rejects | Does::CannotJudge(..), other) => return Some(format!("it judged: {other:?}")),
        (_, Ok(wrong)) if wrong.is_empty() => {}
        (_, other) => return Some(format!("it did not take its config: {other:?}")),
    }
    // What happened once happens again: nothing of a call is left for the next one.
    for _ in 0..2 {
        let answer = plugin.evaluate(question(&sandbox, &guest, 0)).await.answer;
        let right = match (&guest.does, &answer) {
            (Does::Answers(status, reason), Ok(verdict)) => (verdict.status, &*verdict.reason) == (*status, reason),
            (Does::Faults(kind, reason), Err(fault)) => (fault.kind, &*fault.reason) == (*kind, reason),
            (Does::Wavers, Ok(verdict)) => verdict.status == Status::True,
            _ => false,
        };
        if !right {
            return Some(format!("{answer:?}"));
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_of_each_guest_is_known_by_its_type_and_harms_no_other() {
    let sandbox = Sandbox::new().unwrap();
    let good = corpus::all().into_iter().find(|guest| guest.name == "good").unwrap();
    let mut trials = JoinSet::new();
    for guest in corpus::all() {
        let sandbox = sandbox.clone();
        trials.spawn(async move { (guest.name, tried(sandbox, guest).await) });
    }
    let ended = trials.join_all().await;
    let wrong: Vec<_> = ended.into_iter().filter_map(|(name, wrong)| Some(format!("{name}: {}", wrong?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(tried(sandbox, good).await, None);
}

async fn load(sandbox: &Sandbox, name: &str) -> (Plugin, Guest) {
    let guest = corpus::all().into_iter().find(|guest| guest.name == name).unwrap();
    (sandbox.load(guest.wasm()).await.unwrap(), guest)
}

#[tokio::test]
async fn a_guest_that_wavers_is_asked_anew_each_time() {
    let sandbox = Sandbox::new().unwrap();
    let (plugin, guest) = load(&sandbox, "alternate").await;
    for now in 0..20 {
        let answer = plugin.evaluate(question(&sandbox, &guest, now)).await.answer;
        match answer {
            Ok(verdict) => assert_eq!((now % 2, verdict.status), (0, Status::True)),
            Err(fault) => assert_eq!((now % 2, fault.kind, &*fault.reason), (1, FaultKind::Trap, reasons::TRAP)),
        }
    }
}

#[tokio::test]
async fn a_guest_that_is_slow_only_among_many_misses_its_deadline_and_nothing_else() {
    let sandbox = Sandbox::new().unwrap();
    let (plugin, guest) = load(&sandbox, "slow").await;
    let (good, good_guest) = load(&sandbox, "good").await;
    let start = std::time::Instant::now();
    plugin.evaluate(question(&sandbox, &guest, 0)).await.answer.unwrap();
    let timeout = 2 * start.elapsed();
    let many = 8 * std::thread::available_parallelism().map_or(2, usize::from);
    let mut calls = JoinSet::new();
    for _ in 0..many {
        // Each with a grant of its own: those of one check would wait for each other.
        let (plugin, question) = (plugin.clone(), Evaluation { timeout, ..question(&sandbox, &guest, 0) });
        calls.spawn(async move { plugin.evaluate(question).await.answer });
    }
    let beside = good.evaluate(question(&sandbox, &good_guest, 0)).await.answer;
    assert_eq!(beside.unwrap().status, Status::True);
    let faults: Vec<_> = calls.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(!faults.is_empty(), "{many} were in time");
    assert!(faults.iter().all(|fault| fault.kind == FaultKind::Deadline), "{faults:?}");
}

#[tokio::test]
async fn what_a_guest_says_of_itself_is_printable_and_its_schema_is_only_a_text() {
    let sandbox = Sandbox::new().unwrap();
    let (plugin, _) = load(&sandbox, "name_escapes").await;
    let said = plugin.description();
    for text in [&said.name, &said.version, &said.help] {
        assert!(text.contains("good"), "{text:?}");
        assert!(text.chars().all(gatehost::decide::sanitize::prints), "{text:?}");
    }
    let (plugin, _) = load(&sandbox, "schema_refs").await;
    assert!(plugin.description().config_schema.contains(r#""$ref":"http://127.0.0.1:1/schema.json""#));
    assert_eq!(plugin.validate(Arc::from(r#"{"a":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"}"#)).await.unwrap(), []);
    assert_eq!(load(&sandbox, "schema_text").await.0.description().config_schema, "]}");
}

/// How long a call without end may take beyond its deadline on a busy machine.
const LATE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_bomb_in_one_instruction_ends_at_the_deadline_as_well() {
    let sandbox = Sandbox::new().unwrap();
    for name in ["memory_fill", "memory_copy", "table_fill", "log_storm", "post_spins"] {
        let (plugin, guest) = load(&sandbox, name).await;
        let timeout = Duration::from_millis(100);
        let start = std::time::Instant::now();
        let question = Evaluation { timeout, ..question(&sandbox, &guest, 0) };
        let fault = plugin.evaluate(question).await.answer.unwrap_err();
        assert_eq!((fault.kind, &*fault.reason), (FaultKind::Deadline, reasons::DEADLINE_EXCEEDED), "{name}");
        assert!((timeout..LATE).contains(&start.elapsed()), "{name}: {:?}", start.elapsed());
    }
}
