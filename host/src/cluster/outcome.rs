//! What came of a patch.

use std::time::Duration;

use http::{HeaderMap, header::RETRY_AFTER};
use jiff::{Timestamp, fmt::rfc2822};
use kube::core::{Status, response::reason};
use serde::Deserialize;

use super::explain::{PATCH, one_line, said};
use crate::dispatch::Outcome;

#[derive(Deserialize)]
struct Answer {
    metadata: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    resource_version: String,
}

/// What an answer means.
pub(super) fn outcome(code: u16, headers: &HeaderMap, body: &[u8], url: &str) -> Outcome {
    if (200..300).contains(&code) {
        let answer: Option<Answer> = serde_json::from_slice(body).ok();
        return Outcome::Written(answer.and_then(|a| a.metadata.resource_version.parse().ok()));
    }
    // A proxy in between answers without a Status.
    let status: Option<Status> = serde_json::from_slice(body).ok();
    if status.as_ref().is_some_and(|s| replaced(code, s)) {
        return Outcome::Replaced;
    }
    let mut status =
        status.unwrap_or_else(|| Status { message: one_line(&String::from_utf8_lossy(body)), ..Status::default() });
    status.code = code;
    let line = said(&status, PATCH, url).line;
    // 408: the request did not arrive whole. 409: the pod changed too often while the server merged.
    if code >= 500 || matches!(code, 408 | 409 | 429) {
        let told = status.details.as_ref().map(|d| u64::from(d.retry_after_seconds)).filter(|s| *s > 0);
        let retry_after = retry_after(headers, Timestamp::now()).or(told.map(Duration::from_secs));
        Outcome::Failed { error: line, retry_after }
    } else {
        Outcome::Refused(line)
    }
}

/// The pod is gone, or another one has its name: its uid is not the patch's, which the server takes for an attempt to
/// change the uid.
fn replaced(code: u16, status: &Status) -> bool {
    let uid = |s: &Status| s.details.iter().flat_map(|d| &d.causes).any(|c| c.field == "metadata.uid");
    match code {
        404 => status.reason == reason::NOT_FOUND,
        422 => uid(status),
        _ => false,
    }
}

/// The `Retry-After` header: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    // What a Kubernetes 1.37 said.
    const OTHER_UID: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"Pod \"p0\" is invalid: metadata.uid: Invalid value: \"0000\": field is immutable",
        "reason":"Invalid","details":{"name":"p0","kind":"Pod","causes":[{"reason":"FieldValueInvalid",
        "message":"Invalid value: \"0000\": field is immutable","field":"metadata.uid"}]},"code":422}"#;
    const GONE: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"pods \"gone\" not found","reason":"NotFound","details":{"name":"gone","kind":"pods"},"code":404}"#;
    const POLICY: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"ValidatingAdmissionPolicy 'deny-p1' with binding 'deny-p1' denied request: p1 stays",
        "reason":"Invalid","details":{"name":"p1","kind":"pods","causes":[{"message":
        "ValidatingAdmissionPolicy 'deny-p1' with binding 'deny-p1' denied request: p1 stays"}]},"code":422}"#;
    const RBAC: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"pods \"p1\" is forbidden: User \"lister\" cannot patch resource \"pods/status\" in API group \"\"",
        "reason":"Forbidden","details":{"name":"p1","kind":"pods"},"code":403}"#;
    const UNKNOWN_TOKEN: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"Unauthorized","reason":"Unauthorized","code":401}"#;
    const BUSY: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"too many requests","reason":"TooManyRequests","details":{"retryAfterSeconds":3},"code":429}"#;

    fn of(code: u16, body: &str) -> Outcome {
        outcome(code, &HeaderMap::new(), body.as_bytes(), "https://api:6443")
    }

    fn refused(code: u16, body: &str) -> String {
        let Outcome::Refused(line) = of(code, body) else { panic!("not a refusal: {:?}", of(code, body)) };
        assert!(!line.contains('\n'));
        line
    }

    #[test]
    fn a_gone_pod_and_another_uid_are_a_replaced_pod() {
        assert_eq!(of(404, GONE), Outcome::Replaced);
        assert_eq!(of(422, OTHER_UID), Outcome::Replaced);
    }

    #[test]
    fn a_policy_that_denies_with_422_refuses_and_is_named() {
        assert!(refused(422, POLICY).contains("ValidatingAdmissionPolicy 'deny-p1'"));
    }

    #[test]
    fn a_missing_right_is_named() {
        let line = refused(403, RBAC);
        assert!(line.starts_with("pods/status: patch is forbidden: "), "{line}");
        assert!(line.contains("\"lister\"") && line.ends_with("; grant patch on pods/status"), "{line}");
    }

    #[test]
    fn other_refusals_keep_the_gate() {
        assert!(refused(401, UNKNOWN_TOKEN).contains("https://api:6443 does not accept the credentials"));
        assert!(refused(413, "too\nlarge").contains("413 : too large"));
        // A 404 that the API server did not say: a wrong path or a proxy.
        assert!(refused(404, "<html>not here</html>").contains("404"));
    }

    #[test]
    fn a_server_that_cannot_now_is_tried_again_when_it_says() {
        let retry_after = Some(Duration::from_secs(3));
        assert!(matches!(of(429, BUSY), Outcome::Failed { retry_after: r, .. } if r == retry_after));
        for code in [408, 409, 500, 503, 504] {
            assert!(matches!(of(code, "{}"), Outcome::Failed { retry_after: None, .. }), "{code}");
        }
    }

    #[test]
    fn an_answer_without_a_version_is_still_a_write() {
        assert_eq!(of(200, r#"{"metadata":{"resourceVersion":"462"}}"#), Outcome::Written(Some(462)));
        assert_eq!(of(200, "{}"), Outcome::Written(None));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-11-23T16:00:00Z".parse().unwrap();
        let parse = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(parse("Mon, 23 Nov 2026 16:00:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(parse("Mon, 23 Nov 2026 15:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
    }
}
