//! One watch of objects: from the API server to news for the hub. It heals by itself, and nobody's life depends on it.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt as _;
use http::Request;
use kube::{
    Api, Client, Resource as _,
    client::Body,
    core::{ApiResource, GroupVersionKind},
    runtime::watcher::{self, Error},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tower::service_fn;

use super::{
    discovery::{Group, Resource},
    fields::Fields,
    object::Object,
    pods,
    store::Kept,
};
use crate::cluster::{
    deadline::Own,
    explain::{Asked, Kind, Trouble, explain, said},
    health::WatchHealth,
    watch::{SETTLE, Told},
};

/// Objects a list page.
const PAGE: u32 = 250;
/// The first and the longest wait where a right or the kind is missing: nobody can help that by asking.
const MISSING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// What is watched: what the rights are needed for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Want {
    pub(super) api_version: String,
    pub(super) kind: String,
    /// All namespaces, or objects that have none, where none is given.
    pub(super) namespace: Option<String>,
    /// All names where none is given.
    pub(super) name: Option<String>,
    /// A label selector that the server applies.
    pub(super) labels: Option<String>,
}

/// What a watch tells.
#[derive(Debug)]
pub(super) enum News {
    /// The kind is known, and whether its objects are in namespaces.
    Known(bool),
    /// A list begins.
    Listing,
    /// An object is there, in a list or not.
    There(String, Kept),
    /// An object is gone.
    Gone(String),
    /// The list is complete.
    Listed,
    /// It does not work: one line.
    Trouble(String),
}

/// The hub is gone: the host is about to end.
struct Closed;

/// One watch.
pub(super) struct Watch {
    /// Marks the news.
    pub(super) id: u64,
    pub(super) want: Arc<Want>,
    pub(super) fields: Fields,
    pub(super) group: Arc<Group>,
    pub(super) seconds: u32,
    pub(super) url: Arc<str>,
    pub(super) news: mpsc::Sender<(u64, News)>,
}

impl Want {
    pub(super) fn is_pod(&self) -> bool {
        self.api_version == "v1" && self.kind == "Pod"
    }

    /// Where it is, in a message.
    fn place(&self) -> String {
        let name = self.name.as_ref().map_or(String::new(), |name| format!(" named {name}"));
        let place = self.namespace.as_ref().map_or(String::new(), |namespace| format!(" in namespace {namespace}"));
        name + &place
    }
}

impl Watch {
    /// Watches until the hub is gone.
    pub(super) async fn run(self, client: Client) {
        let _closed = self.work(client).await;
    }

    async fn work(&self, client: Client) -> Result<(), Closed> {
        let mut told = Told::default();
        let mut wait = MISSING.0;
        loop {
            let begin = Instant::now();
            let trouble = match self.group.resolve(&self.want.kind, begin).await {
                Ok(resource) if !resource.namespaced && self.want.namespace.is_some() => {
                    let line = format!("a {} is in no namespace: leave out namespaces in its entry", self.want.kind);
                    Trouble { kind: Kind::Broken, line }
                }
                Ok(resource) => {
                    self.say(News::Known(resource.namespaced)).await?;
                    self.follow(&client, &resource, &mut told).await?;
                    // The kind is gone.
                    self.group.forget(&self.want.kind).await;
                    continue;
                }
                Err(trouble) => trouble,
            };
            self.tell(trouble, &mut told).await?;
            self.pause(jitter(wait)).await?;
            wait = (wait * 2).min(MISSING.1);
        }
    }

    /// Watches for as long as there is such a kind.
    async fn follow(&self, client: &Client, resource: &Resource, told: &mut Told) -> Result<(), Closed> {
        let (group, version) = self.want.api_version.rsplit_once('/').unwrap_or(("", &self.want.api_version));
        let gvk = GroupVersionKind::gvk(group, version, &self.want.kind);
        let dynamic = ApiResource::from_gvk_with_plural(&gvk, &resource.plural);
        let health = Arc::new(WatchHealth::of(Object::url_path(&dynamic, self.want.namespace.as_deref())));
        let own = Own(Arc::clone(&health));
        let client = client.clone();
        let marked = service_fn(move |mut request: Request<Body>| {
            request.extensions_mut().insert(own.clone());
            let client = client.clone();
            async move { client.send(request).await }
        });
        let client = Client::new(marked, "default");
        let api: Api<Object> = match &self.want.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &dynamic),
            None => Api::all_with(client, &dynamic),
        };
        let config = watcher::Config {
            label_selector: self.want.labels.clone(),
            field_selector: self.want.name.as_ref().map(|name| format!("metadata.name={name}")),
            timeout: Some(self.seconds),
            page_size: Some(PAGE),
            ..watcher::Config::default()
        };
        let begin = || watcher::watcher(api.clone(), config.clone());
        let mut stream = pin!(begin());
        let mut missing = MISSING.0;
        loop {
            let next = tokio::select! {
                next = stream.next() => next,
                () = sleep(SETTLE), if told.kind.is_some() => {
                    // Objects that rest send nothing for a while after a watch was opened again.
                    if told.at.is_some_and(|at| health.heard_since(0, at)) {
                        self.over(told);
                    }
                    continue;
                }
            };
            match next {
                None => return Err(Closed),
                Some(Ok(watcher::Event::Init)) => self.say(News::Listing).await?,
                Some(Ok(event)) => {
                    self.over(told);
                    missing = MISSING.0;
                    self.forward(event).await?;
                }
                Some(Err(error)) => {
                    let trouble = self.explain(&error, resource);
                    let kind = trouble.kind;
                    if kind == Kind::Said(410) {
                        // The server forgot where the watch stood: the objects are listed anew.
                        stream.set(begin());
                        if !std::mem::replace(&mut told.forgotten, true) {
                            told.wait = Told::FIRST;
                        }
                        tracing::debug!("{}", trouble.line);
                    } else {
                        self.tell(trouble, told).await?;
                    }
                    if kind == Kind::Said(404) {
                        return self.pause(jitter(MISSING.0)).await;
                    }
                    let wait = if kind == Kind::Said(403) {
                        let wait = jitter(missing);
                        missing = (missing * 2).min(MISSING.1);
                        wait
                    } else {
                        told.wait().max(health.held(0))
                    };
                    self.pause(wait).await?;
                }
            }
        }
    }

    async fn forward(&self, event: watcher::Event<Object>) -> Result<(), Closed> {
        match event {
            watcher::Event::Init => Ok(()),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                let key = object.key();
                let kept = self.keep(object);
                self.say(News::There(key, kept)).await
            }
            watcher::Event::Delete(object) => self.say(News::Gone(object.key())).await,
            watcher::Event::InitDone => self.say(News::Listed).await,
        }
    }

    fn keep(&self, object: Object) -> Kept {
        let mut value = object.value;
        if self.want.is_pod() {
            value = pods::shown(value);
        } else if let Some(map) = value.as_object_mut() {
            map.insert("apiVersion".into(), self.want.api_version.as_str().into());
            map.insert("kind".into(), self.want.kind.as_str().into());
        }
        Kept::new(&value, &self.fields)
    }

    async fn say(&self, news: News) -> Result<(), Closed> {
        self.news.send((self.id, news)).await.map_err(|_| Closed)
    }

    async fn pause(&self, wait: Duration) -> Result<(), Closed> {
        tokio::select! {
            () = sleep(wait) => Ok(()),
            () = self.news.closed() => Err(Closed),
        }
    }

    fn explain(&self, error: &Error, resource: &Resource) -> Trouble {
        let group = self.want.api_version.rsplit_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
        let name = format!("{}{group}", resource.plural);
        let list = Asked { verb: "list", resource: &name, grant: "" };
        let watch = Asked { verb: "watch", ..list };
        let (asked, trouble) = match error {
            Error::InitialListFailed(e) => (list, explain(e, list, &self.url)),
            Error::WatchStartFailed(e) | Error::WatchFailed(e) => (watch, explain(e, watch, &self.url)),
            Error::WatchError(status) => (watch, said(status, watch, &self.url)),
            Error::NoResourceVersion => {
                let line = format!("{}: an object of {name} without a resourceVersion", self.url);
                (list, Trouble { kind: Kind::Broken, line })
            }
        };
        if trouble.kind != Kind::Said(403) {
            return trouble;
        }
        let (verb, place) = (asked.verb, self.want.place());
        let line = format!(
            "the host may not {verb} {name}{place}: apply what `gatehost rbac DIR...` prints for the directories of its \
             checks"
        );
        Trouble { line, ..trouble }
    }

    /// Tells of trouble; the log only where its kind is another one than before.
    async fn tell(&self, trouble: Trouble, told: &mut Told) -> Result<(), Closed> {
        let Trouble { kind, line } = trouble;
        told.at = Some(Instant::now());
        if told.kind.replace(kind) != Some(kind) {
            tracing::warn!("objects: {line}");
        }
        self.say(News::Trouble(line)).await
    }

    fn over(&self, told: &mut Told) {
        if told.kind.is_some() {
            tracing::info!("{}: watching every {}{} again", self.url, self.want.kind, self.want.place());
        }
        *told = Told::default();
    }
}

/// Between a half and the whole of it.
fn jitter(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + fastrand::f64() / 2.0)
}
