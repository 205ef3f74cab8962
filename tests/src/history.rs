//! What happened to one gate of the pods of a namespace, seen by a watch of the test's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Result;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    objects::{condition, status_of},
    wait::{SOON, Seen, until},
};

/// All that was seen, in the order of the API server. The watch ends when it is dropped.
pub struct History {
    sights: Arc<Mutex<Vec<Sight>>>,
    _tasks: JoinSet<()>,
}

/// One pod as it was for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The pod's uid.
    pub uid: String,
    /// The pod's name.
    pub name: String,
    /// The gate's status; `-` where there is no condition.
    pub status: String,
    /// The condition's reason.
    pub reason: String,
    /// The condition's `lastTransitionTime`.
    pub since: Option<Timestamp>,
    /// Kubelet's Ready; `-` where there is no condition.
    pub ready: String,
    /// Whether this is the pod's end.
    pub gone: bool,
}

impl History {
    /// Begins to watch, and returns once the pods that are there now have been seen.
    pub async fn open(pods: Api<Pod>, gate: &str) -> Result<Self> {
        let sights = Arc::<Mutex<Vec<Sight>>>::default();
        let (listed, is_listed) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let (shared, gate) = (Arc::clone(&sights), gate.to_owned());
        tasks.spawn(async move {
            let stream = watcher(pods, watcher::Config::default()).default_backoff();
            let mut stream = pin!(stream);
            while let Some(next) = stream.next().await {
                match next {
                    Ok(Event::InitApply(pod) | Event::Apply(pod)) => lock(&shared).push(Sight::of(&pod, &gate, false)),
                    Ok(Event::Delete(pod)) => lock(&shared).push(Sight::of(&pod, &gate, true)),
                    Ok(Event::InitDone) => drop(listed.send_replace(true)),
                    // What fails is asked again by the watcher.
                    Ok(Event::Init) | Err(_) => (),
                }
            }
        });
        until(SOON, "the pods are listed", async || Ok(Seen::when(*is_listed.borrow(), || "not yet".to_owned())))
            .await?;
        Ok(Self { sights, _tasks: tasks })
    }

    /// A place in it: how much has been seen so far.
    pub fn mark(&self) -> usize {
        lock(&self.sights).len()
    }

    /// What was seen from that place on.
    pub fn since(&self, mark: usize) -> Vec<Sight> {
        lock(&self.sights)[mark..].to_vec()
    }

    /// The statuses that the gate of each pod, by name, has had from that place on: each change once.
    pub fn statuses(&self, mark: usize) -> BTreeMap<String, Vec<String>> {
        let mut pods = BTreeMap::<String, Vec<String>>::new();
        for sight in self.since(mark).into_iter().filter(|sight| !sight.gone) {
            let statuses = pods.entry(sight.name).or_default();
            if statuses.last() != Some(&sight.status) {
                statuses.push(sight.status);
            }
        }
        pods
    }

    /// Every time that the condition's transition time ran backwards, in words.
    pub fn backwards(&self) -> Vec<String> {
        let mut last = BTreeMap::<String, Timestamp>::new();
        let mut found = Vec::new();
        for Sight { uid, name, since, .. } in self.since(0) {
            let Some(since) = since else { continue };
            if let Some(before) = last.insert(uid, since)
                && before > since
            {
                found.push(format!("{name}: {before}, then {since}"));
            }
        }
        found
    }

    /// The furthest that a condition's transition time ran backwards, in seconds.
    pub fn furthest_back(&self) -> i64 {
        let mut last = BTreeMap::<String, Timestamp>::new();
        let back = |sight: Sight| {
            let since = sight.since?;
            last.insert(sight.uid, since).map(|before| before.as_second() - since.as_second())
        };
        self.since(0).into_iter().filter_map(back).max().unwrap_or(0).max(0)
    }

    /// How often a condition's transition time moved though its status did not.
    pub fn restamped(&self) -> usize {
        let mut last = BTreeMap::<String, (String, Option<Timestamp>)>::new();
        let moved = |sight: Sight| {
            let before = last.insert(sight.uid, (sight.status.clone(), sight.since));
            before.is_some_and(|(status, since)| status == sight.status && since != sight.since)
        };
        self.since(0).into_iter().map(moved).filter(|moved| *moved).count()
    }

    /// The most pods at one time for which `bad` held after they had been good before.
    pub fn most(&self, bad: impl Fn(&Sight) -> bool) -> usize {
        let (mut been_good, mut are_bad) = (BTreeSet::new(), BTreeSet::new());
        let mut most = 0;
        for sight in self.since(0) {
            if sight.gone || !bad(&sight) {
                are_bad.remove(&sight.uid);
                been_good.insert(sight.uid);
            } else if been_good.contains(&sight.uid) {
                are_bad.insert(sight.uid);
                most = most.max(are_bad.len());
            }
        }
        most
    }
}

impl Sight {
    fn of(pod: &Pod, gate: &str, gone: bool) -> Self {
        let condition = condition(pod, gate);
        Self {
            uid: pod.uid().unwrap_or_default(),
            name: pod.name_any(),
            status: status_of(pod, gate).to_owned(),
            reason: condition.and_then(|c| c.reason.clone()).unwrap_or_default(),
            since: condition.and_then(|c| c.last_transition_time.as_ref()).map(|time| time.0),
            ready: status_of(pod, "Ready").to_owned(),
            gone,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
