//! Label selectors in the syntax of `kubectl -l`.

use std::{collections::BTreeSet, fmt, str::FromStr};

use super::{
    names::{is_label_value, is_qualified},
    select::{Requirement, Selector},
};

/// Why a text is no label selector: completes a line that shows the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// No key where a requirement begins.
    #[error("a key is missing before {0}; write a requirement such as app=web between two commas")]
    NoKey(String),
    /// The key breaks Kubernetes' rules.
    #[error("{0:?} is no label key; a key is a name of at most 63 characters, such as app or example.com/app")]
    BadKey(String),
    /// A value breaks Kubernetes' rules.
    #[error("{0:?} is no label value; a value has at most 63 letters, digits, '-', '_' and '.', the ends alphanumeric")]
    BadValue(String),
    /// After a key comes no operator.
    #[error("{found} after {key}; expected =, ==, !=, in, notin or a comma")]
    NoOperator {
        /// The key.
        key: String,
        /// What comes instead.
        found: String,
    },
    /// After `in` or `notin` comes no list.
    #[error("{found} after {operator}; expected values in parentheses, such as {operator} (a,b)")]
    NoList {
        /// The operator.
        operator: &'static str,
        /// What comes instead.
        found: String,
    },
    /// Something follows a requirement that is whole.
    #[error("{0} after the end of a requirement; expected a comma")]
    NoComma(String),
}

/// What a text falls into.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A key, a value, `in` or `notin`.
    Word(String),
    /// Anything else that has a meaning.
    Sign(&'static str),
    End,
}

const SIGNS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => write!(f, "{:?}", short(word)),
            Self::Sign(sign) => write!(f, "{sign:?}"),
            Self::End => f.write_str("the end"),
        }
    }
}

/// The beginning of what nobody would read to its end.
fn short(word: &str) -> String {
    const MOST: usize = 70;
    if word.chars().count() <= MOST { word.into() } else { word.chars().take(MOST).chain("...".chars()).collect() }
}

/// The tokens that are left.
struct Tokens<'a>(&'a str);

impl Tokens<'_> {
    fn next(&mut self) -> Token {
        let rest = self.0.trim_ascii_start();
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            self.0 = &rest[sign.len()..];
            return Token::Sign(sign);
        }
        let ends = |c: char| c.is_ascii_whitespace() || "=!(),><".contains(c);
        let (word, left) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
        self.0 = left;
        if word.is_empty() { Token::End } else { Token::Word(word.to_owned()) }
    }

    fn peek(&self) -> Token {
        Self(self.0).next()
    }

    fn key(&mut self) -> Result<String, SelectorError> {
        match self.next() {
            Token::Word(key) if is_qualified(&key) => Ok(key),
            Token::Word(key) => Err(SelectorError::BadKey(short(&key))),
            other => Err(SelectorError::NoKey(other.to_string())),
        }
    }

    /// A value, empty where none is written.
    fn value(&mut self) -> Result<String, SelectorError> {
        let Token::Word(value) = self.peek() else { return Ok(String::new()) };
        self.next();
        if is_label_value(&value) { Ok(value) } else { Err(SelectorError::BadValue(short(&value))) }
    }

    fn values(&mut self, operator: &'static str) -> Result<BTreeSet<String>, SelectorError> {
        let no_list = |found: &Token| SelectorError::NoList { operator, found: found.to_string() };
        let open = self.next();
        if open != Token::Sign("(") {
            return Err(no_list(&open));
        }
        let mut values = BTreeSet::new();
        loop {
            values.insert(self.value()?);
            match self.next() {
                Token::Sign(",") => {}
                Token::Sign(")") => return Ok(values),
                other => return Err(no_list(&other)),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        if self.peek() == Token::Sign("!") {
            self.next();
            return Ok(Requirement::Absent(self.key()?));
        }
        let key = self.key()?;
        let one = |value| BTreeSet::from([value]);
        match self.peek() {
            Token::End | Token::Sign(",") => return Ok(Requirement::Exists(key)),
            _ => {}
        }
        match self.next() {
            Token::Sign("=" | "==") => Ok(Requirement::In(key, one(self.value()?))),
            Token::Sign("!=") => Ok(Requirement::NotIn(key, one(self.value()?))),
            Token::Word(word) if word == "in" => Ok(Requirement::In(key, self.values("in")?)),
            Token::Word(word) if word == "notin" => Ok(Requirement::NotIn(key, self.values("notin")?)),
            other => Err(SelectorError::NoOperator { key, found: other.to_string() }),
        }
    }
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// Reads `a=b,c==d,e!=f,g in (x,y),h notin (z),i,!j`; spaces between the parts mean nothing, an empty text selects
    /// everything.
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        let mut tokens = Tokens(text);
        let mut requirements = Vec::new();
        if tokens.peek() == Token::End {
            return Ok(Self(requirements));
        }
        loop {
            requirements.push(tokens.requirement()?);
            match tokens.next() {
                Token::Sign(",") => {}
                Token::End => return Ok(Self(requirements)),
                other => return Err(SelectorError::NoComma(other.to_string())),
            }
        }
    }
}

impl fmt::Display for Selector {
    /// As it can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &BTreeSet<String>| values.iter().map(String::as_str).collect::<Vec<_>>().join(",");
        for (i, requirement) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            match requirement {
                Requirement::Exists(key) => f.write_str(key),
                Requirement::Absent(key) => write!(f, "!{key}"),
                Requirement::In(key, values) if values.len() == 1 => write!(f, "{key}={}", list(values)),
                Requirement::NotIn(key, values) if values.len() == 1 => write!(f, "{key}!={}", list(values)),
                Requirement::In(key, values) => write!(f, "{key} in ({})", list(values)),
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", list(values)),
            }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Selector {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// Whether a selector matches labels written as `k=v k=v`.
    fn matches(selector: &str, labels: &str) -> bool {
        let labels: Vec<_> =
            labels.split_whitespace().map(|l| l.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect();
        read(selector).matches(&labels)
    }

    #[test]
    fn each_operator_matches_as_kubectl_does() {
        for (selector, yes, no) in [
            ("a=b", "a=b c=d", "a=c"),
            ("a == b", "a=b", "b=a"),
            ("a!=b", "a=c", "a=b"),
            ("a != b", "", "c=d a=b"),
            ("a in (x, y)", "a=y", "a=z"),
            ("a in (x)", "a=x", ""),
            ("a notin (x,y)", "a=z", "a=x"),
            ("a notin(x,y)", "", "a=y"),
            ("a", "a=", "b=a"),
            ("!a", "b=a", "a="),
            ("a=", "a=", "a=x"),
            ("a in ()", "a=", "a=x"),
            ("a in (,x)", "a=", ""),
            ("in in (notin)", "in=notin", "in=in"),
            ("a=b,c!=d , e in (x,y),f notin (z),g,!h", "a=b e=x g=1", "a=b e=x g=1 h=1"),
            ("example.com/a=B_c.d-e", "example.com/a=B_c.d-e", "a=B_c.d-e"),
        ] {
            assert!(matches(selector, yes), "{selector} matches {yes}");
            assert!(!matches(selector, no), "{selector} does not match {no}");
        }
        assert!(matches("", "a=b") && matches(" ", ""));
    }

    #[test]
    fn what_is_no_selector_says_what_is_wrong() {
        let long = "x".repeat(64);
        for (text, what) in [
            (",a", "a key is missing before \",\""),
            ("a,", "a key is missing before the end"),
            ("a,,b", "a key is missing before \",\""),
            ("=a", "a key is missing before \"=\""),
            ("!", "a key is missing before the end"),
            ("!!a", "a key is missing before \"!\""),
            ("a b", "\"b\" after a; expected =, ==, !=, in, notin or a comma"),
            ("a>1", "\">\" after a; expected ="),
            ("a IN (b)", "\"IN\" after a; expected ="),
            ("a in b", "\"b\" after in; expected values in parentheses, such as in (a,b)"),
            ("a notin (b", "the end after notin; expected values in parentheses"),
            ("a in (b c)", "\"c\" after in; expected values"),
            ("a=b c", "\"c\" after the end of a requirement; expected a comma"),
            ("a=b=c", "\"=\" after the end of a requirement"),
            ("a===b", "\"=\" after the end of a requirement"),
            ("!a=b", "\"=\" after the end of a requirement"),
            ("a!b", "\"!\" after a; expected ="),
            ("a/b/c=d", "\"a/b/c\" is no label key"),
            ("-a", "\"-a\" is no label key"),
            ("ä=b", "\"ä\" is no label key"),
            ("a=-b", "\"-b\" is no label value"),
            ("a in (b/c)", "\"b/c\" is no label value"),
            (&format!("a={long}"), "is no label value"),
            (&format!("{long}=a"), "is no label key"),
            (&format!("a={}", long.repeat(9)), "xxx...\" is no label value"),
            (&format!("a {}", long.repeat(9)), "xxx...\" after a"),
        ] {
            let error = text.parse::<Selector>().unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn a_selector_that_is_written_out_reads_the_same() {
        for text in ["", "a=b,c!=d,e in (,x,y),f notin (x,z),g,!h,i=,j!="] {
            assert_eq!(read(text).to_string(), text);
        }
    }

    #[test]
    fn a_selector_that_no_labels_can_satisfy_is_known() {
        for never in ["a=b,a=c", "a=b,a!=b", "a,!a", "!a,a=b", "a in (x,y),a notin (x,y,z)", "b,a in (x,y),a in (z)"] {
            assert!(read(never).is_unsatisfiable(), "{never}");
        }
        for some in ["", "a=b,a!=c", "a,a=b", "!a,a!=b", "a in (x,y),a!=x", "a notin (x),a", "a in (x,y),a in (y,z)"] {
            assert!(!read(some).is_unsatisfiable(), "{some}");
        }
    }
}
