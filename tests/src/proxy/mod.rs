//! A proxy between the host and the real API server that does to them what networks and servers do at their worst.
//!
//! ```text
//! host ──TLS──> door ──> line ──> service ──TLS──> API server
//!               │        │        └ rules: delay, answer, truncate, hold, ... (by kind of request)
//!               │        └ cut: connections that are open now freeze, close or are reset
//!               └ open, shut (refuses) or silent (takes connections and says nothing)
//! ```
//!
//! It terminates TLS with a certificate of its own authority, passes on the bearer token, and streams watches without
//! buffering them. Every request is noted with its time and the answer's code, patches with their body. What goes wrong
//! is switched while it runs:
//!
//! ```no_run
//! # use gatehost_tests::{proxy::{Answer, Cut, Fault, Kind, Proxy}, trial::Trial};
//! # async fn test(t: &mut Trial) -> anyhow::Result<()> {
//! let proxy = Proxy::start(&t.plane).await?;
//! t.start_host_through(&proxy, &[]).await?;
//! proxy.next(Kind::Patch, 1, Fault::Answer(Answer::status(429).header("Retry-After", "1")));
//! proxy.all(Kind::List, Fault::Hold);
//! proxy.expire_watches();
//! proxy.clear();
//! proxy.cut(Kind::Any, Cut::Freeze).await?;
//! assert!(proxy.count(Kind::Patch) < 3);
//! # Ok(())
//! # }
//! ```
//!
//! It lives in the runtime that it was started in and ends when it is dropped, with all its connections.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use serde_json::json;
use tokio::{
    sync::{broadcast, watch},
    task::JoinSet,
};

use crate::{
    controlplane::ControlPlane,
    ports,
    wait::{SOON, Seen as Looked, until},
};

mod answer;
mod line;
mod rules;
mod seen;
mod service;
mod tls;

pub use answer::Answer;
pub use line::{Cut, Door};
pub use rules::{Fault, Kind};
pub use seen::Seen;

use rules::Rules;
use seen::Notes;
use tls::{Authority, Upstream};

/// The proxy; see the module's text.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    door: watch::Sender<Door>,
    /// What the door has become: a port is bound and closed by the task that accepts.
    stands: watch::Receiver<Option<Door>>,
    dir: tempfile::TempDir,
    _tasks: JoinSet<()>,
}

/// What every connection looks at.
struct Shared {
    rules: Mutex<Rules>,
    /// How often the rules were cleared.
    cleared: watch::Sender<u64>,
    notes: Mutex<Notes>,
    cuts: broadcast::Sender<(Kind, Cut)>,
    /// What is put into open watches, which then end.
    last_words: broadcast::Sender<Bytes>,
    authority: Mutex<Authority>,
    upstream: Upstream,
}

impl Proxy {
    /// Starts it in front of the API server of `plane`, with its door open and no fault.
    ///
    /// # Errors
    /// The API server has made no certificate yet, or no port can be bound.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        let port = ports::free();
        let shared = Arc::new(Shared {
            rules: Mutex::default(),
            cleared: watch::Sender::new(0),
            notes: Mutex::default(),
            cuts: broadcast::Sender::new(64),
            last_words: broadcast::Sender::new(64),
            authority: Mutex::new(Authority::new()?),
            upstream: Upstream::new(&plane.admin_kubeconfig()).await?,
        });
        let (door, wanted) = watch::channel(Door::Open);
        let (stood, stands) = watch::channel(None);
        let mut tasks = JoinSet::new();
        tasks.spawn(line::accept(port, Arc::clone(&shared), wanted, stood));
        let proxy = Self { port, shared, door, stands, dir: tempfile::tempdir()?, _tasks: tasks };
        proxy.write_authority()?;
        proxy.door(Door::Open).await?;
        Ok(proxy)
    }

    /// Its address, as a kubeconfig names it.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Makes the kubeconfig at `path` (JSON, as the harness writes them) go through the proxy; its user stays.
    pub fn redirect(&self, path: &Path) -> Result<()> {
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(path)?)?;
        let cluster = config.pointer_mut("/clusters/0/cluster").context("a kubeconfig without a cluster")?;
        *cluster = json!({ "server": self.url(), "certificate-authority": self.authority() });
        std::fs::write(path, serde_json::to_vec_pretty(&config)?).with_context(|| path.display().to_string())
    }

    /// The file with the certificate of its authority.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.crt")
    }

    /// Has a new authority from now on: writes its certificate to [`Self::authority`], whole and at once. New
    /// connections meet a certificate that only it has signed; those that are open go on.
    pub fn rotate_authority(&self) -> Result<()> {
        *lock(&self.shared.authority) = Authority::new()?;
        self.write_authority()
    }

    /// Every request of this kind meets `fault`, until [`Self::clear`]. Of several rules the one set first acts.
    pub fn all(&self, kind: impl Into<Kind>, fault: Fault) {
        lock(&self.shared.rules).add(kind.into(), usize::MAX, fault);
    }

    /// The next `times` requests of this kind meet `fault`.
    pub fn next(&self, kind: impl Into<Kind>, times: usize, fault: Fault) {
        lock(&self.shared.rules).add(kind.into(), times, fault);
    }

    /// No rule any more, and [`Fault::Wait`] is over. What else rules have done to requests in flight stays done.
    pub fn clear(&self) {
        lock(&self.shared.rules).clear();
        self.shared.cleared.send_modify(|times| *times += 1);
    }

    /// Does this to the connections that are open now and whose last request was of this kind ([`Kind::Any`]: all).
    /// Returns once each has been told.
    pub async fn cut(&self, kind: impl Into<Kind>, cut: Cut) -> Result<()> {
        // Nobody is connected: nothing to cut.
        let _ = self.shared.cuts.send((kind.into(), cut));
        until(SOON, "all connections are told", async || {
            let untold = self.shared.cuts.len();
            Ok(Looked::when(untold == 0, || format!("{untold} cuts are on their way")))
        })
        .await
    }

    /// Says 410 Expired inside every watch that is open, as the API server does: an `ERROR` event, then the end.
    pub fn expire_watches(&self) {
        let status = Answer::status(410).body;
        // Nobody watches: nothing to end.
        let _ = self.shared.last_words.send(format!("{{\"type\":\"ERROR\",\"object\":{status}}}\n").into());
    }

    /// Opens the port, shuts it (as a server that is down: connections are reset, new ones refused), or makes it
    /// silent; returns once it is so.
    ///
    /// # Errors
    /// Another process has taken the port meanwhile.
    pub async fn door(&self, door: Door) -> Result<()> {
        self.door.send_replace(door);
        let mut stands = self.stands.clone();
        let changed = stands.wait_for(|stands| *stands == Some(door));
        tokio::time::timeout(Duration::from_secs(10), changed).await.context("the proxy's port cannot be bound")??;
        Ok(())
    }

    /// The requests of this kind so far, in order of arrival, those in flight included.
    pub fn seen(&self, kind: impl Into<Kind>) -> Vec<Seen> {
        let kind = kind.into();
        lock(&self.shared.notes).all().filter(|seen| kind.matches(seen)).cloned().collect()
    }

    /// How many requests of this kind there were.
    pub fn count(&self, kind: impl Into<Kind>) -> usize {
        let kind = kind.into();
        lock(&self.shared.notes).all().filter(|seen| kind.matches(seen)).count()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        lock(&self.shared.notes).forget();
    }

    /// Waits until there were `count` requests of this kind; all of them.
    pub async fn wait_for(&self, kind: impl Into<Kind>, count: usize) -> Result<Vec<Seen>> {
        let kind = kind.into();
        until(SOON, &format!("the host has made {count} requests: {kind:?}"), async || {
            let seen = self.seen(kind.clone());
            Ok(if seen.len() >= count { Looked::Yes(seen) } else { Looked::NotYet(format!("{}", seen.len())) })
        })
        .await
    }

    fn write_authority(&self) -> Result<()> {
        let partial = self.dir.path().join("partial");
        std::fs::write(&partial, lock(&self.shared.authority).pem())?;
        Ok(std::fs::rename(&partial, self.authority())?)
    }
}

/// A test that has failed elsewhere is no reason to fail here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
