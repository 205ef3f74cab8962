//! The Check document: what it says, how it is read, what is wrong with it. Pure.

use std::{sync::Arc, time::Duration};

use crate::pod::Seen;

mod allow;
mod document;
mod fields;
mod instances;
mod limits;
mod names;
mod node;
mod policy;
mod reaches;
mod select;
mod selector;
mod spec;
#[cfg(test)]
mod tests;

pub use allow::{Allow, ClientFiles, Host, HttpEntry, ObjectEntry, Scheme, TcpEntry, http_entry};
pub use instances::{Instances, Reuse};
pub use limits::{Limit, Limits};
pub use names::{is_label, is_plugin_file, is_reserved, is_subdomain};
pub use policy::{MaxUnready, Mode, OnFault, Policy, StartWhen};
pub use select::{Labels, Selection, Selector};
pub use selector::SelectorError;

/// The longest text that [`parse`] reads, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// A check as written: which gate it answers, with which plugin, how often. Everything in it has been validated
/// but the config, which the plugin judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// `metadata.name`.
    pub name: Arc<str>,
    /// `spec.gate`: the condition type it answers.
    pub gate: Arc<str>,
    /// `spec.plugin`: a file name in one of the host's directories.
    pub plugin: String,
    /// `spec.config` as JSON text; `{}` where there is none.
    pub config: Arc<str>,
    /// `spec.timeoutSeconds`: how long one call may take. Default 1 s, at least 1 s, at most 60 s.
    pub timeout: Duration,
    /// `spec.dryRun`: it is asked and nothing of it is written; it may stand beside a live check of its gate.
    pub dry_run: bool,
    /// `spec.allow`: what its plugin may reach.
    pub allow: Allow,
    /// `spec.limits`: how much a call of its plugin may use, where it is not the usual.
    pub limits: Limits,
    /// `spec.instances` and `spec.reuse`: how many calls an instance of its plugin serves.
    pub instances: Instances,
    /// `spec.select`: whose gates it answers.
    pub select: Selection,
    /// When its gates turn and when they do not.
    pub policy: Policy,
}

/// What one text holds. A document with an error in it is in `broken` and nowhere else; the other documents of the
/// text stand.
#[derive(Debug, Default)]
pub struct Parsed {
    /// The checks, in order.
    pub checks: Vec<Check>,
    /// The pods, in order; none unless asked for.
    pub pods: Vec<Seen>,
    /// The documents that are not usable.
    pub broken: Vec<Broken>,
    /// What is allowed and yet likely a mistake, one line each.
    pub warnings: Vec<String>,
}

/// A document that is not usable, or a whole text that does not parse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which document, as far as it says so itself.
    pub whose: Whose,
    /// All that is wrong with it, one line each: where, what, and the mend.
    pub errors: Vec<String>,
}

/// Which document a fault belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The check of this name.
    Check(Arc<str>),
    /// The pod of this namespace and name.
    Pod(String, String),
    /// It cannot be told, or the whole text does not parse.
    Unknown,
}

/// Reads all YAML (or JSON) documents of a text. Empty documents are skipped. Pods are documents of another kind
/// unless `pods` is set.
pub fn parse(text: &str, pods: bool) -> Parsed {
    let mut parsed = Parsed::default();
    match node::read(text) {
        Ok(documents) => documents.iter().for_each(|d| document::read(d, pods, &mut parsed)),
        Err(error) => parsed.broken.push(Broken { whose: Whose::Unknown, errors: vec![error] }),
    }
    parsed
}
