//! The text format in which servers show their metrics: [Prometheus 0.0.4] and what OpenMetrics adds to it. A line costs
//! no copy but where a label has an escape.
//!
//! [Prometheus 0.0.4]: https://prometheus.io/docs/instrumenting/exposition_formats/

use std::borrow::Cow;

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// One series and its value.
    Sample {
        /// The metric's name; of a histogram with `_bucket`, `_sum` or `_count`.
        name: Cow<'a, str>,
        /// Keys and values, in the order in which they stand.
        labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
        /// Its value; timestamps are left out.
        value: f64,
    },
    /// The type of a metric, such as `gauge`.
    Type {
        /// The metric's name.
        name: Cow<'a, str>,
        /// Its type, as it stands there.
        kind: &'a str,
    },
}

/// The lines of an exposition that say something, up to `# EOF` where it has one; an error names the line.
pub fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, String>> {
    let numbered = text.lines().enumerate().take_while(|(_, line)| line.trim_end() != "# EOF");
    numbered.filter_map(|(index, line)| {
        let read = Cursor(line).line().transpose()?;
        Some(read.map_err(|wrong| format!("line {} {wrong}", index + 1)))
    })
}

/// What is left of a line.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn line(&mut self) -> Result<Option<Line<'a>>, &'static str> {
        self.blanks();
        if self.0.is_empty() {
            return Ok(None);
        }
        if self.take('#') {
            return Ok(self.comment());
        }
        let mut name = Cow::from(self.name());
        let mut labels = Vec::new();
        self.blanks();
        if self.take('{') {
            self.labels(&mut name, &mut labels)?;
        }
        if name.is_empty() {
            return Err("has no metric's name");
        }
        self.blanks();
        let value = self.word().parse().map_err(|_| "has no value")?;
        self.blanks();
        // A timestamp may follow, and what comes after a # is an exemplar.
        if !self.0.is_empty() && !self.0.starts_with('#') && self.word().parse::<f64>().is_err() {
            return Err("has something behind its value that is no timestamp");
        }
        self.blanks();
        let ends = self.0.is_empty() || self.0.starts_with('#');
        if ends { Ok(Some(Line::Sample { name, labels, value })) } else { Err("has something behind its timestamp") }
    }

    /// Only types matter.
    fn comment(&mut self) -> Option<Line<'a>> {
        self.blanks();
        if self.word() != "TYPE" {
            return None;
        }
        self.blanks();
        let name = if self.take('"') { self.quoted().ok()? } else { self.word().into() };
        self.blanks();
        Some(Line::Type { name, kind: self.word() })
    }

    /// Up to the brace. A name that is none of the old kind stands here, too, as a string of its own.
    fn labels(
        &mut self,
        name: &mut Cow<'a, str>,
        labels: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>,
    ) -> Result<(), &'static str> {
        loop {
            self.blanks();
            if self.take('}') {
                return Ok(());
            }
            let is_quoted = self.take('"');
            let key = if is_quoted { self.quoted()? } else { self.name().into() };
            self.blanks();
            if self.take('=') {
                self.blanks();
                if !self.take('"') {
                    return Err("has a label whose value is not in quotes");
                }
                labels.push((key, self.quoted()?));
            } else if is_quoted && name.is_empty() {
                *name = key;
            } else {
                return Err("has a label without a value");
            }
            self.blanks();
            if !self.take(',') && !self.0.starts_with('}') {
                return Err("has labels without an end");
            }
        }
    }

    /// What is between here and the next quote, which is gone then.
    fn quoted(&mut self) -> Result<Cow<'a, str>, &'static str> {
        let mut escaped = false;
        let is_end = |c: char| {
            let end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            end
        };
        let end = self.0.find(is_end).ok_or("has quotes without an end")?;
        let (text, rest) = (&self.0[..end], &self.0[end + 1..]);
        self.0 = rest;
        Ok(unescaped(text))
    }

    fn name(&mut self) -> &'a str {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        self.split(self.0.find(|c| !is_name(c)))
    }

    fn word(&mut self) -> &'a str {
        self.split(self.0.find([' ', '\t']))
    }

    fn blanks(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn take(&mut self, c: char) -> bool {
        let rest = self.0.strip_prefix(c);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn split(&mut self, at: Option<usize>) -> &'a str {
        let (first, rest) = self.0.split_at(at.unwrap_or(self.0.len()));
        self.0 = rest;
        first
    }
}

fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return text.into();
    }
    let (mut plain, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some('n')) => plain.push('\n'),
            ('\\', Some(next @ ('"' | '\\'))) => plain.push(next),
            _ => {
                plain.push(c);
                continue;
            }
        }
        chars.next();
    }
    plain.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Line<'_>>, String> {
        lines(text).collect()
    }

    fn sample<'a>(name: &'a str, labels: &[(&'a str, &'a str)], value: f64) -> Line<'a> {
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        Line::Sample { name: name.into(), labels, value }
    }

    #[test]
    fn the_example_of_the_format_is_read() {
        let text = r#"# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9
# Minimalistic line:
metric_without_timestamp_and_labels 12.47
something_weird{problem="division by zero",} +Inf -3982045
"#;
        let path = [("path", r"C:\DIR\FILE.TXT"), ("error", "Cannot find file:\n\"FILE.TXT\"")];
        let expected = [
            Line::Type { name: "http_requests_total".into(), kind: "counter" },
            sample("http_requests_total", &[("method", "post"), ("code", "200")], 1027.0),
            sample("http_requests_total", &[("method", "post"), ("code", "400")], 3.0),
            sample("msdos_file_access_time_seconds", &path, 1.458_255_915e9),
            sample("metric_without_timestamp_and_labels", &[], 12.47),
            sample("something_weird", &[("problem", "division by zero")], f64::INFINITY),
        ];
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_openmetrics_adds_is_read_up_to_its_end() {
        let text =
            "# TYPE a gauge\n# UNIT a seconds\na_bucket { le = \"1\" } 2 1.5 # {id=\"x\"} 0.5\r\na 1 # {} 2\n# EOF\n}{";
        let gauge = Line::Type { name: "a".into(), kind: "gauge" };
        assert_eq!(read(text).unwrap(), [gauge, sample("a_bucket", &[("le", "1")], 2.0), sample("a", &[], 1.0)]);
    }

    #[test]
    fn names_of_any_letters_are_quoted() {
        let text = "# TYPE \"my.metric\" gauge\n{\"my.metric\", \"a.b\"=\"}, c\"} -1";
        let gauge = Line::Type { name: "my.metric".into(), kind: "gauge" };
        assert_eq!(read(text).unwrap(), [gauge, sample("my.metric", &[("a.b", "}, c")], -1.0)]);
    }

    #[test]
    fn a_value_may_be_no_number_and_an_escape_may_be_none() {
        let Line::Sample { labels, value, .. } = read(r#"x{a="\d\\"} NaN"#).unwrap().remove(0) else { panic!() };
        assert!(value.is_nan() && labels[0].1 == r"\d\", "{labels:?}");
    }

    #[test]
    fn garbage_is_named_with_its_line() {
        for wrong in [
            "<html>",
            "x",
            "x one",
            "x{a=b} 1",
            "x{a=\"b} 1",
            "x{a=\"b\" 1",
            "x{a} 1",
            "{a=\"b\"} 1",
            "x 1 y",
            "x 1 2 3",
            "x{a=\"b\\\"} 1",
            "\u{1f}\u{8b}",
        ] {
            let text = format!("good 1\n{wrong}\n");
            assert!(read(&text).unwrap_err().starts_with("line 2 "), "{wrong}");
        }
    }
}
