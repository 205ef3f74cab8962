//! All watches of objects and all that gates see through them: one task, which owns them.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use kube::Client;
use tokio::{
    sync::{mpsc, oneshot},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

use super::{
    discovery::Group,
    fields::Fields,
    store::{Changes, Store},
    watch::{News, Want, Watch},
};
use crate::{
    check::ObjectEntry,
    dispatch::Event,
    sandbox::{Look, Query, Sight, Target},
};

/// How often views and watches that nobody needs are looked for, ...
const SWEEP: Duration = Duration::from_secs(30);
/// ... and how long a watch lives on that nobody needs.
const IDLE: Duration = Duration::from_mins(5);
/// How much is taken in at once.
const BATCH: usize = 256;

/// A question and where its answer goes.
pub(super) type Asked = (Query, oneshot::Sender<Look>);

/// Told how many watches there are and how many objects they hold.
pub type OnCount = Box<dyn Fn(usize, usize) + Send>;

/// What the hub works with.
pub(super) struct Hub {
    pub(super) client: Client,
    pub(super) url: Arc<str>,
    pub(super) seconds: u32,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) count: OnCount,
}

/// A watch and what it has brought.
struct Watched {
    id: u64,
    store: Store,
    /// What the watch keeps of each object.
    fields: Fields,
    namespaced: Option<bool>,
    trouble: Option<String>,
    /// The keys of a list that is under way.
    listing: Option<HashSet<String>>,
    /// Who is to look again once there is something to see.
    waiting: Vec<oneshot::Sender<()>>,
    idle_since: Option<Instant>,
    task: AbortHandle,
}

struct Work {
    watches: HashMap<Arc<Want>, Watched>,
    starter: Starter,
}

/// Begins watches.
struct Starter {
    hub: Hub,
    /// What each watch that is at work is of.
    by_id: HashMap<u64, Arc<Want>>,
    groups: HashMap<String, Arc<Group>>,
    next: u64,
    news: mpsc::Sender<(u64, News)>,
    tasks: JoinSet<()>,
}

impl Hub {
    /// Works until whom it tells is gone.
    pub(super) async fn run(self, mut asked: mpsc::Receiver<Asked>) {
        let (news, mut heard) = mpsc::channel(BATCH);
        let starter =
            Starter { hub: self, by_id: HashMap::new(), groups: HashMap::new(), next: 0, news, tasks: JoinSet::new() };
        let mut work = Work { watches: HashMap::new(), starter };
        let (mut questions, mut batch) = (Vec::new(), Vec::new());
        let mut sweep = Instant::now() + SWEEP;
        loop {
            tokio::select! {
                () = work.starter.hub.events.closed() => return,
                count = asked.recv_many(&mut questions, BATCH), if !asked.is_closed() || !asked.is_empty() => {
                    for (query, answer) in questions.drain(..count) {
                        // Who asked may have run out of time.
                        let _ = answer.send(work.look(&query));
                    }
                }
                _ = heard.recv_many(&mut batch, BATCH) => {
                    let mut changes = Changes::new();
                    for (id, news) in batch.drain(..) {
                        work.take(id, news, &mut changes);
                    }
                    if !changes.is_empty() && work.starter.hub.events.send(Event::ObjectsChanged(last(changes))).await.is_err() {
                        return;
                    }
                }
                () = sleep_until(sweep) => {
                    work.sweep();
                    sweep = Instant::now() + SWEEP;
                }
            }
            while work.starter.tasks.try_join_next().is_some() {}
            work.tell_count();
        }
    }
}

/// Of several changes of a view the last one.
fn last(changes: Changes) -> Changes {
    changes.into_iter().collect::<HashMap<_, _>>().into_iter().collect()
}

/// The watch that shows what an entry allows.
fn want(entry: &ObjectEntry, target: &Target) -> Want {
    let (namespace, name) = match target {
        Target::One { namespace, name } => (namespace, Some(name)),
        Target::All { namespace, .. } => (namespace, None),
    };
    Want {
        api_version: entry.api_version.clone(),
        kind: entry.kind.clone(),
        namespace: (!entry.namespaces.is_empty()).then(|| namespace.clone()),
        name: name.filter(|_| !entry.names.is_empty()).cloned(),
        labels: entry.labels.as_ref().map(ToString::to_string).filter(|labels| !labels.is_empty()),
    }
}

impl Work {
    fn look(&mut self, query: &Query) -> Look {
        let want = want(&query.entry, &query.target);
        let fields = Fields::of(&query.entry.fields, want.is_pod());
        let (kind, id) = (want.kind.clone(), self.starter.next());
        let watched = self.watch(want, &fields);
        let (read, shown) = watched.store.look(&query.target, &fields, id);
        let (Target::One { namespace, .. } | Target::All { namespace, .. }) = &query.target;
        let sight = match (watched.namespaced, shown, &watched.trouble) {
            (Some(true), _, _) if namespace.is_empty() => {
                Sight::Invalid(format!("a {kind} is in a namespace: name it, as in the pod's own"))
            }
            (Some(false), _, _) if !namespace.is_empty() => {
                Sight::Invalid(format!("a {kind} is in no namespace: leave the namespace empty"))
            }
            (_, Some(shown), _) => Sight::Objects(shown),
            (_, None, Some(trouble)) => Sight::Unavailable(trouble.clone()),
            (_, None, None) => {
                let (done, wait) = oneshot::channel();
                watched.waiting.retain(|waiting| !waiting.is_closed());
                watched.waiting.push(done);
                Sight::Listing(Box::pin(async {
                    // A watch that is replaced lets go of whom it kept waiting: look again.
                    let _ = wait.await;
                }))
            }
        };
        Look { read, sight }
    }

    /// A watch that keeps these fields, begun where there is none.
    fn watch(&mut self, want: Want, fields: &Fields) -> &mut Watched {
        match self.watches.entry(Arc::new(want)) {
            Entry::Occupied(known) => {
                let want = Arc::clone(known.key());
                let watched = known.into_mut();
                watched.idle_since = None;
                if !watched.fields.cover(fields) {
                    watched.task.abort();
                    self.starter.by_id.remove(&watched.id);
                    watched.fields = watched.fields.and(fields);
                    (watched.id, watched.task) = self.starter.begin(&want, watched.fields.clone());
                    (watched.trouble, watched.listing) = (None, None);
                }
                watched
            }
            Entry::Vacant(free) => {
                let (id, task) = self.starter.begin(free.key(), fields.clone());
                let store = Store::new(free.key().is_pod());
                free.insert(Watched {
                    id,
                    store,
                    fields: fields.clone(),
                    namespaced: None,
                    trouble: None,
                    listing: None,
                    waiting: Vec::new(),
                    idle_since: None,
                    task,
                })
            }
        }
    }

    fn take(&mut self, id: u64, news: News, changes: &mut Changes) {
        // A watch that was replaced may have said something before its end.
        let Some(watched) = self.starter.by_id.get(&id).and_then(|want| self.watches.get_mut(want)) else { return };
        match news {
            News::Known(namespaced) => watched.namespaced = Some(namespaced),
            News::Listing => watched.listing = Some(HashSet::new()),
            News::There(key, kept) => {
                if let Some(listing) = &mut watched.listing {
                    listing.insert(key.clone());
                }
                watched.store.apply(key, kept, changes);
            }
            News::Gone(key) => watched.store.remove(&key, changes),
            News::Listed => {
                let held = watched.listing.take().unwrap_or_default();
                watched.trouble = None;
                watched.store.listed(&held, &watched.fields, changes);
                watched.waiting.clear();
            }
            News::Trouble(line) => {
                watched.trouble = Some(line);
                watched.waiting.clear();
            }
        }
    }

    fn sweep(&mut self) {
        let now = Instant::now();
        for watched in self.watches.values_mut() {
            watched.store.sweep();
            if watched.store.is_used() {
                watched.idle_since = None;
            } else {
                watched.idle_since.get_or_insert(now);
            }
        }
        let by_id = &mut self.starter.by_id;
        self.watches.retain(|_, watched| {
            let is_idle = watched.idle_since.is_some_and(|since| now >= since + IDLE);
            if is_idle {
                watched.task.abort();
                by_id.remove(&watched.id);
            }
            !is_idle
        });
        let watches = &self.watches;
        self.starter.groups.retain(|api_version, _| watches.keys().any(|want| want.api_version == *api_version));
    }

    fn tell_count(&self) {
        let objects = self.watches.values().map(|watched| watched.store.len()).sum();
        (self.starter.hub.count)(self.watches.len(), objects);
    }
}

impl Starter {
    /// A watch that keeps these fields.
    fn begin(&mut self, want: &Arc<Want>, fields: Fields) -> (u64, AbortHandle) {
        let (id, Hub { client, url, seconds, .. }) = (self.next(), &self.hub);
        let new = || Arc::new(Group::new(client.clone(), Arc::clone(url), &want.api_version));
        let group = Arc::clone(self.groups.entry(want.api_version.clone()).or_insert_with(new));
        let (want, url, news) = (Arc::clone(want), Arc::clone(url), self.news.clone());
        self.by_id.insert(id, Arc::clone(&want));
        let watch = Watch { id, want, fields, group, seconds: *seconds, url, news };
        (id, self.tasks.spawn(watch.run(client.clone())))
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::cluster::testing::{Reply, Server, quick};

    #[tokio::test]
    async fn a_watch_that_no_gate_needs_lives_on_for_a_while_and_is_then_stopped() {
        let server = Server::start(|_| Reply::Silence).await;
        let (events, _receiver) = mpsc::channel(1);
        let client = server.cluster(quick()).client;
        let hub = Hub { client, url: "https://api".into(), seconds: 45, events, count: Box::new(|_, _| ()) };
        let (by_id, groups, tasks) = (HashMap::new(), HashMap::new(), JoinSet::new());
        let starter = Starter { hub, by_id, groups, next: 0, news: mpsc::channel(1).0, tasks };
        let mut work = Work { watches: HashMap::new(), starter };
        let (api_version, kind) = ("v1".to_owned(), "Service".to_owned());
        let (namespaces, names, labels, fields) = (vec![], vec![], None, vec![]);
        let entry = ObjectEntry { api_version, kind, namespaces, names, labels, fields };
        let target = Target::One { namespace: "shop".into(), name: "a".into() };
        let look = work.look(&Query { entry, target });
        let age = |work: &mut Work| {
            for watched in work.watches.values_mut() {
                watched.idle_since = watched.idle_since.map(|since| since - IDLE);
            }
        };
        for _ in 0..2 {
            work.sweep();
            age(&mut work);
            assert_eq!(work.watches.len(), 1, "a gate holds it");
        }
        drop(look);
        work.sweep();
        assert_eq!(work.watches.len(), 1, "not at once");
        age(&mut work);
        work.sweep();
        assert!(work.watches.is_empty() && work.starter.by_id.is_empty() && work.starter.groups.is_empty());
        assert!(work.starter.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    }
}
