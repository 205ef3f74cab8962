//! The only user of the Kubernetes client: watches pods, writes conditions.
//!
//! ```text
//! client    which API server, with which credentials
//! deadline  every request ends: a layer around the client's service
//! pace      when a watch may ask again
//! watch     pods → events for dispatch; heals by itself
//! renew     goes on with credentials and certificates that have changed
//! namespaces  their labels → events for dispatch
//! objects   other objects, for plugins that may read them; what changes → events for dispatch
//! patch     a patch from dispatch → one request
//! outcome   the answer → what came of it
//! inspect   one pod and what stands around it → what a command shows; `writers`: who wrote its conditions
//! events    notes from dispatch → Events on the pod
//! explain   an error → one line with the mend
//! overriding  what `gatehost override` asks: a pod, its annotation, a refusal
//! ```

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use kube::Client;
use tokio::sync::mpsc;

use crate::dispatch::Event;

mod client;
mod deadline;
mod events;
mod explain;
mod health;
mod inspect;
mod namespaces;
mod object;
mod objects;
mod outcome;
mod overriding;
mod pace;
mod patch;
mod renew;
#[cfg(test)]
mod testing;
mod watch;
mod writers;

pub use client::ConnectError;
pub use events::{Dropped, OnDrop, Recorder};
pub use health::WatchHealth;
pub use inspect::{Budget, InspectError, Inspected, Told};
pub use objects::{Objects, OnCount, Questions, Resource, objects};
pub use overriding::{AskError, RefusalEvent};
pub use patch::{DryRun, KubeWriter, PodWriter};

/// Which cluster, which pods of it, and whether to write.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--kubeconfig`: the only file looked at. Without it: the files of `KUBECONFIG`, or `~/.kube/config`, and where
    /// none of them exists the settings that a pod finds in itself.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`: a context of the kubeconfig; its current one where none is given.
    pub context: Option<String>,
    /// `--namespace`: the namespaces whose pods are watched; all where none is given.
    pub namespaces: Vec<String>,
    /// `--pod-selector`: a label selector that the server applies. A pod that leaves it is let go.
    pub pod_selector: Option<String>,
    /// `--dry-run`: log what would be written instead of writing it.
    pub dry_run: bool,
    /// `--watch-timeout`: how long the server keeps one watch open, in whole seconds; the default where none is given.
    /// A watch that dies silently is noticed 3 s later.
    pub watch_timeout: Option<Duration>,
}

/// What [`Options::watch_timeout`] may be.
pub const WATCH_TIMEOUT: std::ops::RangeInclusive<Duration> = Duration::from_secs(7)..=Duration::from_secs(25);

/// A cluster to work. Cheap to clone; nothing is asked of the server before [`Cluster::watch`] or a write.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    url: Arc<str>,
    namespace: Arc<str>,
    limits: Limits,
    options: Options,
    health: Arc<WatchHealth>,
}

/// How long a request may take. The defaults are what the host runs with; tests use shorter ones.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Until the head of any answer, and the whole answer of any request but a watch.
    answer: Duration,
    /// Until the whole answer to a patch.
    patch: Duration,
    /// How long the server keeps one watch open, in seconds; then it is opened again where it stopped.
    watch_seconds: u32,
    /// How long a connection may say nothing. Longer than a watch, which the server ends by then, so that only a dead
    /// one is cut; pooled connections to a server that is gone are cut as well, before a new request meets them.
    silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            patch: Duration::from_secs(10),
            // A watch that dies silently is cut by its silence; opening it anew may meet another dead connection in the
            // pool and takes the whole of `answer`, by when all of them are cut: 28 + 30 s, and not more than 65.
            watch_seconds: 25,
            silence: Duration::from_secs(25) + NOTICED,
        }
    }
}

/// How much longer than a watch should last nothing may be heard of it.
const NOTICED: Duration = Duration::from_secs(3);

impl Limits {
    fn of(options: &Options) -> Self {
        let default = Self::default();
        let Some(seconds) = options.watch_timeout.map(|timeout| timeout.as_secs()) else { return default };
        let watch_seconds = u32::try_from(seconds).unwrap_or(default.watch_seconds);
        Self { watch_seconds, silence: Duration::from_secs(seconds) + NOTICED, ..default }
    }
}

/// Reads the kubeconfig or the in-cluster settings and makes the client. The server is not asked yet: one that is down
/// is waited for.
///
/// # Errors
/// There is no kubeconfig, it cannot be used, or it has no such context.
pub async fn connect(options: Options) -> Result<Cluster, ConnectError> {
    let settings =
        client::settings(client::Places::from_env(options.kubeconfig.clone()), options.context.clone()).await?;
    let limits = Limits::of(&options);
    Cluster::new(settings, options, limits)
}

impl Cluster {
    fn new(settings: impl Into<client::Settings>, options: Options, limits: Limits) -> Result<Self, ConnectError> {
        let health = Arc::new(WatchHealth::new(&options.namespaces));
        let settings = settings.into();
        let url = settings.config.cluster_url.to_string().trim_end_matches('/').into();
        let namespace = settings.config.default_namespace.as_str().into();
        let client = client::build(settings, limits, Arc::clone(&health))?;
        Ok(Self { client, url, namespace, limits, options, health })
    }

    /// The API server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The namespace that kubectl would work in where none is named: the context's, the pod's own, or `default`.
    pub fn default_namespace(&self) -> Arc<str> {
        Arc::clone(&self.namespace)
    }

    /// The watches to run, one for each namespace: each lives until the receiver is gone and heals from everything
    /// else by itself. Its number is the scope in [`Event::ListStarted`], [`Event::Pod`] and [`Event::ListDone`].
    pub fn watch(&self, events: &mpsc::Sender<Event>) -> Vec<BoxFuture<'static, ()>> {
        let namespaces = match self.options.namespaces.as_slice() {
            [] => vec![None],
            some => some.iter().map(|n| Some(n.clone())).collect(),
        };
        (0..).zip(namespaces).map(|(scope, n)| self.watch_one(scope, n, events.clone())).collect()
    }

    fn watch_one(&self, scope: u32, namespace: Option<String>, events: mpsc::Sender<Event>) -> BoxFuture<'static, ()> {
        let watch = watch::Watch {
            scope,
            namespace,
            selector: self.options.pod_selector.clone(),
            seconds: self.limits.watch_seconds,
            url: Arc::clone(&self.url),
            health: Arc::clone(&self.health),
            events,
        };
        Box::pin(watch.run(self.client.clone()))
    }

    /// The watch of the namespaces' labels, for [`Event::Namespace`], where the host works all namespaces. It lives until
    /// the receiver is gone, and nothing waits for it: it may lack the right.
    pub fn watch_namespaces(&self, events: &mpsc::Sender<Event>) -> Option<BoxFuture<'static, ()>> {
        let (seconds, url) = (self.limits.watch_seconds, Arc::clone(&self.url));
        let watch = namespaces::Namespaces { seconds, url, events: events.clone() };
        self.options.namespaces.is_empty().then(|| Box::pin(watch.run(self.client.clone())) as BoxFuture<'static, ()>)
    }

    /// How the watches are doing, for metrics and readiness.
    pub fn health(&self) -> Arc<WatchHealth> {
        Arc::clone(&self.health)
    }

    /// What writes Events, and the task that does it; nothing in a dry run. `dropped` is told of each Event that is not
    /// written.
    pub fn events(&self, dropped: OnDrop) -> Option<(Recorder, BoxFuture<'static, ()>)> {
        let client = self.client.clone();
        (!self.options.dry_run).then(|| Recorder::new(client, Arc::clone(&self.url), self.limits.patch, dropped))
    }

    /// What writes conditions, or only logs them in a dry run.
    pub fn writer(&self) -> PodWriter {
        if self.options.dry_run {
            PodWriter::DryRun(DryRun)
        } else {
            PodWriter::Kube(KubeWriter::new(self.client.clone(), Arc::clone(&self.url), self.limits.patch))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_that_dies_silently_is_noticed_within_a_minute_and_a_live_one_is_never_cut() {
        let Limits { answer, patch, watch_seconds, silence } = Limits::default();
        let watch = Duration::from_secs(watch_seconds.into());
        assert!(watch < silence && silence + answer < Duration::from_secs(65));
        // What opens or lists instead ends as well.
        assert!(answer <= Duration::from_secs(30) && patch <= answer);
    }
}
