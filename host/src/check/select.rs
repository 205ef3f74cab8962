//! Whose gates a check answers.

use std::collections::BTreeSet;

/// A pod's or a namespace's labels, sorted by key.
pub type Labels = [(String, String)];

/// Whose gates a check answers; everybody's by default. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// `spec.select.namespaces`: the pod's namespace is one of these. Empty where not given.
    pub namespaces: Vec<String>,
    /// `spec.select.namespaceLabels`: a label selector on the pod's namespace.
    pub namespace_labels: Option<Selector>,
    /// `spec.select.labels`: a label selector on the pod.
    pub labels: Option<Selector>,
}

/// A label selector in the syntax of `kubectl -l`: all requirements must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(pub(super) Vec<Requirement>);

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Requirement {
    /// `key`
    Exists(String),
    /// `!key`
    Absent(String),
    /// `key=value`, `key==value`, `key in (a,b)`
    In(String, BTreeSet<String>),
    /// `key!=value`, `key notin (a,b)`: a pod without the key matches.
    NotIn(String, BTreeSet<String>),
}

impl Selection {
    /// Whether a pod is selected. `of_namespace` are the labels of its namespace where they are known; a selector on
    /// them selects nothing while they are not.
    pub fn selects(&self, namespace: &str, of_namespace: Option<&Labels>, labels: &Labels) -> bool {
        (self.namespaces.is_empty() || self.namespaces.iter().any(|name| name == namespace))
            && self.labels.as_ref().is_none_or(|selector| selector.matches(labels))
            && self
                .namespace_labels
                .as_ref()
                .is_none_or(|selector| of_namespace.is_some_and(|labels| selector.matches(labels)))
    }
}

impl Selector {
    /// Whether labels satisfy every requirement.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = |key: &str| labels.iter().find(|(k, _)| k == key).map(|(_, value)| value);
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
            Requirement::In(key, values) => value(key).is_some_and(|v| values.contains(v)),
            Requirement::NotIn(key, values) => value(key).is_none_or(|v| !values.contains(v)),
        })
    }

    /// Whether it asks nothing: it matches all labels.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether its requirements contradict each other: it matches no labels.
    pub(super) fn is_unsatisfiable(&self) -> bool {
        self.0.iter().any(|requirement| match requirement {
            Requirement::Exists(key) => self.about(key).any(|other| matches!(other, Requirement::Absent(_))),
            Requirement::In(key, values) => {
                !values.iter().any(|value| self.about(key).all(|other| other.allows(value)))
            }
            Requirement::Absent(_) | Requirement::NotIn(..) => false,
        })
    }

    fn about(&self, key: &str) -> impl Iterator<Item = &Requirement> {
        self.0.iter().filter(move |requirement| requirement.key() == key)
    }
}

impl Requirement {
    fn key(&self) -> &str {
        let (Self::Exists(key) | Self::Absent(key) | Self::In(key, _) | Self::NotIn(key, _)) = self;
        key
    }

    /// Whether its key may have this value.
    fn allows(&self, value: &str) -> bool {
        match self {
            Self::Exists(_) => true,
            Self::Absent(_) => false,
            Self::In(_, values) => values.contains(value),
            Self::NotIn(_, values) => !values.contains(value),
        }
    }
}
