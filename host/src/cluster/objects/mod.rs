//! Objects of the cluster for plugins that may read them: shared watches, never a request for each call.
//!
//! ```text
//! hub        the one task that owns it all: questions from calls, news from watches → events for dispatch
//! watch      one watch, begun by the first question that needs it; `discovery` knows what a kind is called
//! object     an object as the client's watcher needs it; `trim`: what must not be shown is dropped while parsing
//! pods       a pod is shown as plugins see their own
//! fields     which fields are kept and shown
//! store      the objects of a watch, and which gates' sights a change is one of
//! ```

use futures::future::BoxFuture;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use self::{
    discovery::Group,
    hub::{Asked, Hub},
};
use super::Cluster;
use crate::{
    dispatch::Event,
    sandbox::{Look, ObjectSource, Query},
};

mod discovery;
mod fields;
mod hub;
mod object;
mod pods;
mod store;
#[cfg(test)]
mod tests;
mod trim;
mod watch;

pub use discovery::Resource;
pub use hub::OnCount;

/// Asks for objects. Made before there is a cluster, because plugins are loaded before; whoever asks waits.
pub struct Objects(mpsc::Sender<Asked>);

/// The other end of it.
pub struct Questions(mpsc::Receiver<Asked>);

/// Both ends.
pub fn objects() -> (Objects, Questions) {
    let (sender, receiver) = mpsc::channel(1024);
    (Objects(sender), Questions(receiver))
}

impl ObjectSource for Objects {
    fn look(&self, query: Query) -> BoxFuture<'static, Option<Look>> {
        let questions = self.0.clone();
        Box::pin(async move {
            let (answer, look) = oneshot::channel();
            questions.send((query, answer)).await.ok()?;
            look.await.ok()
        })
    }
}

impl Cluster {
    /// Answers questions about objects, and tells of changes to what was seen as [`Event::ObjectsChanged`]. It lives until
    /// the receiver of the events is gone.
    pub fn show_objects(
        &self,
        questions: Questions,
        events: mpsc::Sender<Event>,
        count: OnCount,
    ) -> BoxFuture<'static, ()> {
        let (client, url) = (self.client.clone(), self.url.clone());
        Box::pin(Hub { client, url, seconds: self.limits.watch_seconds, events, count }.run(questions.0))
    }

    /// What a kind is called in rights.
    ///
    /// # Errors
    /// There is no such kind, or the server cannot be asked: one line.
    pub async fn resource(&self, api_version: &str, kind: &str) -> Result<Resource, String> {
        let group = Group::new(self.client.clone(), self.url.clone(), api_version);
        group.resolve(kind, Instant::now()).await.map_err(|trouble| trouble.line)
    }
}
