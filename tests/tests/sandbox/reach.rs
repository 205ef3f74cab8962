//! What a plugin sees and what becomes of its words.

use std::time::Duration;

use gatehost::{
    decide::{FaultKind, Status},
    pod::{Condition, Container, ContainerState, Owner, Packed, Pod, Role},
    sandbox::Evaluation,
};

use crate::{ENOUGH, NOW, ask, load, question};

#[tokio::test]
async fn a_plugin_reaches_nothing_outside_its_call() {
    let message = ask(&load("dump").await, "").await.unwrap().message;
    let (reached, random) = message.rsplit_once(" random=").unwrap();
    let expected = format!(
        "env=0 args=0 stdin=0 root=denied cwd=denied file=denied write=denied tcp=denied listen=denied udp=denied \
         dns=denied wall={NOW} now={NOW} later=0"
    );
    assert_eq!(reached, expected);
    assert!(random.parse::<u64>().is_ok());
}

#[tokio::test]
async fn the_same_question_gets_the_same_chance_and_another_one_another() {
    let plugin = load("dump").await;
    let first = ask(&plugin, "").await.unwrap();
    assert_eq!(ask(&plugin, "").await.unwrap(), first);
    assert_ne!(ask(&plugin, "{}").await.unwrap(), first);
}

#[tokio::test]
async fn a_plugin_sees_the_whole_trimmed_pod() {
    let pod = Pod {
        namespace: "shop".into(),
        name: "web-0".into(),
        uid: "u-1".into(),
        generation: 7,
        created_at: 1_000,
        labels: vec![("app".into(), "web".into())],
        annotations: vec![("note".into(), "warm".into())],
        ip: Some("10.0.0.1".into()),
        host_network: false,
        node: Some("n1".into()),
        service_account: None,
        phase: "Running".into(),
        containers: vec![Container {
            name: "main".into(),
            role: Role::Sidecar,
            state: ContainerState::Running,
            ready: true,
            restarts: 2,
            started_at: Some(2_000),
        }],
        conditions: vec![(
            "ContainersReady".into(),
            Condition {
                status: "True".into(),
                reason: "R".into(),
                message: "M".into(),
                last_transition: Some(3_000),
                observed_generation: None,
            },
        )],
        owner: Some(Owner {
            api_version: "apps/v1".into(),
            kind: "ReplicaSet".into(),
            name: "web".into(),
            uid: "u-0".into(),
        }),
        gates: vec!["example.com/warm".into()],
    };
    let evaluation = Evaluation { pod: Packed::new(&pod), ..question("note", ENOUGH) };
    let message = load("pod").await.evaluate(evaluation).await.answer.unwrap().message;
    let expected = r#"shop web-0 u-1 7 1000 Some("web") None [("app", "web")] Some("warm") ["note"] Some("10.0.0.1") Some("n1") None Running ["main ContainerRole::Sidecar ContainerState::Running true 2 Some(2000)"] Some(("True", "R", "M", Some(3000), None)) true Some(("apps/v1", "ReplicaSet", "web", "u-0")) ["example.com/warm"] ["ContainersReady"]"#;
    assert_eq!(message, expected);
}

#[tokio::test]
async fn the_words_of_a_plugin_are_made_fit_for_a_condition() {
    let plugin = load("rude").await;
    let verdict = ask(&plugin, "").await.unwrap();
    assert_eq!((verdict.status, verdict.reason.as_str()), (Status::Unknown, "InvalidReason"));
    assert!(verdict.message.starts_with("[2J é"), "{}", verdict.message);
    assert!(verdict.message.len() <= 1024);
    assert_eq!(verdict.recheck_after, Some(Duration::from_millis(100)));
    let fault = ask(&plugin, "fault").await.unwrap_err();
    assert_eq!((fault.kind, fault.reason.as_str()), (FaultKind::Other, "InvalidReason"));
    assert_eq!(fault.message, verdict.message);
    assert_eq!(fault.retry_after, Some(Duration::from_hours(1)));
}
