//! The stand-in for the API server in `dev`: keeps the pods of the directories and the conditions written on them in
//! memory, and tells of each change as a watch would. Nothing leaves the machine.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    catalog::Snapshot,
    decide,
    dispatch::{Event, Outcome, Patch, Writer},
    pod::{Condition, Pod, Seen},
};

/// The only scope: all directories together.
const SCOPE: u32 = 0;

/// The pods and what was written on them.
#[derive(Debug)]
pub(super) struct Local {
    catalog: watch::Receiver<Arc<Snapshot>>,
    events: mpsc::Sender<Event>,
    writes: mpsc::Receiver<(Patch, oneshot::Sender<Outcome>)>,
    pods: HashMap<String, Held>,
    version: u64,
    /// Conditions of gates that stand in the files are left out: every answer is a first one.
    afresh: bool,
}

#[derive(Debug)]
struct Held {
    file: Arc<Pod>,
    written: BTreeMap<String, Condition>,
}

/// Writes to [`Local`].
#[derive(Clone, Debug)]
pub(super) struct LocalWriter(mpsc::Sender<(Patch, oneshot::Sender<Outcome>)>);

impl Writer for LocalWriter {
    async fn write(&self, patch: Patch) -> Outcome {
        let (reply, outcome) = oneshot::channel();
        let sent = self.0.send((patch, reply)).await;
        match outcome.await {
            Ok(outcome) if sent.is_ok() => outcome,
            _ => Outcome::Failed { error: "gatehost is ending".into(), retry_after: None },
        }
    }
}

/// Whether a pod's gates are decided: not once it has finished.
pub(super) fn is_over(pod: &Pod) -> bool {
    pod.phase == "Succeeded" || pod.phase == "Failed"
}

impl Local {
    /// `afresh` leaves out the conditions of gates that stand in the files, so that every answer is a first one.
    pub(super) fn new(
        catalog: watch::Receiver<Arc<Snapshot>>,
        events: mpsc::Sender<Event>,
        afresh: bool,
    ) -> (Self, LocalWriter) {
        let (sender, writes) = mpsc::channel(64);
        (Self { catalog, events, writes, pods: HashMap::new(), version: 0, afresh }, LocalWriter(sender))
    }

    /// Serves until the receiver of the events is gone.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        self.catalog.mark_changed();
        loop {
            tokio::select! {
                changed = self.catalog.changed() => {
                    changed.context("the catalog ended")?;
                    let snapshot = self.catalog.borrow_and_update().clone();
                    // Before the first scan there is nothing to list, which is not the same as an empty list.
                    if snapshot.generation > 0 && self.differs(&snapshot.pods) {
                        self.list(&snapshot.pods).await?;
                    }
                }
                Some((patch, reply)) = self.writes.recv() => self.write(&patch, reply).await?,
            }
        }
    }

    fn differs(&self, pods: &[Arc<Pod>]) -> bool {
        self.version == 0
            || pods.len() != self.pods.len()
            || pods.iter().any(|pod| self.pods.get(&pod.uid).is_none_or(|held| held.file != *pod))
    }

    async fn list(&mut self, pods: &[Arc<Pod>]) -> anyhow::Result<()> {
        self.send(Event::ListStarted(SCOPE)).await?;
        let mut before = std::mem::take(&mut self.pods);
        for pod in pods {
            let mut written = BTreeMap::new();
            if let Some(held) = before.remove(&pod.uid) {
                // A condition that the user edits in the file wins over the one written here.
                written = held.written;
                written.retain(|kind, _| held.file.condition(kind) == pod.condition(kind));
            }
            self.pods.insert(pod.uid.clone(), Held { file: pod.clone(), written });
            self.tell(&pod.uid).await?;
        }
        self.send(Event::ListDone(SCOPE)).await
    }

    async fn write(&mut self, patch: &Patch, reply: oneshot::Sender<Outcome>) -> anyhow::Result<()> {
        let Some(held) = self.pods.get_mut(&*patch.uid) else {
            let _ = reply.send(Outcome::Replaced);
            return Ok(());
        };
        for (kind, condition) in &patch.conditions {
            let stands = held.written.get(&**kind).or_else(|| held.file.condition(kind));
            let merged = merge(stands, condition);
            held.written.insert(kind.to_string(), merged);
        }
        let version = self.version + 1;
        // Who asked may have been cut off by the end; the write stands all the same.
        let _ = reply.send(Outcome::Written(Some(version)));
        self.tell(&patch.uid).await
    }

    /// Tells of one pod as it is now.
    async fn tell(&mut self, uid: &str) -> anyhow::Result<()> {
        self.version += 1;
        let Some(held) = self.pods.get(uid) else { return Ok(()) };
        let mut pod = Pod::clone(&held.file);
        if self.afresh {
            let gates = &pod.gates;
            pod.conditions.retain(|(kind, _)| !gates.contains(kind));
        }
        pod.conditions.retain(|(kind, _)| !held.written.contains_key(kind));
        pod.conditions.extend(held.written.iter().map(|(kind, condition)| (kind.clone(), condition.clone())));
        let over = is_over(&pod);
        let seen = Seen { pod, resource_version: self.version.to_string(), over };
        self.send(Event::Pod(SCOPE, Box::new(seen))).await
    }

    async fn send(&self, event: Event) -> anyhow::Result<()> {
        self.events.send(event).await.context("dispatch is gone")
    }
}

/// What a strategic merge makes of a condition.
fn merge(stands: Option<&Condition>, new: &decide::Condition) -> Condition {
    Condition {
        status: new.status.as_str().into(),
        reason: new.reason.clone(),
        message: new.message.clone(),
        last_transition: new.last_transition.or_else(|| stands.and_then(|stands| stands.last_transition)),
        observed_generation: new.observed_generation.or_else(|| stands.and_then(|s| s.observed_generation)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Status;

    const GATE: &str = "example.com/warm";

    fn pod(uid: &str, label: &str) -> Arc<Pod> {
        let labels = vec![("app".to_owned(), label.to_owned())];
        Arc::new(Pod { uid: uid.into(), name: uid.into(), labels, gates: vec![GATE.into()], ..Pod::default() })
    }

    fn patch(uid: &str) -> Patch {
        let condition = decide::Condition {
            status: Status::True,
            reason: "Warm".into(),
            message: String::new(),
            last_transition: Some(5_000),
            observed_generation: None,
        };
        let (namespace, name) = ("shop".into(), uid.into());
        Patch { id: 1, namespace, name, uid: uid.into(), version: None, conditions: vec![(GATE.into(), condition)] }
    }

    struct Bed {
        catalog: watch::Sender<Arc<Snapshot>>,
        events: mpsc::Receiver<Event>,
        writer: LocalWriter,
        _task: tokio::task::JoinSet<anyhow::Result<()>>,
    }

    fn bed(pods: Vec<Arc<Pod>>) -> Bed {
        let (catalog, receiver) = watch::channel(Arc::new(Snapshot { generation: 1, pods, ..Snapshot::default() }));
        let (sender, events) = mpsc::channel(64);
        let (local, writer) = Local::new(receiver, sender, false);
        let mut task = tokio::task::JoinSet::new();
        task.spawn(local.run());
        Bed { catalog, events, writer, _task: task }
    }

    impl Bed {
        /// The pods up to the end of a list, by name.
        async fn list(&mut self) -> Vec<Seen> {
            assert!(matches!(self.events.recv().await, Some(Event::ListStarted(0))));
            let mut seen = Vec::new();
            loop {
                match self.events.recv().await {
                    Some(Event::Pod(0, pod)) => seen.push(*pod),
                    Some(Event::ListDone(0)) => return seen,
                    other => panic!("not part of a list: {other:?}"),
                }
            }
        }
    }

    #[tokio::test]
    async fn a_written_condition_is_told_of_and_outlives_an_edit_of_the_pod() {
        let mut bed = bed(vec![pod("a", "one")]);
        assert_eq!(bed.list().await[0].pod.condition(GATE), None);
        let Outcome::Written(Some(version)) = bed.writer.write(patch("a")).await else { panic!("not written") };
        let Some(Event::Pod(_, echo)) = bed.events.recv().await else { panic!("no echo") };
        assert_eq!(echo.pod.condition(GATE).map(|c| c.status.as_str()), Some("True"));
        assert_eq!(echo.resource_version, version.to_string());

        let pods = vec![pod("a", "two")];
        bed.catalog.send_replace(Arc::new(Snapshot { generation: 2, pods, ..Snapshot::default() }));
        let listed = bed.list().await;
        assert_eq!(listed[0].pod.labels[0].1, "two");
        assert_eq!(listed[0].pod.condition(GATE).and_then(|c| c.last_transition), Some(5_000));
    }

    #[tokio::test]
    async fn a_write_on_a_pod_that_is_gone_is_replaced() {
        let mut bed = bed(vec![pod("a", "one")]);
        bed.list().await;
        assert_eq!(bed.writer.write(patch("b")).await, Outcome::Replaced);
    }

    #[tokio::test]
    async fn a_pod_that_comes_back_has_lost_what_was_written() {
        let mut bed = bed(vec![pod("a", "one")]);
        bed.list().await;
        bed.writer.write(patch("a")).await;
        bed.events.recv().await;
        for (generation, pods) in [(2, vec![]), (3, vec![pod("a", "one")])] {
            bed.catalog.send_replace(Arc::new(Snapshot { generation, pods, ..Snapshot::default() }));
            let listed = bed.list().await;
            assert!(listed.iter().all(|seen| seen.pod.condition(GATE).is_none()));
        }
    }
}
