//! Where the objects of the import `objects` come from: a port, so that the sandbox knows no cluster and dispatch no watch.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
};

use futures::future::BoxFuture;

use crate::check::{ObjectEntry, Selector};

/// How many objects and lists one call may read.
pub(super) const MOST_READ: usize = 64;

/// Shows objects of a cluster.
pub trait ObjectSource: Send + Sync + 'static {
    /// Looks at once, without asking the API server: what is not there yet is being fetched from now on.
    fn look(&self, query: Query) -> BoxFuture<'static, Option<Look>>;
}

/// What a plugin asks for, and the entry of its check that allows it.
#[derive(Clone, Debug)]
pub struct Query {
    /// It names the kind, the fields, and the labels that an object must have to be seen.
    pub entry: ObjectEntry,
    /// Which of them.
    pub target: Target,
}

/// Which objects of a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One. The namespace is empty where objects have none.
    One {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// All of a namespace that a selector matches.
    All {
        /// The namespace.
        namespace: String,
        /// The plugin's own selector.
        selector: Selector,
    },
}

/// What there is to see.
pub struct Look {
    /// What was looked at, and in which version: later versions make the gate due.
    pub read: Read,
    /// What was seen.
    pub sight: Sight,
}

/// What was seen.
pub enum Sight {
    /// Names and objects as JSON, sorted by name.
    Objects(Arc<Vec<(String, Arc<str>)>>),
    /// The first list is under way: look again when this ends.
    Listing(BoxFuture<'static, ()>),
    /// It cannot be told now: one line.
    Unavailable(String),
    /// It cannot be asked in this way: one line.
    Invalid(String),
}

/// Something that gates read: an object or a list, seen through an entry of a check. It lives for as long as anybody
/// holds it; its number is never used again.
#[derive(Clone)]
pub struct View(Arc<u64>);

impl View {
    /// A view with this number.
    pub fn new(id: u64) -> Self {
        Self(Arc::new(id))
    }

    /// Its number.
    pub fn id(&self) -> u64 {
        *self.0
    }

    /// Whether anybody else holds it.
    pub fn is_held(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for View {}

impl Hash for View {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({})", self.id())
    }
}

/// A view, as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// What.
    pub view: View,
    /// Grows by one with each change that the view shows; 0 while there is nothing to see.
    pub version: u64,
}

/// What was read in a call; shared with who waits for it, because the call may be cut off.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads(Arc<Mutex<Vec<Read>>>);

impl Reads {
    /// All of it so far.
    pub(super) fn take(&self) -> Vec<Read> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes note of one; false where the call has read too much.
    pub(super) fn add(&self, read: Read) -> bool {
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = reads.iter_mut().find(|known| known.view == read.view) {
            // The older one counts, unless nothing was shown of it: the plugin may have decided by it.
            if known.version == 0 {
                known.version = read.version;
            }
            return true;
        }
        let room = reads.len() < MOST_READ;
        if room {
            reads.push(read);
        }
        room
    }
}
