//! Decides by the objects that were found.

use std::collections::BTreeSet;

use gatehost_sdk::{Fault, Off, Verdict, serde_json::Value};

use crate::{Condition, Config, Count};

/// Why an object will not do: a reason and a message.
type Lacking = (&'static str, String);

/// Decides by the objects that were found in a namespace, sorted by name.
pub(crate) fn decide(config: &Config, namespace: &str, objects: &[Value]) -> Result<Verdict, Fault> {
    let (mut right, mut first) = (Vec::new(), None);
    for object in objects {
        match config.lacking(object)? {
            None => right.push(object),
            Some((reason, what)) => first = first.or(Some((reason, format!("{}: {what}", name(object))))),
        }
    }
    let named = match (config.name.as_deref(), config.labels.as_deref()) {
        (Some(name), _) => format!(" {name}"),
        (None, Some("") | None) => String::new(),
        (None, Some(labels)) => format!(" with {labels}"),
    };
    let place = if namespace.is_empty() { String::new() } else { format!(" in {namespace}") };
    let which = format!("{}{named}{place}", config.kind);
    let wanted = config.at_least.unwrap_or(1);
    Ok(match (&config.count, first) {
        _ if objects.is_empty() => Verdict::unmet("ObjectMissing").message(format!("there is no {which}")),
        (None, _) if right.len() >= wanted as usize => Verdict::met("ObjectReady").message(config.satisfied(&which)),
        // One object, or none that is right: what the first one lacks is the reason.
        (_, Some((reason, what))) if right.is_empty() && wanted == 1 => {
            Verdict::unmet(reason).message(format!("{which}: {what}"))
        }
        (None, first) => {
            let why = first.map(|(_, what)| format!("; {what}")).unwrap_or_default();
            Verdict::unmet("TooFew").message(format!("fewer than {wanted} {which} are as they have to be{why}"))
        }
        (Some(count), _) => {
            let (enough, pointer, wanted) = (count.is_enough(&right)?, &count.pointer, count.at_least);
            let (verdict, words) = if enough {
                (Verdict::met("ObjectReady"), "at least")
            } else {
                (Verdict::unmet("TooFew"), "fewer than")
            };
            verdict.message(format!("{which}: {pointer} has {words} {wanted} such entries"))
        }
    })
}

impl Config {
    /// What an object lacks, if anything.
    fn lacking(&self, object: &Value) -> Result<Option<Lacking>, Fault> {
        if let Some(lacking) = self.condition.as_ref().and_then(|wanted| wanted.lacking(object)) {
            return Ok(Some(lacking));
        }
        let Some(field) = &self.field else { return Ok(None) };
        match field.judge(object) {
            Ok(()) => Ok(None),
            Err(Off::Missing) => Ok(Some(("FieldMissing", format!("it has no {}", field.pointer)))),
            Err(Off::Differs(what)) => Ok(Some(("FieldDiffers", format!("{} {what}", field.pointer)))),
            Err(Off::NoNumber(what)) => Err(no_number(object, &format!("{} {what}", field.pointer))),
        }
    }

    fn satisfied(&self, which: &str) -> String {
        let condition = self.condition.as_ref().map(|c| format!("condition {} is {}", c.kind, c.status));
        let field = self.field.as_ref().map(|field| format!("{} is right", field.pointer));
        let what: Vec<_> = condition.into_iter().chain(field).collect();
        if what.is_empty() { format!("there is {which}") } else { format!("{which}: {}", what.join(", ")) }
    }
}

impl Condition {
    fn lacking(&self, object: &Value) -> Option<Lacking> {
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let all = object.pointer("/status/conditions").and_then(Value::as_array);
        let Some(found) = all.and_then(|all| all.iter().find(|c| text(c, "type") == self.kind)) else {
            return Some(("ConditionMissing", format!("it has no condition {}", self.kind)));
        };
        // As for `kubectl wait`, a status that is older than the spec says nothing about it.
        let number = |pointer| object.pointer(pointer).and_then(Value::as_u64);
        let pair = number("/status/observedGeneration").zip(number("/metadata/generation"));
        if pair.is_some_and(|(seen, newest)| seen < newest) {
            return Some(("StatusOutdated", "its status is not yet about its newest spec".to_owned()));
        }
        let (status, reason) = (text(found, "status"), text(found, "reason"));
        let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        let what = || format!("condition {} is {status}, not {}{why}", self.kind, self.status);
        (status != self.status).then(|| ("ConditionDiffers", what()))
    }
}

impl Count {
    fn is_enough(&self, objects: &[&Value]) -> Result<bool, Fault> {
        let (mut number, mut seen) = (0, BTreeSet::new());
        for object in objects {
            let list = match object.pointer(&self.pointer) {
                None | Some(Value::Null) => continue,
                Some(Value::Array(list)) => list,
                Some(_) => {
                    let what = format!("{}: {} is no list", name(object), self.pointer);
                    return Err(Fault::bad_config("NotAList").message(what));
                }
            };
            for entry in list {
                match self.only.as_ref().map_or(Ok(()), |only| only.judge(entry)) {
                    Ok(()) => {}
                    Err(Off::NoNumber(what)) => {
                        return Err(no_number(object, &format!("an entry of {} {what}", self.pointer)));
                    }
                    Err(_) => continue,
                }
                // An entry that has no such value is one of its own.
                let value = self.distinct.as_ref().and_then(|pointer| entry.pointer(pointer));
                number += u32::from(value.is_none_or(|value| seen.insert(value.to_string())));
            }
        }
        Ok(number >= self.at_least)
    }
}

fn no_number(object: &Value, what: &str) -> Fault {
    Fault::bad_config("NotANumber").message(format!("{}: {what}", name(object)))
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("an object")
}
