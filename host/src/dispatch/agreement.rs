//! Whether kubelet's Ready is what the containers and the gates make it.

use std::{sync::Arc, time::Duration};

use super::{Action, Core, NoteKind, Now, core::Wake, entry::note};
use crate::{decide::identity, pod::Pod};

/// How long it may disagree before people hear of it; kubelet needs a moment for each change.
const PATIENCE: Duration = Duration::from_secs(30);

impl Core {
    /// Begins or ends to wait for kubelet, by what the pod says.
    pub(super) fn watch_agreement(&mut self, uid: &Arc<str>, pod: &Pod, now: Now) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        let is_true = |kind: &String| pod.condition(kind).is_some_and(|condition| condition.status == "True");
        let should_be = identity::containers_ready(pod) && pod.gates.iter().all(is_true);
        let disagrees = pod.condition("Ready").is_some() && identity::ready(pod) != should_be;
        match entry.disagrees {
            Some(at) if !disagrees => {
                self.timers.remove(&(at, Wake::Disagrees(uid.clone())));
                entry.disagrees = None;
            }
            None if disagrees => {
                let at = now.mono + PATIENCE;
                entry.disagrees = Some(at);
                self.timers.insert((at, Wake::Disagrees(uid.clone())));
            }
            _ => {}
        }
    }

    /// It has disagreed for long.
    pub(super) fn disagrees(&mut self, uid: &Arc<str>) {
        let Some(entry) = self.pods.get(uid) else { return };
        let (ready, parts) = if entry.ready { ("True", "are not all") } else { ("not True", "are all") };
        let message =
            format!("for 30 s Ready has been {ready}, while ContainersReady and the readiness gates {parts} True");
        let note = note(entry, None, NoteKind::ReadyDisagrees, message);
        self.actions.push(Action::Note(note));
    }
}
