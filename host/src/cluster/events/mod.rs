//! Events on pods: what people see of the host in `kubectl describe pod`.
//!
//! Notes come through a channel that never blocks and are written one after the other, so that they cost the conditions
//! nothing. The client's own recorder is not used: it takes two messages of one reason for the same Event and drops
//! the second, writes each repetition, and has no limit.
//!
//! ```text
//! object  a note → an Event
//! memory  what was written: the same again is counted up
//! limit   how many, of the host and of each pod
//! ```

use std::{future::pending, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::Value;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, sleep, sleep_until, timeout},
};

use self::{limit::Limit, memory::Memory, object::Topic};
use super::explain::{Asked, Kind, Trouble, explain};
use crate::dispatch::Note;

mod limit;
mod memory;
mod object;
#[cfg(test)]
mod testing;

pub(super) use object::CONTROLLER;

/// Notes that wait to be written.
const WAITING: usize = 1024;
/// How long to wait before the second and the third attempt, where the server does not say.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// The longest that a server may make Events wait: a wait for one is a wait for all.
const LONGEST: Duration = Duration::from_secs(30);

/// Writing Events.
const WRITE: Asked =
    Asked { verb: "create", resource: "events.k8s.io/events", grant: "create and patch on events in events.k8s.io" };

/// Why an Event was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// More came than could be written.
    Overflow,
    /// A limit: of the host, or of the pod.
    Limited,
    /// The server does not take it: a missing right, an admission policy, a namespace that is being deleted.
    Refused,
    /// It did not get through.
    Failed,
}

impl Dropped {
    /// One word, for a metric.
    pub fn word(self) -> &'static str {
        match self {
            Self::Overflow => "overflow",
            Self::Limited => "limited",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// Told of each Event that is not written.
pub type OnDrop = Arc<dyn Fn(Dropped) + Send + Sync>;

/// Takes notes in.
#[derive(Clone)]
pub struct Recorder {
    notes: mpsc::Sender<Note>,
    dropped: OnDrop,
}

impl Recorder {
    /// A recorder, and the task that writes what it takes in: one that ends only when it is dropped.
    pub(super) fn new(
        client: Client,
        url: Arc<str>,
        patience: Duration,
        dropped: OnDrop,
    ) -> (Self, BoxFuture<'static, ()>) {
        let (notes, waiting) = mpsc::channel(WAITING);
        let instance = hostname::get().ok().and_then(|name| name.into_string().ok()).filter(|name| !name.is_empty());
        let writer = EventWriter {
            client,
            url,
            patience,
            instance: instance.unwrap_or_else(|| "gatehost".to_owned()),
            dropped: dropped.clone(),
            memory: Memory::default(),
            limit: Limit::new(Instant::now()),
            told: None,
            refused: false,
        };
        (Self { notes, dropped }, Box::pin(writer.run(waiting)))
    }

    /// Takes a note in; never waits.
    pub fn record(&self, note: &Note) {
        match self.notes.try_send(note.clone()) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => (self.dropped)(Dropped::Overflow),
        }
    }
}

/// Writes Events.
struct EventWriter {
    client: Client,
    url: Arc<str>,
    /// How long one request may take.
    patience: Duration,
    instance: String,
    dropped: OnDrop,
    memory: Memory,
    limit: Limit,
    /// The trouble that was logged last and is not over.
    told: Option<Kind>,
    /// Whether a missing right was logged: not again, since it may be missing in some namespaces only.
    refused: bool,
}

/// One request.
enum Write {
    New(Box<Event>),
    Again(String, Value),
}

/// What came of it.
enum Written {
    Done,
    /// There is no such Event any more.
    Gone,
    Not(Dropped),
}

impl EventWriter {
    async fn run(mut self, mut notes: mpsc::Receiver<Note>) {
        loop {
            let due = self.memory.next();
            tokio::select! {
                note = notes.recv() => match note {
                    Some(note) => self.take(&note).await,
                    None => return pending().await,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.count_up().await,
            }
        }
    }

    async fn take(&mut self, note: &Note) {
        let topic = Arc::new(Topic::new(note));
        if !self.memory.repeats(&topic, Instant::now(), Timestamp::now()) {
            self.create(topic).await;
        }
    }

    async fn create(&mut self, topic: Arc<Topic>) {
        if !self.limit.create(&topic.uid, Instant::now()) {
            return (self.dropped)(Dropped::Limited);
        }
        let now = Timestamp::now();
        let name = object::name(&topic, now);
        let event = object::event(&topic, &name, &self.instance, now);
        match self.write(&topic.namespace, Write::New(Box::new(event))).await {
            Written::Done => self.memory.learn(topic, name.into(), Instant::now(), now),
            Written::Gone => (self.dropped)(Dropped::Refused),
            Written::Not(why) => (self.dropped)(why),
        }
    }

    async fn count_up(&mut self) {
        let Some((topic, series)) = self.memory.take_due(Instant::now()) else { return };
        // What cannot be written now is written with the next count.
        if !self.limit.repeat(Instant::now()) {
            return (self.dropped)(Dropped::Limited);
        }
        match self.write(&topic.namespace, Write::Again(series.name.to_string(), object::repeat(&series))).await {
            Written::Done => {}
            // The server keeps Events for an hour, or somebody deleted it.
            Written::Gone => {
                self.memory.forget(&topic);
                self.create(topic).await;
            }
            Written::Not(why) => (self.dropped)(why),
        }
    }

    /// Three attempts.
    async fn write(&mut self, namespace: &str, write: Write) -> Written {
        let api: Api<Event> = Api::namespaced(self.client.clone(), namespace);
        let mut waits = AGAIN.into_iter();
        loop {
            let error = match timeout(self.patience, send(&api, &write)).await {
                Ok(Ok(())) => {
                    self.works();
                    return Written::Done;
                }
                Ok(Err(error)) => error,
                Err(_) => kube::Error::Service(format!("no complete answer within {:?}", self.patience).into()),
            };
            let status = if let kube::Error::Api(status) = &error { Some(status) } else { None };
            match status.map(|status| status.code) {
                // An earlier attempt had arrived.
                Some(409) if matches!(write, Write::New(_)) => return Written::Done,
                Some(404) => return Written::Gone,
                Some(code @ 400..500) if !matches!(code, 401 | 408 | 409 | 429) => {
                    self.tell(&error);
                    return Written::Not(Dropped::Refused);
                }
                _ => self.tell(&error),
            }
            let Some(wait) = waits.next() else { return Written::Not(Dropped::Failed) };
            let told =
                status.and_then(|s| s.details.as_ref()).map(|d| Duration::from_secs(d.retry_after_seconds.into()));
            sleep(told.filter(|told| !told.is_zero()).unwrap_or(wait).min(LONGEST)).await;
        }
    }

    fn tell(&mut self, error: &kube::Error) {
        let Trouble { kind, line } = explain(error, WRITE, &self.url);
        if kind == Kind::Said(403) {
            // A namespace that is being deleted takes no Events.
            let ending = matches!(error, kube::Error::Api(status)
                if status.details.iter().flat_map(|d| &d.causes).any(|c| c.reason == "NamespaceTerminating"));
            if !ending && !std::mem::replace(&mut self.refused, true) {
                tracing::warn!("{line}; until then nobody sees Events of some pods or of all, and all else goes on");
            }
        } else if self.told.replace(kind) != Some(kind) {
            tracing::warn!("{line}");
        }
    }

    fn works(&mut self) {
        if self.told.take().is_some() {
            tracing::info!("{}: Events are written again", self.url);
        }
    }
}

async fn send(api: &Api<Event>, write: &Write) -> kube::Result<()> {
    match write {
        Write::New(event) => api.create(&PostParams::default(), event).await.map(drop),
        Write::Again(name, patch) => api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::sync::Mutex;

    use tokio::task::JoinSet;

    use super::{testing::note, *};
    use crate::{
        cluster::testing::{Reply, Server, quick},
        decide::Status,
        dispatch::NoteKind,
    };

    struct Bed {
        server: Server,
        recorder: Recorder,
        dropped: Arc<Mutex<Vec<&'static str>>>,
        _tasks: JoinSet<()>,
    }

    impl Bed {
        async fn new(reply: impl Fn(&str) -> Reply + Clone + Send + Sync + 'static) -> Self {
            let server = Server::start(reply).await;
            let dropped = Arc::<Mutex<Vec<_>>>::default();
            let told = Arc::clone(&dropped);
            let told: OnDrop = Arc::new(move |why| told.lock().unwrap().push(why.word()));
            let (recorder, writing) = server.cluster(quick()).events(told).unwrap();
            let mut tasks = JoinSet::new();
            tasks.spawn(writing);
            Self { server, recorder, dropped, _tasks: tasks }
        }

        async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
            let looks = async {
                while !holds(self) {
                    sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(Duration::from_secs(20), looks).await.unwrap_or_else(|_| panic!("never: {what}"));
        }
    }

    fn created(_: &str) -> Reply {
        Reply::whole("201 Created", "", r#"{"metadata":{"name":"p.1"}}"#)
    }

    #[tokio::test]
    async fn a_note_is_an_event_on_the_pod_and_the_same_again_is_not_another() {
        let bed = Bed::new(created).await;
        bed.recorder.record(&note("no answer"));
        bed.recorder.record(&note("no answer"));
        bed.recorder.record(&Note { kind: NoteKind::Turned(Status::True), ..note("warm") });
        bed.until("two events", |bed| bed.server.requests().len() == 2).await;
        let heads = bed.server.requests();
        assert!(heads[0].starts_with("POST /apis/events.k8s.io/v1/namespaces/shop/events?"), "{heads:?}");
        let events: Vec<Value> = bed.server.bodies().iter().map(|b| serde_json::from_str(b).unwrap()).collect();
        let event = &events[0];
        assert_eq!(event["regarding"]["uid"], "u-1");
        assert_eq!(event["regarding"]["kind"], "Pod");
        assert_eq!(event["reason"], "GateFault");
        assert_eq!(event["type"], "Warning");
        assert_eq!(event["note"], "example.com/a (check warm): no answer");
        assert_eq!(event["reportingController"], "gatehost.dev/gatehost");
        assert!(event["reportingInstance"].is_string() && event["eventTime"].is_string(), "{event}");
        assert_eq!((&events[1]["reason"], &events[1]["type"]), (&"GateTrue".into(), &"Normal".into()));
        assert!(bed.dropped.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_missing_right_drops_events_and_stops_nothing() {
        let said = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden",
            "code":403}"#;
        let bed = Bed::new(|_| Reply::whole("403 Forbidden", "", said)).await;
        bed.recorder.record(&note("a"));
        bed.recorder.record(&note("b"));
        bed.until("both are refused", |bed| bed.dropped.lock().unwrap().len() == 2).await;
        assert_eq!(*bed.dropped.lock().unwrap(), ["refused", "refused"]);
        assert_eq!(bed.server.requests().len(), 2, "nothing is tried again");
    }

    #[tokio::test]
    async fn what_a_busy_server_did_not_take_is_sent_again_under_the_same_name() {
        let asked = Arc::<Mutex<usize>>::default();
        let bed = Bed::new(move |head| {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            if *asked == 1 { Reply::whole("500 Internal Server Error", "", "{}") } else { created(head) }
        })
        .await;
        bed.recorder.record(&note("a"));
        bed.until("it is sent again", |bed| bed.server.bodies().len() == 2).await;
        let bodies = bed.server.bodies();
        assert_eq!(bodies[0], bodies[1]);
    }

    #[tokio::test]
    async fn more_than_can_be_written_is_dropped_and_counted_and_never_waited_for() {
        let bed = Bed::new(|_| Reply::Silence).await;
        for _ in 0..WAITING + 10 {
            bed.recorder.record(&note("a"));
        }
        let dropped = bed.dropped.lock().unwrap();
        assert!(dropped.len() >= 9 && dropped.iter().all(|why| *why == "overflow"), "{dropped:?}");
    }
}
