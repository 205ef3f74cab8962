//! Many gates whose check waits for somebody: the host around the sandbox.

use std::{
    collections::BTreeSet,
    fs,
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use gatehost::{
    catalog::{self, Catalog},
    dispatch::{self, Call, Core, Event, Inputs, Note, Observer, Outcome, Patch, Writer, drive},
    pod::{Pod, Seen},
    sandbox::{Evaluated, Sandbox},
};
use serde_json::json;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use crate::{ENOUGH, guest, server::Server};

const GATE: &str = "example.com/asked";

/// Takes every write.
#[derive(Clone)]
struct Paper;

impl Writer for Paper {
    async fn write(&self, _: Patch) -> Outcome {
        Outcome::Written(None)
    }
}

/// Tells whose gate was answered, and how.
struct Answers(mpsc::UnboundedSender<(Arc<str>, String)>);

impl Observer for Answers {
    fn answered(&mut self, call: &Call, ended: &Evaluated, _: Duration) {
        let told = ended.answer.as_ref().map_or_else(|fault| fault.message.clone(), |verdict| verdict.message.clone());
        // Nobody listens any more once the test has seen enough.
        let _ = self.0.send((call.key.uid.clone(), told));
    }

    fn wrote(&mut self, _: &Patch, _: &Outcome, _: Duration) {}

    fn noted(&mut self, _: &Note) {}

    fn changed(&mut self, _: &Core) {}
}

/// A thousand pods that accept a connection and say nothing, with two seconds for each call: every gate is asked once
/// within a period of 10 s, which eight calls at a time would take four minutes for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_gates_whose_pods_do_not_answer_are_asked_within_a_period() {
    let server = Server::http().await;
    let files = tempfile::tempdir().unwrap();
    fs::write(files.path().join("ask.wasm"), guest("ask")).unwrap();
    let check = json!({
        "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": "asks" },
        "spec": {
            "gate": GATE, "plugin": "ask.wasm", "startWhen": "always", "timeoutSeconds": 2, "periodSeconds": 10,
            "allow": { "http": [server.entry()] },
            "config": { "steps": [{ "http": { "url": server.url("/never") } }] },
        },
    });
    fs::write(files.path().join("check.yaml"), check.to_string()).unwrap();
    let directories = vec![files.path().to_owned()];
    let (mut catalog, scanning) =
        Catalog::start(directories, catalog::Options::default(), Sandbox::new().unwrap()).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(scanning);
    catalog.wait_for(|snapshot| !snapshot.checks.is_empty()).await.unwrap();

    let (pods, events) = mpsc::channel(2000);
    for n in 0..1000 {
        let pod = Pod { uid: format!("u{n}"), name: format!("p{n}"), gates: vec![GATE.into()], ..Pod::default() };
        pods.send(Event::Pod(0, Box::new(Seen { pod, ..Seen::default() }))).await.unwrap();
    }
    let (answers, mut answered) = mpsc::unbounded_channel();
    let inputs = Inputs { catalog, events, writer: Paper, options: dispatch::Options::default() };
    let (_stop, stopped) = oneshot::channel::<()>();
    let start = Instant::now();
    tasks.spawn(drive(inputs, Answers(answers), async { drop(stopped.await) }));
    let mut asked = BTreeSet::new();
    let late = format!("TimedOut: {}: no complete answer in time", server.entry());
    while asked.len() < 1000 {
        let (uid, told) = tokio::time::timeout(ENOUGH, answered.recv()).await.unwrap().unwrap();
        assert_eq!(told, late);
        asked.insert(uid);
    }
    let took = start.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    // Of the 512 that there may be, a check has 256; the server sees the end of one later than the beginning of the next.
    assert!((100..512).contains(&server.seen.most.load(SeqCst)), "{:?}", server.seen.most);
    drop(pods);
}
