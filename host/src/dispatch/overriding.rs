//! Overrides: an annotation on a pod that says what its gates are, for a while.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
    time::Duration,
};

use super::{
    Action, Core, NoteKind, Now,
    core::Wake,
    entry::{Entry, note},
    gate::Over,
};
use crate::{
    decide::{
        Condition,
        overrides::{self, ANNOTATION, Override, Overrides, Refusal},
        reason, sanitize,
    },
    pod::Pod,
};

impl Core {
    /// Takes over what the annotation says, where it or the checks have changed.
    pub(super) fn read_overrides(&mut self, uid: &Arc<str>, pod: &Pod, now: Now) {
        let text = pod.annotations.iter().find(|(key, _)| key == ANNOTATION).map(|(_, text)| text);
        let Some(entry) = self.pods.get_mut(uid) else { return };
        if !self.rules.scanned {
            // Which checks answer is not known yet, and neither is what they allow.
            return;
        }
        // Nor is it where a check selects by labels of the namespace that are on their way.
        let awaited = !self.namespaces.contains_key(&entry.namespace);
        let awaits = |kind: &str| {
            awaited && self.rules.live.get(kind).is_some_and(|rule| rule.select.namespace_labels.is_some())
        };
        let rules: Vec<_> = entry.gates.iter().map(|g| g.rule.as_ref().map(|rule| rule.policy.overridable)).collect();
        let mut hasher = DefaultHasher::new();
        (text, rules, awaited).hash(&mut hasher);
        let digest = text.map_or(0, |_| hasher.finish().max(1));
        if std::mem::replace(&mut entry.overrides, digest) == digest {
            return;
        }
        if let Some(at) = entry.overrides_end() {
            self.timers.remove(&(at, Wake::Override(uid.clone())));
        }
        let mut notes = Vec::new();
        let said = match text.map(|text| overrides::parse(text)) {
            None => vec![],
            Some(Err(error)) => {
                notes.push(note(entry, None, NoteKind::OverrideRefused, error.to_string()));
                vec![]
            }
            Some(Ok(said)) => entry.mine(said, &mut notes),
        };
        let mut over: Vec<_> = entry.gates.iter().map(|_| None).collect();
        for said in said.iter().filter(|said| !awaits(&said.gate)) {
            match entry.take(said, self.options.max_override, now) {
                Ok(Some((at, taken))) => over[at] = Some(taken),
                Ok(None) => {}
                Err(why) => notes.push(note(entry, None, NoteKind::OverrideRefused, format!("{}: {why}", said.gate))),
            }
        }
        for (at, over) in over.into_iter().enumerate() {
            let gate = &mut entry.gates[at];
            let before = gate.rare.as_mut().and_then(|rare| rare.over.take());
            let same = before.as_ref().map(|over| &over.condition) == over.as_ref().map(|over| &over.condition);
            let message =
                over.as_ref().map(|over| format!("{}: {}", over.condition.status.as_str(), over.condition.message));
            if over.is_some() {
                gate.rare().over = over;
            }
            let kind = if message.is_some() { NoteKind::Overridden } else { NoteKind::OverrideEnded };
            if !same {
                let message = message.unwrap_or_else(|| "the override was taken back".to_owned());
                notes.push(note(entry, Some(&entry.gates[at]), kind, message));
            }
        }
        if let Some(at) = entry.overrides_end() {
            self.timers.insert((at, Wake::Override(uid.clone())));
        }
        self.actions.extend(notes.into_iter().map(Action::Note));
    }

    /// Ends what has come to its end.
    pub(super) fn end_overrides(&mut self, uid: &Arc<str>, now: Now) {
        let Some(entry) = self.pods.get_mut(uid) else { return };
        for at in 0..entry.gates.len() {
            let Some(rare) = entry.gates[at].rare.as_mut() else { continue };
            if rare.over.as_ref().is_some_and(|over| over.until <= now.mono) {
                rare.over = None;
                let note = note(entry, Some(&entry.gates[at]), NoteKind::OverrideEnded, "its time is over".to_owned());
                self.actions.push(Action::Note(note));
            }
        }
        if let Some(at) = entry.overrides_end() {
            self.timers.insert((at, Wake::Override(uid.clone())));
        }
        self.plan_write(uid, now);
        self.count(uid, now);
    }
}

impl Entry {
    /// When the first override ends.
    pub(super) fn overrides_end(&self) -> Option<Duration> {
        self.gates.iter().filter_map(|gate| gate.rare.as_ref()?.over.as_ref()).map(|over| over.until).min()
    }

    /// What is said of this pod; a template or a copy may carry what was said of another one.
    fn mine(&self, said: Overrides, notes: &mut Vec<super::Note>) -> Vec<Override> {
        if said.is_for(&self.uid) {
            return said.overrides;
        }
        let message = format!("{ANNOTATION}: it names another pod's uid; `gatehost override` sets it for this one");
        notes.push(note(self, None, NoteKind::OverrideRefused, message));
        vec![]
    }

    /// What one override comes to, for which gate; nothing where it has ended.
    fn take(&self, said: &Override, most: Duration, now: Now) -> Result<Option<(usize, Over)>, String> {
        let at = self.gates.iter().position(|gate| !gate.dry_run && *gate.kind == *said.gate);
        let Some(at) = at else { return Err("the pod has no such readiness gate".to_owned()) };
        let Some(rule) = &self.gates[at].rule else { return Err("no check answers this gate".to_owned()) };
        match overrides::check(said, now.wall, most) {
            Ok(()) => {}
            Err(Refusal::Ended) => return Ok(None),
            Err(refusal) => return Err(refusal.to_string()),
        }
        if !rule.policy.overridable {
            return Err(format!("check {} has override: false", rule.check));
        }
        let left = u64::try_from(said.until.saturating_sub(now.wall)).unwrap_or(0);
        let until = jiff::Timestamp::from_millisecond(said.until).unwrap_or_default();
        let condition = Condition {
            status: said.status,
            reason: reason::OVERRIDDEN.into(),
            message: sanitize::message(&format!("until {until}: {}", said.reason)),
            last_transition: None,
            observed_generation: (self.generation > 0).then_some(self.generation),
        };
        Ok(Some((at, Over { condition: Arc::new(condition), until: now.mono + Duration::from_millis(left) })))
    }
}
