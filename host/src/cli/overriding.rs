//! `gatehost override`: a gate set by hand for a while, and back.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    Failure, byhand,
    once::Output,
    target::{Connected, Target, pod_name},
    text::printable,
    wanted::{self, Wanted, assignments, followed, standing},
};
use crate::{
    cluster::{AskError, Cluster, RefusalEvent},
    decide::{
        Status,
        overrides::{self, Overrides},
    },
    pod::Seen,
};

/// How long a host may take to follow.
const PATIENCE: Duration = Duration::from_secs(10);
/// After how long the wait is told.
const QUIET: Duration = Duration::from_secs(2);
/// How often the pod is read meanwhile.
const PERIOD: Duration = Duration::from_millis(250);
/// How often a pod that changes all the time is read again.
const ATTEMPTS: usize = 8;

const USAGE: &str = "gatehost override pod NAME GATE=True --for 30m --reason \"...\"";

/// Set a pod's gate by hand for a while
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "gatehost override [OPTIONS] pod NAME GATE=True|False... --for DURATION --reason TEXT\n       \
                      gatehost override [OPTIONS] pod NAME --clear [GATE...]",
    long_about = "\
Set a pod's gate by hand for a while.

It leaves the annotation gatehost.dev/override on the pod, which the host that decides the gate obeys until the end \
that it names; then the check decides again. The condition says that it is overridden, why and until when. Then it \
waits 10 s for the conditions to follow. Where no host does, it prints the kubectl command that does it by hand.

A host refuses, with an Event on the pod: an annotation with another pod's uid, an end further away than its \
--max-override (24h unless set), and a gate whose check says `override: false`.",
    after_help = "\
Examples:
  gatehost override pod web-0 example.com/warm=True --for 30m --reason 'cache is down'
  gatehost override -n shop pod web-0 example.com/warm=False --for 1h30m --reason \"drained for a dump\"
  gatehost override pod web-0 --clear                    all gates decided by their checks again
  gatehost override pod web-0 --clear example.com/warm   this one

Exit codes:
  0  the conditions followed
  1  they did not within 10 s, or the API server could not be asked
  2  a wrong flag, no such pod or gate, a pod that is over, or a missing right

It takes get and patch on pods, and patch on pods/status where the policy of
host/deploy guards the annotation. KUBECONFIG is honoured as by kubectl."
)]
pub(super) struct Args {
    #[command(flatten)]
    target: Target,
    /// The pod and its gates: pod NAME GATE=True|False..., or with --clear: pod NAME [GATE...]
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// How long, such as 90s, 30m or 1h30m: 1s to 24h
    #[arg(long = "for", value_name = "DURATION", value_parser = wanted::duration, required_unless_present = "clear")]
    lasts: Option<Duration>,
    /// Why, for the condition and everybody who reads it: at most 256 bytes
    #[arg(long, value_name = "TEXT", value_parser = wanted::reason, required_unless_present = "clear")]
    reason: Option<String>,
    /// Let the checks decide again
    #[arg(long, conflicts_with_all = ["lasts", "reason"])]
    clear: bool,
    /// What is printed
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Output,
}

/// What has come of it.
struct Done {
    /// The pod as it was last read.
    seen: Seen,
    /// The gates that are meant, and to which status; nothing for the check's own.
    gates: Vec<(String, Option<Status>)>,
    /// The annotation as it is now.
    now: Option<Overrides>,
}

impl Done {
    fn followed(&self) -> bool {
        self.gates.iter().all(|(gate, status)| followed(&self.seen, gate, *status))
    }
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    let Args { target, words, lasts, reason, output, .. } = args;
    let (name, rest) = pod_name(&words, USAGE)?;
    let wanted = match (lasts, reason) {
        (Some(lasts), Some(reason)) => {
            let gates = assignments(rest).map_err(Failure::Input)?;
            Wanted::Set { gates, until: end(now(), lasts), reason }
        }
        _ => Wanted::Clear { gates: rest.to_vec() },
    };
    let flags = target.kubectl_flags();
    target.on(async |Connected { cluster, namespace }| {
        let mut done = annotate(&cluster, &namespace, name, &wanted).await?;
        wait(&cluster, &mut done).await?;
        if done.followed() {
            print(output, &done, None, None)?;
            return Ok(ExitCode::SUCCESS);
        }
        let refused = cluster.override_refusal(&done.seen.pod).await;
        let by_hand = by_hand(&flags, &done, &wanted);
        print(output, &done, refused.as_ref(), Some(&by_hand))?;
        Err(Failure::Work(anyhow!(explain(&done, &wanted, refused.as_ref()))))
    })
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// In whole seconds and never later than asked for, so that the longest that a host allows is allowed.
fn end(now: i64, lasts: Duration) -> i64 {
    let end = now.saturating_add(i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX));
    end - end.rem_euclid(1000)
}

/// Writes the annotation; reads the pod again where it changed meanwhile, so that two people at the same time lose
/// nothing of each other.
async fn annotate(cluster: &Cluster, namespace: &str, name: &str, wanted: &Wanted) -> Result<Done, Failure> {
    let mut seen = cluster.read_pod(namespace, name).await.map_err(failure)?;
    let uid = seen.pod.uid.clone();
    for attempt in 1.. {
        wanted.judge(&seen).map_err(Failure::Input)?;
        let (before, dropped) = standing(&seen);
        let gates = wanted.gates(&before);
        let after = wanted.apply(&before, &uid, now()).map_err(Failure::Input)?;
        let text = after.as_ref().map(overrides::print);
        match cluster.annotate_override(&seen, text.as_deref()).await {
            Ok(seen) => {
                tell(dropped.as_deref());
                return Ok(Done { seen, gates, now: after });
            }
            Err(AskError::Changed(_)) if attempt < ATTEMPTS => {
                seen = cluster.read_pod(namespace, name).await.map_err(failure)?;
                same(&uid, &seen)?;
            }
            Err(error) => return Err(failure(error)),
        }
    }
    Err(Failure::Work(anyhow!("{namespace}/{name}: it changes all the time: try again")))
}

/// Reads the pod until its conditions say what was wanted, or the time is over.
async fn wait(cluster: &Cluster, done: &mut Done) -> Result<(), Failure> {
    let begin = Instant::now();
    let end = begin + PATIENCE;
    let mut told = false;
    while !done.followed() && Instant::now() < end {
        if !told && begin.elapsed() >= QUIET {
            told = true;
            tell(Some("waiting for a host to follow, 10 s at most"));
        }
        sleep(PERIOD).await;
        let read = cluster.read_pod(&done.seen.pod.namespace, &done.seen.pod.name);
        match timeout_at(end, read).await {
            Ok(Ok(seen)) => {
                same(&done.seen.pod.uid, &seen)?;
                done.seen = seen;
            }
            Ok(Err(error @ (AskError::NoPod { .. } | AskError::Denied(_)))) => return Err(failure(error)),
            // A server that cannot now may be able to before the time is over.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    Ok(())
}

/// An override is for one pod, not for the next one of its name.
fn same(uid: &str, seen: &Seen) -> Result<(), Failure> {
    if seen.pod.uid == uid {
        return Ok(());
    }
    let name = format!("{}/{}", seen.pod.namespace, seen.pod.name);
    Err(Failure::Work(anyhow!("{name}: the pod was replaced by another one of its name: nothing holds for that one")))
}

fn failure(error: AskError) -> Failure {
    match error {
        AskError::NoPod { .. } | AskError::Denied(_) => Failure::input(error),
        AskError::Changed(_) | AskError::Failed(_) => Failure::Work(error.into()),
    }
}

/// For those gates that did not follow. One that is cleared is held at Unknown until a host decides it.
fn by_hand(flags: &[String], done: &Done, wanted: &Wanted) -> String {
    let message = match wanted {
        Wanted::Set { reason, .. } => format!("set by hand: {reason}"),
        Wanted::Clear { .. } => "set by hand: an override was taken back and no host decides".to_owned(),
    };
    let late = done.gates.iter().filter(|(gate, status)| !followed(&done.seen, gate, *status));
    let gates: Vec<_> = late.map(|(gate, status)| (gate.clone(), status.unwrap_or(Status::Unknown))).collect();
    byhand::command(flags, &done.seen.pod, &gates, &message, now())
}

/// Why it did not happen, and what stands.
fn explain(done: &Done, wanted: &Wanted, refused: Option<&RefusalEvent>) -> String {
    let name = format!("{}/{}", done.seen.pod.namespace, done.seen.pod.name);
    let what = match refused {
        Some(RefusalEvent { at, note }) => {
            format!("not followed in 10 s; the newest refusal of a host, of {at}: {note}")
        }
        None => "no host answered in 10 s".to_owned(),
    };
    let stands = match wanted {
        Wanted::Set { until, .. } => {
            format!(
                "the annotation stays, and a host obeys it until {}; --clear takes it back",
                overrides::time(*until)
            )
        }
        Wanted::Clear { .. } => "the annotation is gone, and a host decides again once it runs".to_owned(),
    };
    format!("{name}: {what}; {stands}")
}

fn print(output: Output, done: &Done, refused: Option<&RefusalEvent>, by_hand: Option<&str>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{:#}", document(done, refused, by_hand))?,
        Output::Text => {
            if done.gates.is_empty() {
                writeln!(out, "no gate is overridden")?;
            }
            for (gate, _) in &done.gates {
                writeln!(out, "{}", line(&done.seen, gate))?;
            }
            if let Some(by_hand) = by_hand {
                writeln!(out, "by hand:\n{by_hand}")?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

/// The gate and what stands.
fn line(seen: &Seen, gate: &str) -> String {
    let words = match seen.pod.condition(gate) {
        Some(c) => [c.status.as_str(), &c.reason, &c.message].join(" "),
        None => "- no condition stands".to_owned(),
    };
    printable(format!("{gate} {words}").trim_end())
}

fn document(done: &Done, refused: Option<&RefusalEvent>, by_hand: Option<&str>) -> Value {
    let pod = &done.seen.pod;
    let gate = |(gate, status): &(String, Option<Status>)| {
        let condition = pod.condition(gate);
        let entry = done.now.as_ref().and_then(|now| now.of(gate));
        json!({
            "type": gate,
            "wanted": status.map(Status::as_str),
            "until": entry.map(|o| overrides::time(o.until)),
            "status": condition.map(|c| &c.status),
            "reason": condition.map(|c| &c.reason),
            "message": condition.map(|c| &c.message),
            "followed": followed(&done.seen, gate, *status),
        })
    };
    json!({
        "namespace": pod.namespace,
        "pod": pod.name,
        "uid": pod.uid,
        "gates": done.gates.iter().map(gate).collect::<Vec<_>>(),
        "followed": done.followed(),
        "refused": refused.map(|r| &r.note),
        "byHand": by_hand,
    })
}

/// Tells a person what goes on; what is printed on stdout is the result alone.
fn tell(line: Option<&str>) {
    if let Some(line) = line {
        // Where nobody reads, nobody is told.
        let _ = writeln!(io::stderr(), "{line}");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::{
        decide::overrides::Override,
        pod::{Condition, Pod},
    };

    const NOW: i64 = 1_795_450_422_900;

    fn done(reason: &str) -> Done {
        let (status, message) = ("True".into(), "cache\u{1b} is down".into());
        let condition = Condition { status, reason: reason.into(), message, ..Condition::default() };
        let conditions = vec![("a.io/b".into(), condition)];
        let pod = Pod { namespace: "shop".into(), name: "web-0".into(), uid: "u".into(), conditions, ..Pod::default() };
        let entry = Override { gate: "a.io/b".into(), status: Status::True, until: end(NOW, HALF), reason: "r".into() };
        let now = Some(Overrides { uid: "u".into(), overrides: vec![entry] });
        Done { seen: Seen { pod, ..Seen::default() }, gates: vec![("a.io/b".into(), Some(Status::True))], now }
    }

    const HALF: Duration = Duration::from_mins(30);

    #[test]
    fn an_end_is_a_whole_second_and_never_later_than_asked_for() {
        assert_eq!(overrides::time(end(NOW, HALF)), "2026-11-23T16:43:42Z");
        assert!(end(NOW, Duration::from_secs(1)) > NOW);
    }

    #[test]
    fn the_document_has_exactly_the_promised_keys() {
        let document = document(&done("Overridden"), None, None);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&document), "byHand followed gates namespace pod refused uid");
        let gate = &document["gates"][0];
        assert_eq!(keys(gate), "followed message reason status type until wanted");
        assert_eq!((&document["followed"], &gate["until"]), (&json!(true), &json!("2026-11-23T16:43:42Z")));
    }

    #[test]
    fn what_stands_is_one_line_that_prints() {
        assert_eq!(line(&done("Overridden").seen, "a.io/b"), "a.io/b True Overridden cache? is down");
        assert_eq!(line(&done("").seen, "a.io/c"), "a.io/c - no condition stands");
    }

    #[test]
    fn silence_and_a_refusal_are_told_apart() {
        let gates = vec![("a.io/b".into(), Status::True)];
        let set = Wanted::Set { gates, until: end(NOW, HALF), reason: "r".into() };
        let silence = explain(&done("Cold"), &set, None);
        assert!(silence.starts_with("shop/web-0: no host answered in 10 s; the annotation stays"), "{silence}");
        let refusal = RefusalEvent { at: "2026-11-23T16:14:00Z".into(), note: "too long".into() };
        let refused = explain(&done("Cold"), &set, Some(&refusal));
        assert!(refused.contains("too long") && !refused.contains("no host"), "{refused}");
        let by_hand = by_hand(&[], &done("Cold"), &Wanted::Clear { gates: Vec::new() });
        assert!(by_hand.contains(r#""status":"True""#), "{by_hand}");
    }
}
