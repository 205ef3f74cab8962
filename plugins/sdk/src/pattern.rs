//! Regular expressions in a config.

use std::fmt;

use regex_lite::Regex;
use serde::{Deserialize, Deserializer, de};

/// A [regular expression](https://docs.rs/regex-lite/latest/regex_lite/#syntax) that matches anywhere in a text. In a
/// config it is a string; one that does not compile is an error at its place.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(source: impl Into<String>) -> Result<Self, String> {
        let source = source.into();
        let regex = Regex::new(&source).map_err(|error| format!("is not a regular expression: {error}"))?;
        Ok(Self { source, regex })
    }

    /// Whether it matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A [`Pattern`] that matches whole texts only.
#[derive(Clone, Debug, PartialEq)]
pub struct WholePattern(Pattern);

impl WholePattern {
    /// Compiles it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(source: impl Into<String>) -> Result<Self, String> {
        // First alone: "a)|(b" is balanced only within other parentheses.
        let Pattern { source, .. } = Pattern::new(source)?;
        let Pattern { regex, .. } = Pattern::new(format!("^(?:{source})$"))?;
        Ok(Self(Pattern { source, regex }))
    }

    /// Whether it matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl fmt::Display for WholePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for WholePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_anywhere_and_a_whole_one_whole_texts() {
        assert!(Pattern::new("b|c").unwrap().is_match("abc"));
        let whole = WholePattern::new("b|c").unwrap();
        assert!(whole.is_match("c") && !whole.is_match("bc"));
        assert!(WholePattern::new("a)|(b").is_err());
    }

    #[test]
    fn one_that_does_not_compile_is_named_with_its_place() {
        let error = crate::parse::<Vec<Pattern>>(r#"["a", "("]"#).unwrap_err();
        assert_eq!(error.path, "/1");
        assert!(error.message.starts_with("is not a regular expression: "), "{error}");
    }
}
