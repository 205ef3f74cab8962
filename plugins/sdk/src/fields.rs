//! Fields of the pod in the texts of a config, by the names of the [downward API]: `$(metadata.name)`.
//!
//! [downward API]: https://kubernetes.io/docs/concepts/workloads/pods/downward-api/#downwardapi-fieldRef

use std::fmt;

use crate::{Pod, Verdict};

/// A field of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// `metadata.name`
    Name,
    /// `metadata.namespace`
    Namespace,
    /// `metadata.uid`
    Uid,
    /// `metadata.labels['KEY']`
    Label(String),
    /// `spec.nodeName`
    Node,
    /// `status.podIP`
    Ip,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// It stands as it is.
    Text(&'a str),
    /// The value of a field stands here.
    Field(Field),
}

/// Splits a text at its fields. As in Kubernetes, `$$(` is a `$(` that means nothing, and any other `$` is itself.
///
/// # Errors
/// What is wrong, with the mend.
pub fn split(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("$(") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Text("$(")]);
            rest = &rest[at + 2..];
            continue;
        }
        let Some((name, after)) = rest[at + 2..].split_once(')') else {
            return Err(format!("{} has no end; write $(metadata.name), or $$( for the text $(", &rest[at..]));
        };
        pieces.extend([Piece::Text(&rest[..at]), Piece::Field(Field::read(name)?)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

impl Field {
    /// Its value; nothing where the pod does not have it (yet).
    pub fn of(&self, pod: &Pod) -> Option<String> {
        match self {
            Self::Name => Some(pod.name()),
            Self::Namespace => Some(pod.namespace_name()),
            Self::Uid => Some(pod.uid()),
            Self::Label(key) => pod.label(key),
            Self::Node => pod.node(),
            Self::Ip => pod.ip(),
        }
    }

    /// The answer where the pod does not have it (yet): the question cannot be put.
    pub fn missing(&self) -> Verdict {
        Verdict::unknown("FieldMissing").message(format!("the pod has no {self}, which the config asks for"))
    }

    fn read(name: &str) -> Result<Self, String> {
        let label = || name.strip_prefix("metadata.labels['")?.strip_suffix("']").filter(|key| !key.is_empty());
        Ok(match name {
            "metadata.name" => Self::Name,
            "metadata.namespace" => Self::Namespace,
            "metadata.uid" => Self::Uid,
            "spec.nodeName" => Self::Node,
            "status.podIP" => Self::Ip,
            _ => Self::Label(label().map(str::to_owned).ok_or_else(|| {
                format!(
                    "$({name}) is no field of the pod that can be used here; there are metadata.name, \
                     metadata.namespace, metadata.uid, metadata.labels['KEY'], spec.nodeName and status.podIP"
                )
            })?),
        })
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("metadata.name"),
            Self::Namespace => f.write_str("metadata.namespace"),
            Self::Uid => f.write_str("metadata.uid"),
            Self::Label(key) => write!(f, "metadata.labels['{key}']"),
            Self::Node => f.write_str("spec.nodeName"),
            Self::Ip => f.write_str("status.podIP"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::{Field, Piece::*, split};

    #[test]
    fn a_text_is_split_at_its_fields() {
        let pieces = split("a $(metadata.name)$(metadata.labels['example.com/app']) b").unwrap();
        let label = Field::Label("example.com/app".into());
        assert_eq!(pieces, [Text("a "), Field(Field::Name), Field(label), Text(" b")]);
    }

    #[test]
    fn a_dollar_that_is_none_of_them_stands() {
        assert_eq!(split("a$ $b ^c$").unwrap(), [Text("a$ $b ^c$")]);
        assert_eq!(split("$$(metadata.name)").unwrap(), [Text("$("), Text("metadata.name)")]);
        assert!(split("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_field_is_told_with_those_that_are() {
        for wrong in ["$(metadata.nmae)", "$()", "$(metadata.labels[''])", "$(spec.containers)", "$(NAME)"] {
            assert!(split(wrong).unwrap_err().contains("metadata.labels['KEY']"), "{wrong}");
        }
        assert!(split("x $(metadata.name").unwrap_err().contains("has no end"));
    }

    #[test]
    fn a_field_is_shown_as_it_is_written() {
        for name in ["metadata.name", "metadata.namespace", "metadata.uid", "metadata.labels['a']", "status.podIP"] {
            assert_eq!(Field::read(name).unwrap().to_string(), name);
        }
    }
}
