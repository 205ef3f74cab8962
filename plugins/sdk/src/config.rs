//! A check's config: JSON text in, a value of the check's own type out, or what is wrong and where.

use std::fmt;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use serde_path_to_error::{Path, Segment};

use crate::bindings::gatehost::check::types;

/// The config of a check that takes none: `{}`, or no `config` in the document at all.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoConfig {}

/// One thing that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Where: a JSON pointer (RFC 6901), such as `/port`; empty for the config as a whole.
    pub path: String,
    /// What is wrong and what would be right, in one line.
    pub message: String,
}

impl ConfigError {
    /// An error at a JSON pointer, such as `/port`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

impl std::error::Error for ConfigError {}

impl From<ConfigError> for types::ConfigError {
    fn from(e: ConfigError) -> Self {
        Self { path: e.path, message: e.message }
    }
}

/// Parses a config. The error names the place and speaks of JSON, not of Rust types or of a line and column in text
/// that nobody wrote: the host makes the JSON from YAML.
pub fn parse<T: DeserializeOwned>(config: &str) -> Result<T, ConfigError> {
    // Straight from the text: the slow way below is taken only to name the mistake.
    serde_json::from_str(config).or_else(|error| {
        let value: Value =
            serde_json::from_str(config).map_err(|_| ConfigError::new("", format!("is not JSON: {error}")))?;
        serde_path_to_error::deserialize(value)
            .map_err(|e| ConfigError::new(pointer(e.path()), for_people(&e.inner().to_string())))
    })
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let token = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            // A variant is no step of a pointer of its own, and after an unknown one nothing is known.
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&token);
    }
    pointer
}

/// Serde ends its messages with what it expected, in words of Rust.
fn for_people(message: &str) -> String {
    let Some((found, expected)) = message.rsplit_once(", expected ") else { return message.to_owned() };
    let found = match found {
        "invalid type: map" => "invalid type: an object",
        "invalid type: sequence" => "invalid type: a list",
        "invalid type: null" => "no value",
        other => other,
    };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "a nonzero u8" | "a nonzero u16" | "a nonzero u32" | "a nonzero u64" => "a whole number above 0",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{found}, expected {expected}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only parsed")]
    struct Config {
        port: u16,
        #[serde(default)]
        hosts: Vec<Host>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only parsed")]
    struct Host {
        name: String,
    }

    fn error(config: &str) -> (String, String) {
        let e = parse::<Config>(config).unwrap_err();
        (e.path, e.message)
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        let (path, message) = error(r#"{"port": "http"}"#);
        assert_eq!(path, "/port");
        assert_eq!(message, r#"invalid type: string "http", expected a whole number that is not negative"#);
        assert_eq!(error(r#"{"port": 1, "hosts": [{"name": "a"}, {"name": 3}]}"#).0, "/hosts/1/name");
        assert_eq!(error(r#"{"port": 1, "hosts": {}}"#).1, "invalid type: an object, expected a list");
    }

    #[test]
    fn an_unknown_field_is_named_with_the_known_ones() {
        let (path, message) = error(r#"{"prot": 80}"#);
        assert_eq!((path.as_str(), message.as_str()), ("/prot", "unknown field `prot`, expected `port` or `hosts`"));
    }

    #[test]
    fn a_missing_field_is_named() {
        assert_eq!(error("{}"), (String::new(), "missing field `port`".to_owned()));
    }

    #[test]
    fn what_is_not_an_object_is_told() {
        assert_eq!(
            error(r#""http""#),
            (String::new(), r#"invalid type: string "http", expected an object"#.to_owned())
        );
        assert!(error("{").1.starts_with("is not JSON: "));
    }

    #[test]
    fn a_number_out_of_range_is_named() {
        let (path, message) = error(r#"{"port": -1}"#);
        assert_eq!(path, "/port");
        assert_eq!(message, "invalid value: integer `-1`, expected a whole number that is not negative");
    }

    #[test]
    fn a_pointer_escapes_its_tokens() {
        let e = parse::<std::collections::BTreeMap<String, u8>>(r#"{"a/b~c": "x"}"#).unwrap_err();
        assert_eq!(e.path, "/a~1b~0c");
    }

    #[test]
    fn no_config_takes_an_empty_object_only() {
        assert!(parse::<NoConfig>("{}").is_ok());
        assert_eq!(parse::<NoConfig>(r#"{"a":1}"#).unwrap_err().path, "/a");
    }
}
