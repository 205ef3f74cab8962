//! What plugins and people say: answers, selections, annotations.

use gatehost::{
    check::Selection,
    decide::{Blame, Fault, FaultKind, Status, Verdict},
    dispatch::{Call, Event},
    pod::Pod,
    sandbox::Read,
};

use super::{
    cluster::{CLAIMED, TYPES, note},
    known::OVERRIDE,
    world::World,
};

/// What the plugin of a generation says of a note in a mood. Every reload changes some answers.
fn truth(generation: u64, note: u64, mood: u64) -> Status {
    [Status::True, Status::False, Status::Unknown][usize::try_from((generation + note + mood) % 3).unwrap()]
}

impl World {
    /// What the plugin of a gate says of a pod now.
    pub(crate) fn truth(&self, gate: &str, generation: u64, pod: &Pod) -> Status {
        let at = TYPES.iter().position(|kind| *kind == gate).unwrap();
        truth(generation, note(pod), self.mood[at])
    }

    /// What a plugin says of what it is asked.
    pub(crate) fn word(call: &Call) -> String {
        let kind = if call.key.dry_run { "dry" } else { "live" };
        format!("{}/{}/{kind}", call.generation, call.key.uid)
    }

    pub(crate) fn answer(&mut self, call: &Call, fault: bool) {
        let at = TYPES.iter().position(|kind| *kind == &*call.key.gate);
        if fault || at.is_some_and(|at| self.broken[at]) {
            return self.reply(call, Self::fault(call, Blame::Code));
        }
        let status = self.truth(&call.key.gate, call.generation, &call.pod.open());
        self.say(call, status);
    }

    pub(crate) fn say(&mut self, call: &Call, status: Status) {
        let (reason, message) = ("Because".into(), Self::word(call));
        self.reply(call, Ok(Verdict { status, reason, message, recheck_after: None }));
    }

    pub(crate) fn reply(&mut self, call: &Call, answer: Result<Verdict, Fault>) {
        // What plugins say in a mood stands in an object that they read.
        let at = TYPES.iter().position(|kind| *kind == &*call.key.gate);
        let reads =
            at.map(|at| Read { view: self.moods[at].clone(), version: self.mood_version }).into_iter().collect();
        self.reply_having_read(call, answer, reads);
    }

    pub(crate) fn reply_having_read(&mut self, call: &Call, answer: Result<Verdict, Fault>, reads: Vec<Read>) {
        self.judge_answer(call, &answer);
        self.account(call, &answer);
        self.core.handle(Event::Answered { id: call.id, answer, keep: None, reads }, self.now);
    }

    pub(crate) fn fault(call: &Call, blame: Blame) -> Result<Verdict, Fault> {
        Err(Fault { kind: FaultKind::Trap, blame, reason: "Trap".into(), message: Self::word(call), retry_after: None })
    }
}

/// Whose gates a check answers: everybody's, a namespace's, by label, by the namespace's label.
pub(super) fn selection(which: u8) -> Selection {
    let mut select = Selection::default();
    match which {
        1 => select.namespaces = vec!["shop".into()],
        2 => select.labels = Some("app=web".parse().unwrap()),
        3 => select.namespace_labels = Some("team=a".parse().unwrap()),
        _ => {}
    }
    select
}

pub(super) fn annotate(pod: &mut Pod, key: &str, value: Option<String>) {
    pod.annotations.retain(|(known, _)| known != key);
    pod.annotations.extend(value.map(|value| (key.to_owned(), value)));
    pod.annotations.sort();
}

pub(super) fn set_override(pod: &mut Pod, gate: &str, status: bool, until: i64, foreign: bool) {
    let uid = if foreign { "another" } else { &pod.uid };
    let (status, until) = (if status { "True" } else { "False" }, jiff::Timestamp::from_millisecond(until).unwrap());
    let one = serde_json::json!({ "gate": gate, "status": status, "until": until.to_string(), "reason": "by hand" });
    let text = serde_json::json!({ "uid": uid, "overrides": [one] }).to_string();
    annotate(pod, OVERRIDE, Some(text));
}

pub(crate) fn claims() -> Vec<String> {
    vec![CLAIMED.split_once('.').unwrap().1.split_once('/').unwrap().0.into()]
}
