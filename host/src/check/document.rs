//! One document: its kind, and what that kind says.

use std::fmt::Write;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    Broken, Check, Parsed, Whose,
    fields::{Complaints, Object},
    names::is_subdomain,
    node::Node,
    spec,
};
use crate::pod::Seen;

const API_VERSION: &str = "gatehost.dev/v1alpha1";

/// Reads one document and files it.
pub(super) fn read(node: &Node, pods: bool, parsed: &mut Parsed) {
    let mut complaints = Complaints::default();
    let whose = match Object::top(node, &mut complaints) {
        Some(top) => read_kind(&top, node, pods, parsed, &mut complaints),
        None => Whose::Unknown,
    };
    parsed.warnings.append(&mut complaints.warnings);
    if !complaints.errors.is_empty() {
        parsed.broken.push(Broken { whose, errors: complaints.errors });
    }
}

fn read_kind(top: &Object, node: &Node, pods: bool, parsed: &mut Parsed, to: &mut Complaints) -> Whose {
    let known = if pods { "Check or Pod" } else { "Check" };
    let Some(kind) = top.text("kind", known, |_| true, to) else { return Whose::Unknown };
    match kind {
        "Check" => {
            let (whose, check) = read_check(top, to);
            parsed.checks.extend(check);
            whose
        }
        "Pod" if pods => {
            let (whose, pod) = read_pod(top, node, to);
            parsed.pods.extend(pod);
            whose
        }
        "Pod" => {
            to.error(top.line_of("kind"), "kind", "pods are read in dev only; expected Check");
            Whose::Unknown
        }
        other => {
            to.error(top.line_of("kind"), "kind", &format!("{other:?} is not a known kind; expected {known}"));
            Whose::Unknown
        }
    }
}

fn read_check(top: &Object, to: &mut Complaints) -> (Whose, Option<Check>) {
    let before = to.errors.len();
    top.only(&["apiVersion", "kind", "metadata", "spec"], to);
    top.text("apiVersion", API_VERSION, |v| v == API_VERSION, to);
    let name = top.object("metadata", "metadata.", to).and_then(|metadata| {
        metadata.only(&["name", "labels", "annotations"], to);
        metadata.text("name", "a DNS-1123 subdomain such as cache-warm", is_subdomain, to)
    });
    let check = top.object("spec", "spec.", to).and_then(|spec| spec::read(&spec, name, to));
    let whose = name.map_or(Whose::Unknown, |n| Whose::Check(n.into()));
    (whose, check.filter(|_| to.errors.len() == before))
}

fn read_pod(top: &Object, node: &Node, to: &mut Complaints) -> (Whose, Option<Seen>) {
    let before = to.errors.len();
    top.text("apiVersion", "v1", |v| v == "v1", to);
    let Some(metadata) = top.object("metadata", "metadata.", to) else { return (Whose::Unknown, None) };
    let Some(name) = metadata.text("name", "a DNS-1123 subdomain such as web-0", is_subdomain, to) else {
        return (Whose::Unknown, None);
    };
    let namespace = match metadata.get("namespace") {
        Some(_) => metadata.text("namespace", "a DNS-1123 name such as shop", is_subdomain, to).unwrap_or_default(),
        None => "default",
    };
    let whose = Whose::Pod(namespace.into(), name.into());
    let mut seen = match Seen::deserialize(node.json()) {
        Ok(seen) => seen,
        Err(error) => {
            to.error(node.line, "", &format!("pod {namespace}/{name} is not as Kubernetes has it: {error}"));
            return (whose, None);
        }
    };
    seen.pod.namespace = namespace.into();
    if seen.pod.uid.is_empty() {
        seen.pod.uid = derived_uid(namespace, name);
    }
    (whose, Some(seen).filter(|_| to.errors.len() == before))
}

/// A uid for a pod that has none, the same in every run.
fn derived_uid(namespace: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("{namespace}/{name}"));
    let mut uid = String::with_capacity(36);
    for (i, byte) in digest.iter().take(16).enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            uid.push('-');
        }
        let _ = write!(uid, "{byte:02x}");
    }
    uid
}
