//! One table of pods, and what every language says of each.

use std::time::Duration;

use gatehost::{
    decide::{Fault, FaultKind, Status, Verdict},
    pod::{Container, ContainerState, Pod, Role},
};

use crate::{NOW, ask_all};

const CONFIG: &str = r#"{"settleSeconds":30,"tracks":["stable","canary"]}"#;
/// A start, cut to its second as kubelet cuts it: 2023-11-14T22:12:00Z, 80 s before the calls.
const STARTED: i64 = 1_699_999_920_000;

fn container(name: &str, role: Role, started_at: Option<i64>) -> Container {
    let state = ContainerState::Running;
    Container { name: name.to_owned(), role, state, ready: true, restarts: 0, started_at }
}

fn pod(track: Option<&str>, containers: Vec<Container>) -> Pod {
    let labels = track.map(|track| ("track".to_owned(), track.to_owned())).into_iter().collect();
    let (namespace, name, uid) = ("shop".to_owned(), "web-0".to_owned(), "u-1".to_owned());
    Pod { namespace, name, uid, labels, containers, ..Pod::default() }
}

fn web(started_at: i64) -> Vec<Container> {
    vec![container("web", Role::App, Some(started_at))]
}

fn annotated(value: &str) -> Pod {
    let annotations = vec![("example.com/settle-seconds".to_owned(), value.to_owned())];
    Pod { annotations, ..pod(Some("stable"), web(STARTED)) }
}

#[track_caller]
fn verdict(pod: &Pod, config: &str) -> Verdict {
    ask_all(pod, config).unwrap()
}

#[track_caller]
fn is(pod: &Pod, status: Status, reason: &str, message: &str) {
    let answer = verdict(pod, CONFIG);
    assert_eq!((answer.status, answer.reason.as_str(), answer.message.as_str()), (status, reason, message));
}

#[test]
fn a_pod_on_its_track_whose_containers_have_run_long_enough_is_met() {
    let message = "on track canary; all containers have run since 2023-11-14T22:12:00Z";
    is(&pod(Some("canary"), web(STARTED)), Status::True, "Settled", message);
}

#[test]
fn it_is_asked_again_at_the_very_moment_when_it_settles() {
    let at = |started| verdict(&pod(Some("stable"), web(started)), CONFIG);
    // 31 s before: due 123 ms ago; a second later, in 877 ms.
    assert_eq!(at(NOW - 123 - 31_000).reason, "Settled");
    let early = at(NOW - 123 - 30_000);
    assert_eq!((early.status, early.reason.as_str()), (Status::False, "Settling"));
    assert_eq!(early.message, "on track stable; settled at 2023-11-14T22:13:21Z if no container restarts");
    assert_eq!(early.recheck_after, Some(Duration::from_millis(877)));
}

#[test]
fn the_clock_of_a_node_that_is_a_century_ahead_asks_in_an_hour() {
    // 2123-11-14T22:13:20Z; and the leap day of 2024.
    let ahead = verdict(&pod(Some("stable"), web(4_855_673_600_000)), CONFIG);
    assert_eq!(ahead.message, "on track stable; settled at 2123-11-14T22:13:51Z if no container restarts");
    assert_eq!(ahead.recheck_after, Some(Duration::from_hours(1)));
    let leap = verdict(&pod(Some("stable"), web(1_709_251_199_000)), CONFIG);
    assert_eq!(leap.message, "on track stable; settled at 2024-03-01T00:00:30Z if no container restarts");
}

#[test]
fn a_pod_without_a_track_or_on_another_one_is_unmet() {
    is(&pod(None, web(STARTED)), Status::False, "NoTrack", "the pod has no label track");
    let other = "wanted: stable, canary; the pod is on beta";
    is(&pod(Some("beta"), web(STARTED)), Status::False, "OtherTrack", other);
    // Neither the case nor a part counts.
    assert_eq!(verdict(&pod(Some("Stable"), web(STARTED)), CONFIG).reason, "OtherTrack");
    assert_eq!(verdict(&pod(Some("stab"), web(STARTED)), CONFIG).reason, "OtherTrack");
    assert_eq!(verdict(&pod(Some(""), web(STARTED)), CONFIG).reason, "OtherTrack");
}

#[test]
fn labels_of_any_size_in_any_script_come_back_the_same() {
    for label in ["日本語", "čaj 🫖", "e\u{301}", "\u{10ffff}\u{fffd}", "a\u{0}b", "\"\\\n\t", "\u{202e}gnal", "%s%n"]
    {
        let answer = verdict(&pod(Some(label), web(STARTED)), CONFIG);
        assert_eq!(answer.reason, "OtherTrack");
        assert!(answer.message.starts_with("wanted: stable, canary; the pod is on "), "{}", answer.message);
    }
    is(
        &pod(Some("日本語 🫖"), web(STARTED)),
        Status::False,
        "OtherTrack",
        "wanted: stable, canary; the pod is on 日本語 🫖",
    );
    for label in ["x".repeat(10 << 10), "ü".repeat(10 << 10), "🫖".repeat(10 << 10)] {
        let answer = verdict(&pod(Some(&label), web(STARTED)), CONFIG);
        assert!((1000..=1024).contains(&answer.message.len()), "{}", answer.message.len());
    }
}

#[test]
fn containers_that_do_not_run_are_named_and_finished_init_containers_are_not() {
    let mut containers = vec![
        container("migrate", Role::Init, None),
        container("proxy", Role::Sidecar, Some(STARTED)),
        container("web", Role::App, Some(STARTED)),
        container("späher", Role::App, None),
    ];
    containers[0].state = ContainerState::Terminated;
    containers[1].state = ContainerState::Waiting;
    containers[3].state = ContainerState::Terminated;
    is(&pod(Some("stable"), containers.clone()), Status::False, "NotRunning", "not running: proxy, späher");
    containers[1].state = ContainerState::Running;
    containers[3].state = ContainerState::Running;
    is(&pod(Some("stable"), containers.clone()), Status::Unknown, "StartUnknown", "no time of the start: späher");
    // The latest start counts.
    containers[3].started_at = Some(STARTED + 60_000);
    assert_eq!(verdict(&pod(Some("stable"), containers), CONFIG).reason, "Settling");
}

#[test]
fn a_pod_of_which_kubelet_reports_nothing_is_unknown() {
    let nothing = "kubelet reports no containers";
    is(&pod(Some("stable"), Vec::new()), Status::Unknown, "NoContainers", nothing);
    let init = vec![container("migrate", Role::Init, Some(STARTED))];
    is(&pod(Some("stable"), init), Status::Unknown, "NoContainers", nothing);
}

#[test]
fn a_thousand_containers_are_read() {
    let mut containers: Vec<_> =
        (0..1000).map(|i| container(&format!("c-{i}"), Role::App, Some(STARTED + i * 1000))).collect();
    containers[999].started_at = Some(STARTED);
    // The 998th starts last, at 22:28:38, and settles 31 s later.
    let answer = verdict(&pod(Some("stable"), containers), CONFIG);
    assert_eq!(answer.message, "on track stable; settled at 2023-11-14T22:29:09Z if no container restarts");
}

#[test]
fn an_annotation_of_the_pod_sets_another_time_and_a_wrong_one_is_a_fault() {
    assert_eq!(verdict(&annotated("79"), CONFIG).reason, "Settled");
    assert_eq!(verdict(&annotated("0079"), CONFIG).reason, "Settled");
    let later = verdict(&annotated("3600"), CONFIG);
    assert_eq!((later.reason.as_str(), later.recheck_after), ("Settling", Some(Duration::from_millis(3_520_877))));
    for wrong in ["", "0", "-1", "+5", "3601", "00030", "5s", " 5", "5.0", "٣", "1_0", "1e2", &"9".repeat(10 << 10)] {
        let fault = ask_all(&annotated(wrong), CONFIG).unwrap_err();
        let (kind, retry_after) = (FaultKind::Other, Some(Duration::from_secs(15)));
        assert_eq!((fault.kind, fault.reason.as_str(), fault.retry_after), (kind, "BadSettleSeconds", retry_after));
        let message = "example.com/settle-seconds: give whole seconds from 1 to 3600, not";
        assert!(fault.message.starts_with(message), "{}", fault.message);
    }
    let Fault { message, .. } = ask_all(&annotated("soon"), CONFIG).unwrap_err();
    assert_eq!(message, "example.com/settle-seconds: give whole seconds from 1 to 3600, not soon");
}

#[test]
fn a_config_without_a_time_waits_ten_seconds_and_one_of_many_tracks_is_read() {
    let at = |started| verdict(&pod(Some("stable"), web(started)), r#"{"tracks":["stable"]}"#).reason;
    assert_eq!((at(NOW - 123 - 11_000).as_str(), at(NOW - 123 - 10_000).as_str()), ("Settled", "Settling"));
    let tracks: Vec<_> = (0..2000).map(|i| format!("t-{i}")).collect();
    let config = serde_json::json!({"tracks": tracks, "settleSeconds": 1.0}).to_string();
    assert_eq!(verdict(&pod(Some("t-1999"), web(STARTED)), &config).reason, "Settled");
    assert_eq!(verdict(&pod(Some("t-2000"), web(STARTED)), &config).reason, "OtherTrack");
}
