//! `spec.instances` and `spec.reuse`: whether an instance of a check's plugin serves one call or many.

use std::ops::RangeInclusive;

use super::{
    fields::{Complaints, Object},
    limits::{Limit, read_value},
};

const CALLS: RangeInclusive<u32> = 1..=1_000_000;

/// How many calls an instance of a check's plugin serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Instances {
    /// One. Nothing that a call does can be seen by another one.
    #[default]
    Fresh,
    /// Many, one after the other.
    Reuse(Reuse),
}

/// When an instance that has served a call serves no other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// `maxCalls`: after so many. Default 1000.
    pub max_calls: u32,
    /// `maxMemory`: when its memories together have more bytes than this. Default 32 MiB.
    pub max_memory: u32,
    /// `acrossNamespaces`: it serves pods of several namespaces. Default false.
    pub across_namespaces: bool,
}

impl Default for Reuse {
    fn default() -> Self {
        Self { max_calls: 1000, max_memory: 32 << 20, across_namespaces: false }
    }
}

pub(super) fn read_instances(spec: &Object, to: &mut Complaints) -> Option<Instances> {
    let kinds = [("fresh", false), ("reuse", true)];
    let reuses = spec.choice("instances", &kinds, "fresh or reuse", to);
    let reuse = match spec.get("reuse") {
        Some(node) => read_reuse(&spec.within("reuse", node, "spec.reuse.", to)?, to),
        None => Some(Reuse::default()),
    };
    if reuses == Some(false) && spec.get("reuse").is_some() {
        let what = "it says how instances are reused, and they are not; add instances: reuse";
        to.error(spec.line_of("reuse"), &spec.path_of("reuse"), what);
        return None;
    }
    Some(if reuses? { Instances::Reuse(reuse?) } else { Instances::Fresh })
}

fn read_reuse(reuse: &Object, to: &mut Complaints) -> Option<Reuse> {
    let usual = Reuse::default();
    let before = to.errors.len();
    reuse.only(&["maxCalls", "maxMemory", "acrossNamespaces"], to);
    let max_calls = reuse.count("maxCalls", usual.max_calls, CALLS, to);
    let max_memory = match reuse.get("maxMemory") {
        Some(node) => read_value(reuse, "maxMemory", node, Limit::Memory, to),
        None => Some(usual.max_memory),
    };
    let across_namespaces = reuse.flag("acrossNamespaces", usual.across_namespaces, to);
    let read = Reuse { max_calls: max_calls?, max_memory: max_memory?, across_namespaces: across_namespaces? };
    (to.errors.len() == before).then_some(read)
}
