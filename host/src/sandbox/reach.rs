//! What the imports that reach outside a call have in common: what the check allows, what is refused, how they fail.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::sleep_until;

use super::{
    bindings::gatehost::check::reach::{Failure, FailureKind, Host},
    grant::Granted,
    net::forbidden,
    state::State,
};
use crate::{check, decide::sanitize, pod::Pod};

/// Types only: there is nothing to call.
impl Host for State {}

/// The imports that a check's document opens: the values of a metric's label.
pub const IMPORTS: [&str; 5] = ["http", "tcp", "dns", "objects", "memory"];

/// How many refusals of a check are told apart in the log.
const TOLD: usize = 64;

/// How long a call has waited when that is told.
const WHILE: Duration = Duration::from_millis(10);

/// What one call may reach, and what it did.
pub(super) struct Reach {
    granted: Option<Arc<Granted>>,
    pod: Asked,
    deadline: Instant,
    refusals: Refusals,
    waits: Option<Waits>,
}

/// Told that a call waits, perhaps more than once.
pub(super) type Waits = Arc<dyn Fn() + Send + Sync>;

/// What was refused in a call, each once; shared with who waits for it, because the call may be cut off.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Mutex<Vec<Refusal>>>);

impl Refusals {
    /// All of them so far.
    pub(super) fn take(&self) -> Vec<Refusal> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn add(&self, refusal: Refusal) {
        let mut refusals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() < TOLD && !refusals.contains(&refusal) {
            refusals.push(refusal);
        }
    }
}

/// The pod that is asked about, as far as reaching it matters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Asked {
    /// Nothing before it has one, or where it is no address.
    pub(super) ip: Option<IpAddr>,
    /// Whether that is its node's.
    pub(super) host_network: bool,
}

/// Whom a plugin wants to reach over the network.
#[derive(Debug)]
pub(super) struct Whom<'a> {
    /// The import: `http` or `tcp`, as the field under `spec.allow`.
    pub(super) import: &'static str,
    pub(super) host: &'a check::Host,
    /// As the plugin asks for it, ...
    pub(super) asked: String,
    /// ... and as an entry would name it.
    pub(super) entry: String,
}

/// Something that a plugin asked for and that its check does not allow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The import: `http`, `tcp`, `dns`, `objects` or `memory`.
    pub import: &'static str,
    /// What was asked for and the entry that would allow it, in one printable line.
    pub message: String,
}

/// What has been told of a check's refusals: each once.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<BTreeSet<Refusal>>);

impl Told {
    /// Whether a refusal is news.
    pub(super) fn is_news(&self, refusal: &Refusal) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < TOLD && told.insert(refusal.clone())
    }
}

impl Asked {
    pub(super) fn about(pod: &Pod) -> Self {
        Self { ip: pod.ip.as_ref().and_then(|ip| ip.parse().ok()), host_network: pod.host_network }
    }
}

impl Reach {
    pub(super) fn new(
        granted: Option<Arc<Granted>>,
        pod: Asked,
        deadline: Instant,
        refusals: Refusals,
        waits: Option<Waits>,
    ) -> Self {
        Self { granted, pod, deadline, refusals, waits }
    }

    /// Of a call that is over.
    pub(super) fn nowhere() -> Self {
        Self::new(None, Asked::default(), Instant::now(), Refusals::default(), None)
    }

    /// Does something that waits, for this long; nothing where it took longer.
    pub(super) async fn wait<T>(&self, time: Duration, work: impl Future<Output = T> + Send) -> Option<T> {
        let begin = Instant::now();
        let mut work = pin!(work);
        // One timer for both: each that is registered costs as much as a short call of the system.
        let mut timer = pin!(sleep_until((begin + time.min(WHILE)).into()));
        tokio::select! {
            biased;
            done = &mut work => return Some(done),
            () = &mut timer => {}
        }
        if time <= WHILE {
            return None;
        }
        // What answers at once is not worth the telling.
        if let Some(waits) = &self.waits {
            waits();
        }
        timer.as_mut().reset((begin + time).into());
        tokio::select! {
            biased;
            done = &mut work => Some(done),
            () = &mut timer => None,
        }
    }

    /// What the check allows; nothing in `describe` and `validate`.
    pub(super) fn granted(&self) -> Option<Arc<Granted>> {
        self.granted.clone()
    }

    /// How long something may take that begins now: what was asked for, and so little that there is time left to say
    /// what a missing answer means.
    pub(super) fn time(&self, asked: Option<u32>) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now()).mul_f64(0.9);
        asked.map_or(left, |ms| left.min(Duration::from_millis(ms.into())))
    }

    /// The entry that allows it: one that names the host itself before one that names all below a domain.
    pub(super) fn choose<'a, E>(
        &self,
        whom: &Whom<'_>,
        entries: impl Iterator<Item = &'a E>,
        of: impl Fn(&E) -> (&check::Host, bool),
    ) -> Result<&'a E, Failure> {
        let Whom { import, asked, entry, host } = whom;
        let (mut chosen, mut on_node) = (None, false);
        for entry in entries {
            let (named, host_network) = of(entry);
            if self.pod.host_network && **host == check::Host::Pod && !host_network {
                on_node = true;
            } else if chosen.is_none() || named == *host {
                chosen = Some(entry);
                if named == *host {
                    break;
                }
            }
        }
        chosen.ok_or_else(|| {
            let message = if on_node {
                format!(
                    "{asked} is the pod's node here, because the pod is on its network; spec.allow.{import} needs \
                     hostNetwork: true in the entry \"{entry}\""
                )
            } else {
                format!("{asked} is not allowed; spec.allow.{import} needs \"{entry}\"")
            };
            self.refuse(import, &message)
        })
    }

    /// The address, where it needs no look-up. What an entry names is not asked for its kind; the pod's is.
    pub(super) fn address(&self, whom: &Whom<'_>) -> Result<Option<IpAddr>, Failure> {
        let Whom { import, asked, host, .. } = whom;
        match host {
            check::Host::Address(address) => Ok(Some(*address)),
            check::Host::Pod => {
                let Some(address) = self.pod.ip else {
                    return Err(failure(FailureKind::Unreachable, &format!("{asked}: the pod has no IP yet")));
                };
                if let Some(why) = forbidden(address) {
                    let message = format!(
                        "{asked} is {address}, {why}, which pod may not lead to; an entry of spec.allow.{import} has \
                         to name the address itself"
                    );
                    return Err(self.refuse(import, &message));
                }
                Ok(Some(address))
            }
            _ => Ok(None),
        }
    }

    /// Takes note of a refusal; what the guest is told. `message` says what was asked for and what would allow it.
    pub(super) fn refuse(&self, import: &'static str, message: &str) -> Failure {
        let message = sanitize::message(message);
        self.refusals.add(Refusal { import, message: message.clone() });
        Failure { kind: FailureKind::Denied, message }
    }
}

/// A failure in one printable line.
pub(super) fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure { kind, message: sanitize::message(message) }
}
