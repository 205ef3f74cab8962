//! The trimmed pod: what is stored of a pod and what plugins can see of it.
//!
//! Everything else of a pod (env, args, volumes, managedFields, the `last-applied-configuration` annotation, which
//! holds the whole spec) is skipped while parsing and exists nowhere in the host.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod raw;
#[cfg(test)]
mod tests;

/// The annotation in which `kubectl apply` keeps the whole object, secrets in env included.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A pod as plugins see it. Times are Unix milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`; 0 where the server sets none.
    pub generation: u64,
    /// `metadata.creationTimestamp`.
    pub created_at: i64,
    /// All labels, sorted by key.
    pub labels: Vec<(String, String)>,
    /// All annotations but `last-applied-configuration`, sorted by key.
    pub annotations: Vec<(String, String)>,
    /// `status.podIP`.
    pub ip: Option<String>,
    /// `spec.hostNetwork`: that IP is its node's. Plugins do not see it.
    pub host_network: bool,
    /// `spec.nodeName`.
    pub node: Option<String>,
    /// `spec.serviceAccountName`.
    pub service_account: Option<String>,
    /// `status.phase`.
    pub phase: String,
    /// Init containers and sidecars first, then the others, as kubelet reports them.
    pub containers: Vec<Container>,
    /// `status.conditions`.
    pub conditions: Vec<(String, Condition)>,
    /// The controlling owner.
    pub owner: Option<Owner>,
    /// The condition types of `spec.readinessGates`, each once, in order.
    pub gates: Vec<String>,
}

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// A regular container.
    App,
    /// An init container that runs to its end.
    Init,
    /// A restartable init container.
    Sidecar,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ContainerState {
    /// Not started, or about to start again.
    Waiting,
    /// Running.
    Running,
    /// Ended.
    Terminated,
}

/// One container as kubelet reports it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// What it is doing.
    pub state: ContainerState,
    /// Whether kubelet counts it as ready.
    pub ready: bool,
    /// How often kubelet restarted it.
    pub restarts: u32,
    /// The start of this run, or of the last one after it ended.
    pub started_at: Option<i64>,
}

/// One entry of `status.conditions`, as its writer left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `True`, `False` or `Unknown`; the API server stores anything.
    pub status: String,
    /// For machines.
    pub reason: String,
    /// For people.
    pub message: String,
    /// When the status last changed.
    pub last_transition: Option<i64>,
    /// The generation that was judged.
    pub observed_generation: Option<u64>,
}

/// An ownerReference with `controller: true`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `ReplicaSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// What a watch says of one pod.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What plugins can see.
    pub pod: Pod,
    /// `metadata.resourceVersion`, as text.
    pub resource_version: String,
    /// It is being deleted, or its phase is Succeeded or Failed: its gates decide nothing any more.
    pub over: bool,
}

impl Pod {
    /// One condition by type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions.iter().find(|(k, _)| k == kind).map(|(_, c)| c)
    }

    /// A digest of all that makes gates due when it changes: what plugins can see but for the conditions that `own`
    /// names, kubelet's `Ready`, and the times and messages of any condition, so that the host does not feed itself.
    pub fn due_digest(&self, own: impl Fn(&str) -> bool) -> u64 {
        let mut h = DefaultHasher::new();
        (&self.namespace, &self.name, &self.uid, self.generation, self.created_at).hash(&mut h);
        (&self.labels, &self.annotations, &self.ip, &self.node, &self.service_account, &self.phase).hash(&mut h);
        (&self.containers, &self.owner, &self.gates).hash(&mut h);
        for (kind, c) in &self.conditions {
            if kind != "Ready" && !own(kind) {
                (kind, &c.status, &c.reason, c.observed_generation).hash(&mut h);
            }
        }
        h.finish()
    }
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        raw::RawPod::deserialize(deserializer).map(raw::RawPod::trim)
    }
}

/// A trimmed pod in one allocation: hundreds of bytes instead of kilobytes, and no trace left in the allocator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed(Arc<[u8]>);

impl Packed {
    /// Packs a pod.
    ///
    /// # Panics
    /// Never: the format writes to memory and every type in [`Pod`] is one that it knows.
    #[expect(clippy::expect_used, reason = "postcard fails only on a full buffer or an unsized sequence")]
    pub fn new(pod: &Pod) -> Self {
        Self(postcard::to_stdvec(pod).expect("a pod serialises").into())
    }

    /// Unpacks it.
    ///
    /// # Panics
    /// Never: the bytes were made by [`Packed::new`] in this process.
    #[expect(clippy::expect_used, reason = "the bytes were made by this very type")]
    pub fn open(&self) -> Pod {
        postcard::from_bytes(&self.0).expect("a packed pod opens")
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// Unix milliseconds of an RFC 3339 time.
fn millis(time: &str) -> Option<i64> {
    time.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}
