//! The pod's fields in a PromQL query, quoted so that no value can mean anything but itself.

use gatehost_sdk::{
    Pod,
    fields::{Field, Piece, split},
};

/// Where in a query a place is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    Comment,
    /// A string between these; whether it is a regular expression.
    String(char, bool),
}

/// Whether a query can be made, whatever the pod.
pub(crate) fn judge(query: &str) -> Result<(), String> {
    fill(query, |_| Some(String::new())).map(drop)
}

/// The query about a pod, or the field that the pod lacks.
pub(crate) fn about(query: &str, pod: &Pod) -> Result<Result<String, Field>, String> {
    fill(query, |field| field.of(pod))
}

fn fill(query: &str, value: impl Fn(&Field) -> Option<String>) -> Result<Result<String, Field>, String> {
    let (mut filled, mut within) = (String::new(), Within::Code);
    for piece in split(query)? {
        let field = match piece {
            Piece::Text(text) => {
                within = copy(text, within, &mut filled);
                continue;
            }
            Piece::Field(field) => field,
        };
        let Some(value) = value(&field) else { return Ok(Err(field)) };
        match within {
            Within::Code => {
                let regex = is_regex(&filled);
                filled.push('"');
                push(&value, regex, &mut filled);
                filled.push('"');
            }
            Within::String('`', _) => {
                return Err(format!("$({field}) stands between backticks, where nothing can be quoted; use \""));
            }
            Within::String(_, regex) => push(&value, regex, &mut filled),
            Within::Comment => push(&value, false, &mut filled),
        }
    }
    match within {
        Within::String(quote, _) => Err(format!("the string that begins with {quote} has no end")),
        _ => Ok(Ok(filled)),
    }
}

/// Copies a part of the query; where its end is.
fn copy(text: &str, mut within: Within, to: &mut String) -> Within {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let before = within;
        match (within, c) {
            (Within::Code, '#') => within = Within::Comment,
            (Within::Code, '"' | '\'' | '`') => within = Within::String(c, is_regex(to)),
            (Within::Comment, '\n') => within = Within::Code,
            (Within::String(quote, _), _) if c == quote => within = Within::Code,
            _ => {}
        }
        to.push(c);
        if matches!(before, Within::String('"' | '\'', _)) && c == '\\' {
            to.extend(chars.next());
        }
    }
    within
}

/// Whether what comes next is a regular expression.
fn is_regex(before: &str) -> bool {
    let before = before.trim_end();
    before.ends_with("=~") || before.ends_with("!~")
}

/// A value as a part of a string, and of a regular expression in it.
fn push(value: &str, regex: bool, to: &mut String) {
    for c in value.chars() {
        if regex && r"\.+*?()|[]{}^$".contains(c) {
            to.push_str(r"\\");
        }
        match c {
            '"' | '\'' | '\\' => to.extend(['\\', c]),
            // Not as they are: a line ends a string.
            c if c.is_control() => to.extend(format!(r"\u{:04x}", u32::from(c)).chars()),
            c => to.push(c),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::*;

    fn filled(query: &str, value: &str) -> String {
        fill(query, |_| Some(value.to_owned())).unwrap().unwrap()
    }

    #[test]
    fn a_field_is_a_string_of_its_own_or_a_part_of_one() {
        let query = r#"up{pod=$(metadata.name)} + x{a="b-$(metadata.name)-c", d='$(metadata.name)'}"#;
        assert_eq!(filled(query, "web-1"), r#"up{pod="web-1"} + x{a="b-web-1-c", d='web-1'}"#);
    }

    #[test]
    fn no_value_breaks_out_of_its_string() {
        for (query, expected) in [
            (r#"{a="$(metadata.name)"}"#, r#"{a="\"} or vector(1) # \'\\\u000a"}"#),
            (r"{a='$(metadata.name)'}", r#"{a='\"} or vector(1) # \'\\\u000a'}"#),
            (r"{a=$(metadata.name)}", r#"{a="\"} or vector(1) # \'\\\u000a"}"#),
        ] {
            assert_eq!(filled(query, "\"} or vector(1) # '\\\n"), expected);
        }
    }

    #[test]
    fn a_value_in_a_regular_expression_matches_itself_only() {
        assert_eq!(filled(r#"{a=~"$(metadata.name)-.*"}"#, "v1.2"), r#"{a=~"v1\\.2-.*"}"#);
        assert_eq!(filled("{a !~ $(metadata.name)}", "a|b"), r#"{a !~ "a\\|b"}"#);
        assert_eq!(filled(r#"{a=~"$(metadata.name)"}"#, "\\"), r#"{a=~"\\\\"}"#);
        assert_eq!(filled(r#"{a="$(metadata.name)"}"#, "v1.2"), r#"{a="v1.2"}"#);
    }

    #[test]
    fn quotes_in_comments_and_escaped_ones_end_nothing() {
        let query = "x{a=\"\\\"$(metadata.name)\"} # it's\n + y{b=$(metadata.name)}";
        assert_eq!(filled(query, "v"), "x{a=\"\\\"v\"} # it's\n + y{b=\"v\"}");
    }

    #[test]
    fn what_cannot_be_quoted_is_refused_at_load() {
        for wrong in ["{a=`$(metadata.name)`}", "{a=\"b}", "{a=$(metadata.nmae)}", "{a='\\'}"] {
            assert!(judge(wrong).is_err(), "{wrong}");
        }
        assert_eq!(judge("{a=`b\\`} + {c='`\"'}"), Ok(()));
    }

    #[test]
    fn a_field_that_the_pod_lacks_is_named() {
        let label = Field::Label("app".into());
        assert_eq!(fill("$(metadata.labels['app'])", |_| None), Ok(Err(label)));
    }
}
