//! True while an HTTP answer is as configured: of the pod itself, or of anything else that the check may reach.

use std::num::NonZeroU16;

use gatehost_sdk::{
    Check, ConfigError, Description, Failure, Fault, OnNoAnswer, Pod, Verdict,
    http::{Header, Place, Request, Response, Scheme, host_of},
    quoted,
};
use serde::Deserialize;

mod expect;

pub use expect::Expect;

/// What is asked, and what the answer has to be.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Config {
    /// Where, absolute; instead of the three below.
    pub url: Option<String>,
    /// A port of the pod.
    pub port: Option<NonZeroU16>,
    /// On that port; `/` unless given.
    pub path: Option<String>,
    /// On that port; `HTTP` unless given.
    pub scheme: Option<Scheme>,
    /// `GET` unless given.
    pub method: Method,
    /// Sent as they are.
    pub http_headers: Vec<Header>,
    /// Sent with a POST.
    pub body: Option<String>,
    /// A status from 200 to 399 unless given.
    pub expect: Expect,
    /// What it means that there is no answer, or none that can be used.
    pub on_no_answer: Option<OnNoAnswer>,
}

/// How it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// For the whole answer.
    #[default]
    Get,
    /// For the answer without its body.
    Head,
    /// With a body.
    Post,
}

/// The check.
pub struct Http;

impl Check for Http {
    type Config = Config;

    fn describe() -> Description {
        let help =
            "True while an HTTP answer, of the pod or of another server, has the configured status, header or body.";
        Description::new("http", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        let errors = config.errors();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn evaluate(_: &Pod, config: Config) -> Result<Verdict, Fault> {
        let url = config.place().url("/")?;
        let answer = config.request(&url).send().and_then(|answer| decide(&answer, &config.expect, &url));
        answer.or_else(|failure| config.no_answer(&url).answer(failure))
    }
}

gatehost_sdk::export!(Http);

impl Config {
    fn place(&self) -> Place<'_> {
        Place { url: self.url.as_deref(), port: self.port, path: self.path.as_deref(), scheme: self.scheme }
    }

    fn no_answer(&self, url: &str) -> OnNoAnswer {
        self.on_no_answer.unwrap_or_else(|| OnNoAnswer::by_host(host_of(url).unwrap_or_default()))
    }

    fn request(&self, url: &str) -> Request {
        let method = match self.method {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        };
        let request = Request::new(method, url).headers(&self.http_headers).body(self.body.clone().unwrap_or_default());
        if self.expect.reads_all() { request.most_bytes(1 << 20) } else { request }
    }

    fn errors(&self) -> Vec<ConfigError> {
        let mut errors: Vec<_> = self.place().url("/").err().into_iter().collect();
        if self.body.is_some() && self.method != Method::Post {
            errors.push(ConfigError::new("/body", "is sent with a POST only; set method: POST, or remove it"));
        }
        if self.method == Method::Head && self.expect.reads_all() {
            errors.push(ConfigError::new("/method", "an answer to HEAD has no body to be compared; use GET"));
        }
        errors.extend(self.expect.errors());
        errors
    }
}

/// Decides by the answer of a server. One without the JSON that is asked for is as good as none.
pub fn decide(answer: &Response, expect: &Expect, url: &str) -> Result<Verdict, Failure> {
    // What follows the path may be a token, and whoever sees the pod sees its conditions.
    let whom = url.split('?').next().unwrap_or(url);
    let broken = expect.broken(answer).map_err(|f| Failure::new(f.kind, format!("{whom}: {}", f.message)))?;
    Ok(match broken {
        None => Verdict::met("ResponseMatches").message(format!("{whom} answers {}", answer.status)),
        Some((reason, what)) => Verdict::unmet(reason).message(format!("{whom} {what}")),
    })
}

/// Whether a text is what is asked for, and else what it is not.
pub(crate) fn differs(text: &str, equals: Option<&str>, matches: Option<&gatehost_sdk::Pattern>) -> Option<String> {
    match (equals, matches) {
        (Some(equals), _) if text != equals => Some(format!("does not equal {}", quoted(equals))),
        (_, Some(pattern)) if !pattern.is_match(text) => {
            Some(format!("does not match {}", quoted(&pattern.to_string())))
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use gatehost_sdk::{parse, testing::assert_schema};

    use super::*;

    pub(crate) fn config(text: &str) -> Config {
        parse(text).unwrap()
    }

    fn paths(text: &str) -> Vec<String> {
        match parse::<Config>(text) {
            Ok(config) => config.errors().into_iter().map(|error| error.path).collect(),
            Err(error) => vec![error.path],
        }
    }

    fn answer(status: u16, body: &str) -> Response {
        let headers = vec![("x-cache".into(), "warm".into()), ("x-cache".into(), "disk".into())];
        Response { status, headers, body: body.into(), cut: false }
    }

    fn judged(expect: &str, answer: &Response) -> Result<Verdict, Failure> {
        decide(answer, &config(&format!(r#"{{"port": 80, "expect": {expect}}}"#)).expect, "http://pod:80/?token=x")
    }

    fn reason(expect: &str, answer: &Response) -> String {
        judged(expect, answer).unwrap().reason
    }

    #[test]
    fn the_schema_has_the_fields_of_the_config() {
        assert_schema::<Config>(include_str!("schema.json"));
    }

    #[test]
    fn a_status_counts_as_it_does_for_kubelet_unless_it_is_configured() {
        for (status, expected) in [(199, "StatusDiffers"), (200, "ResponseMatches"), (399, "ResponseMatches")] {
            assert_eq!(reason("{}", &answer(status, "")), expected);
        }
        for (status, expected) in [(204, "ResponseMatches"), (500, "ResponseMatches"), (200, "StatusDiffers")] {
            assert_eq!(reason(r#"{"status": [204, "500-599"]}"#, &answer(status, "")), expected);
        }
    }

    #[test]
    fn a_redirect_is_told_to_be_not_followed_and_no_query_is_shown() {
        let expected = "http://pod:80/ answers 302, not 200; redirects are not followed";
        assert_eq!(judged(r#"{"status": [200]}"#, &answer(302, "")).unwrap().message, expected);
    }

    #[test]
    fn one_of_the_headers_of_a_name_has_to_be_right() {
        for (expect, expected) in [
            (r#"{"header": {"name": "X-Cache"}}"#, "ResponseMatches"),
            (r#"{"header": {"name": "X-Cache", "equals": "disk"}}"#, "ResponseMatches"),
            (r#"{"header": {"name": "X-Cache", "matches": "^cold"}}"#, "HeaderDiffers"),
            (r#"{"header": {"name": "X-Other"}}"#, "HeaderMissing"),
        ] {
            assert_eq!(reason(expect, &answer(200, "")), expected, "{expect}");
        }
    }

    #[test]
    fn a_body_matches_anywhere() {
        assert_eq!(reason(r#"{"body": "wa.m"}"#, &answer(200, "is warm")), "ResponseMatches");
        assert_eq!(reason(r#"{"body": "^warm"}"#, &answer(200, "is warm")), "BodyDiffers");
    }

    #[test]
    fn what_is_configured_is_what_is_asked() {
        let text = r#"{"port": 8443, "scheme": "HTTPS", "path": "/warm", "method": "POST", "body": "x"}"#;
        let config = config(text);
        assert_eq!(config.place().url("/").unwrap(), "https://pod:8443/warm");
        assert!(format!("{:?}", config.request("https://pod:8443/warm")).contains("POST"));
    }

    #[test]
    fn the_pod_that_gives_no_answer_is_unmet_and_another_server_a_fault() {
        assert_eq!(config(r#"{"port": 80}"#).no_answer("http://pod:80/"), OnNoAnswer::Unmet);
        assert_eq!(config("{}").no_answer("https://db.example.com/"), OnNoAnswer::Fault);
        assert_eq!(config(r#"{"onNoAnswer": "fault"}"#).no_answer("http://pod:80/"), OnNoAnswer::Fault);
    }

    #[test]
    fn every_mistake_of_a_config_is_named_with_its_place() {
        for (wrong, at) in [
            ("{}", ""),
            (r#"{"port": 0}"#, "/port"),
            (r#"{"port": 80, "url": "http://a/"}"#, "/port"),
            (r#"{"url": "pod:80/x"}"#, "/url"),
            (r#"{"port": 80, "method": "PUT"}"#, "/method"),
            (r#"{"port": 80, "method": "HEAD", "expect": {"body": "x"}}"#, "/method"),
            (r#"{"port": 80, "body": "x"}"#, "/body"),
            (
                r#"{"port": 80, "httpHeaders": [{"name": "a", "value": "b"}, {"name": "a b", "value": ""}]}"#,
                "/httpHeaders/1",
            ),
            (r#"{"port": 80, "expect": {"status": ["299-200"]}}"#, "/expect/status/0"),
            (r#"{"port": 80, "expect": {"status": [200, 600]}}"#, "/expect/status/1"),
            (r#"{"port": 80, "expect": {"status": []}}"#, "/expect/status"),
            (
                r#"{"port": 80, "expect": {"header": {"name": "a", "equals": "b", "matches": "c"}}}"#,
                "/expect/header/matches",
            ),
            (r#"{"port": 80, "expect": {"body": "("}}"#, "/expect/body"),
            (r#"{"port": 80, "expect": {"json": {"pointer": "a", "equals": 1}}}"#, "/expect/json/pointer"),
            (r#"{"port": 80, "expect": {"json": {"pointer": "/a"}}}"#, "/expect/json"),
            (r#"{"port": 80, "onNoAnswer": "met"}"#, "/onNoAnswer"),
        ] {
            assert_eq!(paths(wrong), [at], "{wrong}");
        }
        assert!(paths(r#"{"port": 80}"#).is_empty());
    }
}
