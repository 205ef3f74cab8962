//! What may be called what.

/// The condition types that core/v1 names.
const CORE: [&str; 9] = [
    "Ready",
    "ContainersReady",
    "Initialized",
    "PodScheduled",
    "PodReadyToStartContainers",
    "PodResizePending",
    "PodResizeInProgress",
    "AllContainersRestarting",
    "DisruptionTarget",
];

/// Whether a condition type is not ours to write: one that core/v1 names, or one under kubernetes.io or k8s.io.
pub fn is_reserved(gate: &str) -> bool {
    let under =
        |domain: &str, root: &str| domain.strip_suffix(root).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    CORE.contains(&gate)
        || gate.split_once('/').is_some_and(|(domain, _)| under(domain, "kubernetes.io") || under(domain, "k8s.io"))
}

/// Whether a name is a plugin's: one path component that ends in `.wasm` and is not hidden.
pub fn is_plugin_file(name: &str) -> bool {
    name.strip_suffix(".wasm").is_some_and(|stem| !stem.is_empty())
        && !name.starts_with('.')
        && !name.contains(['/', '\\'])
        && !name.contains(char::is_control)
}

/// Whether a name is a DNS-1123 label, such as a namespace's.
pub fn is_label(name: &str) -> bool {
    let bytes = name.as_bytes();
    let inner = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    !bytes.is_empty()
        && bytes.len() <= 63
        && bytes.iter().all(inner)
        && bytes[0] != b'-'
        && bytes[bytes.len() - 1] != b'-'
}

/// Whether a name is a DNS-1123 subdomain, such as a pod's.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

/// Whether a gate is a qualified name: a name of at most 63 characters, after an optional DNS subdomain and a `/`.
pub(super) fn is_qualified(gate: &str) -> bool {
    let (domain, name) = gate.split_once('/').map_or((None, gate), |(d, n)| (Some(d), n));
    let bytes = name.as_bytes();
    let inner = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    domain.is_none_or(is_subdomain)
        && (1..=63).contains(&bytes.len())
        && bytes.iter().all(inner)
        && bytes[0].is_ascii_alphanumeric()
        && bytes[bytes.len() - 1].is_ascii_alphanumeric()
}

/// Whether a text may be the value of a label; it may be empty.
pub(super) fn is_label_value(value: &str) -> bool {
    value.is_empty() || !value.contains('/') && is_qualified(value)
}
