//! The independent watch: what stands on the pods, and since when.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Api, Client, Resource,
    runtime::{WatchStreamExt as _, watcher},
};
use serde::Deserialize;
use tokio::{sync::watch, task::JoinSet, time::timeout};

use crate::load::{ANNOTATION, GATE};

/// Looks at the pods of one namespace until it is dropped.
pub(crate) struct Eye {
    seen: Arc<Mutex<Seen>>,
    /// Counts what was seen.
    ticks: watch::Receiver<u64>,
    _task: JoinSet<()>,
}

/// The pods as they were last seen.
#[derive(Default)]
pub(crate) struct Seen {
    pods: HashMap<String, Sight>,
    statuses: BTreeMap<String, usize>,
}

/// One pod.
#[derive(Clone)]
pub(crate) struct Sight {
    /// Whether the annotation is there.
    pub(crate) annotated: bool,
    pub(crate) annotated_since: Instant,
    /// The gate's status; empty where there is none.
    pub(crate) status: String,
    pub(crate) status_since: Instant,
}

impl Eye {
    pub(crate) fn open(client: &Client, namespace: &str) -> Self {
        let api: Api<Lean> = Api::namespaced(client.clone(), namespace);
        let seen = Arc::<Mutex<Seen>>::default();
        let (tick, ticks) = watch::channel(0);
        let mut task = JoinSet::new();
        let shared = seen.clone();
        task.spawn(async move {
            let stream = watcher(api, watcher::Config::default()).default_backoff().applied_objects();
            let mut stream = pin!(stream);
            while let Some(next) = stream.next().await {
                // What fails is asked again by the watcher.
                if let Ok(pod) = next {
                    lock(&shared).take(pod);
                    tick.send_modify(|count| *count += 1);
                }
            }
        });
        Self { seen, ticks, _task: task }
    }

    /// Waits at most `bound` until `holds`.
    pub(crate) async fn until<T>(
        &mut self,
        bound: Duration,
        what: &str,
        holds: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T> {
        let look = async {
            loop {
                if let Some(value) = holds(&lock(&self.seen)) {
                    return anyhow::Ok(value);
                }
                self.ticks.changed().await.context("the independent watch ended")?;
            }
        };
        match timeout(bound, look).await {
            Ok(done) => done,
            Err(_) => anyhow::bail!("{what}: not within {bound:?}; instead: {:?}", lock(&self.seen).statuses),
        }
    }

    /// Waits until exactly `count` pods have the gate at `status`, and all have.
    pub(crate) async fn all(&mut self, count: usize, status: &str) -> Result<()> {
        let what = format!("{count} pods with the gate at {status:?}");
        self.until(Duration::from_mins(3), &what, |seen| seen.all(count, status).then_some(())).await
    }
}

impl Seen {
    pub(crate) fn pod(&self, name: &str) -> Option<&Sight> {
        self.pods.get(name)
    }

    /// When the last of exactly `count` pods got this status, where all have it.
    pub(crate) fn all_since(&self, count: usize, status: &str) -> Option<Instant> {
        let last = self.pods.values().map(|sight| sight.status_since).max();
        last.filter(|_| self.all(count, status))
    }

    fn all(&self, count: usize, status: &str) -> bool {
        self.pods.len() == count && self.statuses.get(status) == Some(&count)
    }

    fn take(&mut self, pod: Lean) {
        let now = Instant::now();
        let annotated = pod.metadata.annotations.is_some_and(|all| all.contains_key(ANNOTATION));
        let status = pod.status.conditions.into_iter().find(|c| c.r#type == GATE).map(|c| c.status).unwrap_or_default();
        let fresh = || Sight { annotated, annotated_since: now, status: status.clone(), status_since: now };
        let mut known = true;
        let sight = self.pods.entry(pod.metadata.name.unwrap_or_default()).or_insert_with(|| {
            known = false;
            fresh()
        });
        if sight.annotated != annotated {
            (sight.annotated, sight.annotated_since) = (annotated, now);
        }
        if known && sight.status == status {
            return;
        }
        if known && let Some(count) = self.statuses.get_mut(&sight.status) {
            *count -= 1;
        }
        *self.statuses.entry(status.clone()).or_default() += 1;
        (sight.status, sight.status_since) = (status, now);
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A pod of which little is read, so that looking costs little.
#[derive(Clone, Debug, Deserialize)]
struct Lean {
    metadata: ObjectMeta,
    #[serde(default)]
    status: LeanStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct LeanStatus {
    #[serde(default)]
    conditions: Vec<LeanCondition>,
}

#[derive(Clone, Debug, Deserialize)]
struct LeanCondition {
    r#type: String,
    status: String,
}

impl Resource for Lean {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
