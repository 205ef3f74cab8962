//! What `spec` of a check says.

use std::ops::RangeInclusive;

use super::{
    Check, MaxUnready, Mode, OnFault, Policy, Selection, Selector, StartWhen,
    fields::{Complaints, Object},
    instances::read_instances,
    is_label, is_plugin_file, is_reserved,
    limits::read_limits,
    names::is_qualified,
    node::Value,
    reaches::read_allow,
};

/// The most that a field of a probe can hold.
const MOST: u32 = i32::MAX as u32;
const PERIOD: RangeInclusive<u64> = 1..=MOST as u64;
const DELAY: RangeInclusive<u64> = 0..=MOST as u64;
const TIMEOUT: RangeInclusive<u64> = 1..=60;
const FLAPS: RangeInclusive<u32> = 1..=6000;

const FIELDS: [&str; 21] = [
    "gate",
    "plugin",
    "config",
    "allow",
    "select",
    "periodSeconds",
    "timeoutSeconds",
    "limits",
    "instances",
    "reuse",
    "initialDelaySeconds",
    "successThreshold",
    "failureThreshold",
    "startWhen",
    "mode",
    "onFault",
    "maxStaleSeconds",
    "maxUnready",
    "maxFlapsPerMinute",
    "dryRun",
    "override",
];

pub(super) fn read(spec: &Object, name: Option<&str>, to: &mut Complaints) -> Option<Check> {
    spec.only(&FIELDS, to);
    let gate = read_gate(spec, to);
    let plugin = spec.text("plugin", "the name of a .wasm file in one of the directories", is_plugin_file, to);
    let config = spec.json_object("config", to);
    let allow = read_allow(spec, to);
    let limits = read_limits(spec, to);
    let instances = read_instances(spec, to);
    let select = read_select(spec, to);
    let policy = read_policy(spec, to);
    let timeout = spec.seconds("timeoutSeconds", 1, TIMEOUT, to);
    let dry_run = spec.flag("dryRun", false, to);
    let check = Check {
        name: name?.into(),
        gate: gate?.into(),
        plugin: plugin?.into(),
        config: config?.into(),
        timeout: timeout?,
        dry_run: dry_run?,
        allow: allow?,
        limits: limits?,
        instances: instances?,
        select: select?,
        policy: policy?,
    };
    doubt(spec, &check, to);
    Some(check)
}

fn read_gate<'a>(spec: &Object<'a>, to: &mut Complaints) -> Option<&'a str> {
    let gate = spec.text("gate", "a qualified name such as example.com/cache-warm", is_qualified, to)?;
    let (line, path) = (spec.line_of("gate"), spec.path_of("gate"));
    if is_reserved(gate) {
        to.error(line, &path, &format!("{gate} belongs to Kubernetes; use a domain of your own"));
        return None;
    }
    if !gate.contains('/') {
        to.warning(line, &path, &format!("{gate} has no domain; example.com/{gate} cannot clash with another owner's"));
    }
    Some(gate)
}

/// All fields are read before the first one that is wrong counts: each is told of.
fn read_policy(spec: &Object, to: &mut Complaints) -> Option<Policy> {
    let usual = Policy::default();
    let period = spec.seconds("periodSeconds", usual.period.as_secs(), PERIOD, to);
    let initial_delay = spec.seconds("initialDelaySeconds", usual.initial_delay.as_secs(), DELAY, to);
    let success_threshold = spec.count("successThreshold", usual.success_threshold, 1..=MOST, to);
    let failure_threshold = spec.count("failureThreshold", usual.failure_threshold, 1..=MOST, to);
    let starts = [
        ("containersReady", StartWhen::ContainersReady),
        ("scheduled", StartWhen::Scheduled),
        ("always", StartWhen::Always),
    ];
    let start_when = spec.choice("startWhen", &starts, "containersReady, scheduled or always", to);
    let on_fault = read_on_fault(spec, to);
    let max_stale = spec.get("maxStaleSeconds").and_then(|_| spec.seconds("maxStaleSeconds", 1, PERIOD, to));
    let modes = [("continuous", Mode::Continuous), ("bootstrap", Mode::Bootstrap)];
    let mode = spec.choice("mode", &modes, "continuous or bootstrap", to);
    let max_unready = read_max_unready(spec, usual.max_unready, to);
    let max_flaps = spec.count("maxFlapsPerMinute", usual.max_flaps, FLAPS, to);
    let overridable = spec.flag("override", usual.overridable, to);
    Some(Policy {
        period: period?,
        initial_delay: initial_delay?,
        success_threshold: success_threshold?,
        failure_threshold: failure_threshold?,
        start_when: start_when?,
        on_fault: on_fault?,
        max_stale,
        mode: mode?,
        max_unready: max_unready?,
        max_flaps: max_flaps?,
        overridable: overridable?,
    })
}

fn read_on_fault(spec: &Object, to: &mut Complaints) -> Option<OnFault> {
    const EXPECTED: &str = "hold, \"False\" or \"Unknown\"";
    let Some(node) = spec.get("onFault") else { return Some(OnFault::Hold) };
    match &node.value {
        // Without quotes YAML makes a boolean of it, and what is meant is plain.
        Value::Bool(false) => return Some(OnFault::False),
        Value::Text(text) if text == "False" => return Some(OnFault::False),
        Value::Text(text) if text == "Unknown" => return Some(OnFault::Unknown),
        Value::Text(text) if text == "hold" => return Some(OnFault::Hold),
        Value::Bool(true) => {}
        Value::Text(text) if text.eq_ignore_ascii_case("true") => {}
        _ => {
            spec.mismatch("onFault", node, EXPECTED, to);
            return None;
        }
    }
    let lie = format!("True would lie, a fault is no verdict; expected {EXPECTED}");
    to.error(node.line, &spec.path_of("onFault"), &lie);
    None
}

fn read_max_unready(spec: &Object, default: MaxUnready, to: &mut Complaints) -> Option<MaxUnready> {
    let Some(node) = spec.get("maxUnready") else { return Some(default) };
    let share = |text: &str| {
        let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse().ok().filter(|percent| (1..=100).contains(percent)).map(MaxUnready::Percent)
    };
    let valid = match &node.value {
        Value::Text(text) => share(text),
        _ => node.whole().and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=MOST).contains(n)).map(MaxUnready::Count),
    };
    if valid.is_none() {
        let expected = format!("a whole number of pods, 1 to {MOST}, or a share of them, 1% to 100%");
        spec.mismatch("maxUnready", node, &expected, to);
    }
    valid
}

fn read_select(spec: &Object, to: &mut Complaints) -> Option<Selection> {
    let Some(node) = spec.get("select") else { return Some(Selection::default()) };
    let select = spec.within("select", node, "spec.select.", to)?;
    let before = to.errors.len();
    select.only(&["namespaces", "namespaceLabels", "labels"], to);
    let selection = Selection {
        namespaces: read_namespaces(&select, to),
        namespace_labels: read_selector(&select, "namespaceLabels", to),
        labels: read_selector(&select, "labels", to),
    };
    if to.errors.len() > before {
        return None;
    }
    if selection == Selection::default() {
        let (line, path) = (spec.line_of("select"), spec.path_of("select"));
        to.warning(line, &path, "it is empty and selects every pod; give it a field or remove it");
    }
    Some(selection)
}

/// None where there are none or where they are wrong, which has been told then.
fn read_namespaces(select: &Object, to: &mut Complaints) -> Vec<String> {
    const EXPECTED: &str = "a list of one or more names of namespaces, such as [shop]";
    let mut names: Vec<String> = Vec::new();
    let Some(node) = select.get("namespaces") else { return names };
    let path = select.path_of("namespaces");
    let Value::List(list) = &node.value else {
        select.mismatch("namespaces", node, EXPECTED, to);
        return names;
    };
    if list.is_empty() {
        to.error(node.line, &path, &format!("an empty list; expected {EXPECTED}, or leave it out to select all"));
    }
    for item in list {
        match &item.value {
            Value::Text(name) if names.contains(name) => {
                to.warning(item.line, &path, &format!("{name} is given twice; keep one"));
            }
            Value::Text(name) if is_label(name) => names.push(name.clone()),
            _ => select.mismatch("namespaces", item, "the name of a namespace, such as shop", to),
        }
    }
    names
}

/// Nothing where there is none or where it is wrong, which has been told then.
fn read_selector(select: &Object, name: &str, to: &mut Complaints) -> Option<Selector> {
    let node = select.get(name)?;
    let path = select.path_of(name);
    let Value::Text(text) = &node.value else {
        let expected = "a label selector as text, such as \"app=web,tier in (front,back),!old\"";
        select.mismatch(name, node, expected, to);
        return None;
    };
    let selector = match text.parse::<Selector>() {
        Ok(selector) => selector,
        Err(error) => {
            to.error(node.line, &path, &format!("{} is no label selector: {error}", node.found()));
            return None;
        }
    };
    if selector.is_empty() {
        to.warning(node.line, &path, "it is empty and selects everything; give it a requirement or remove it");
    }
    if selector.is_unsatisfiable() {
        to.warning(node.line, &path, &format!("{} contradicts itself and selects nothing; mend it", node.found()));
    }
    Some(selector)
}

/// What is allowed and yet likely a mistake.
fn doubt(spec: &Object, check: &Check, to: &mut Complaints) {
    let mut warn = |name: &str, what: &str| to.warning(spec.line_of(name), &spec.path_of(name), what);
    let Policy { period, max_stale, mode, .. } = check.policy;
    let seconds = period.as_secs();
    if check.timeout > period {
        let what = format!("longer than periodSeconds ({seconds}); slow calls make the gate late, shorten it");
        warn("timeoutSeconds", &what);
    }
    if max_stale.is_some_and(|stale| stale <= period) {
        let what = format!(
            "not longer than periodSeconds ({seconds}); a condition would go stale between two answers, make it longer"
        );
        warn("maxStaleSeconds", &what);
    }
    if mode == Mode::Bootstrap && spec.get("failureThreshold").is_some() {
        warn("failureThreshold", "mode bootstrap has no use for it, the first True stands; remove one of them");
    }
}
