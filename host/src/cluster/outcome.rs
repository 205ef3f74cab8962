//! What came of a patch.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderName,
    header::{DATE, RETRY_AFTER},
};
use kube::core::{Status, response::reason};
use serde::Deserialize;

use super::explain::{PATCH, one_line, said};
use crate::dispatch::Outcome;

/// The longest wait that a server may ask for: what stands in between may send anything, and must not silence the host.
const LONGEST: Duration = Duration::from_mins(5);

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

/// What an answer means. A patch is `bound` where it names the version of the pod that it is for.
pub(super) fn outcome(code: u16, bound: bool, headers: &HeaderMap, body: &[u8], url: &str) -> Outcome {
    if (200..300).contains(&code) {
        let answer: Option<Answer> = serde_json::from_slice(body).ok();
        return Outcome::Written(answer.and_then(|a| a.metadata.resource_version.parse().ok()));
    }
    // A proxy in between answers without a Status.
    let status: Option<Status> = serde_json::from_slice(body).ok();
    if status.as_ref().is_some_and(|s| replaced(code, s)) {
        return Outcome::Replaced;
    }
    if bound && code == 409 {
        return Outcome::Conflict;
    }
    let mut status =
        status.unwrap_or_else(|| Status { message: one_line(&String::from_utf8_lossy(body)), ..Status::default() });
    status.code = code;
    let line = said(&status, PATCH, url).line;
    // 408: the request did not arrive whole. 409: the pod changed too often while the server merged.
    if code >= 500 || matches!(code, 408 | 409 | 429) {
        let told = status.details.as_ref().map(|d| u64::from(d.retry_after_seconds)).filter(|s| *s > 0);
        let retry_after = retry_after(headers, SystemTime::now()).or(told.map(|s| Duration::from_secs(s).min(LONGEST)));
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

/// The `Retry-After` header: seconds, or a date in one of HTTP's three forms, which is taken relative to the server's own
/// `Date`, since the clocks may differ. Nothing where it is neither.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let date = |text| httpdate::parse_http_date(text).ok();
    let value = text(RETRY_AFTER)?;
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit are a long time as well.
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        date(value)?.duration_since(text(DATE).and_then(date).unwrap_or(now)).unwrap_or_default()
    };
    Some(wait.min(LONGEST))
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
    const CONFLICT: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"Operation cannot be fulfilled on pods \"p1\": the object has been modified; please apply your changes",
        "reason":"Conflict","details":{"name":"p1","kind":"pods"},"code":409}"#;
    const BUSY: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"too many requests","reason":"TooManyRequests","details":{"retryAfterSeconds":3},"code":429}"#;

    fn of(code: u16, body: &str) -> Outcome {
        outcome(code, false, &HeaderMap::new(), body.as_bytes(), "https://api:6443")
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
    fn a_conflict_is_one_only_where_the_patch_named_a_version() {
        let says = |bound| outcome(409, bound, &HeaderMap::new(), CONFLICT.as_bytes(), "https://api:6443");
        assert_eq!(says(true), Outcome::Conflict);
        assert!(matches!(says(false), Outcome::Failed { retry_after: None, .. }));
        let other = outcome(503, true, &HeaderMap::new(), b"{}", "https://api:6443");
        assert!(matches!(other, Outcome::Failed { .. }));
    }

    fn wait(headers: &[(HeaderName, &str)]) -> Option<Duration> {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 16:00:00 GMT").unwrap();
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_in_any_of_its_forms() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (value, expected) in [
            ("7", seconds(7)),
            (" 30 ", seconds(30)),
            ("0", seconds(0)),
            ("Mon, 23 Nov 2026 16:00:09 GMT", seconds(9)),
            ("Monday, 23-Nov-26 16:00:09 GMT", seconds(9)),
            ("Mon Nov 23 16:00:09 2026", seconds(9)),
            ("Mon, 23 Nov 2026 15:00:00 GMT", seconds(0)),
            ("86400", Some(LONGEST)),
            ("99999999999999999999999", Some(LONGEST)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST)),
        ] {
            assert_eq!(wait(&[(RETRY_AFTER, value)]), expected, "{value}");
        }
    }

    #[test]
    fn a_retry_after_that_is_none_is_ignored() {
        for value in ["", "soon", "-3", "+3", "1.5", "7 s", "Mon, 99 Nov 2026 16:00:09 GMT", "2026-11-23T16:00:09Z"] {
            assert_eq!(wait(&[(RETRY_AFTER, value)]), None, "{value}");
        }
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_date_counts_from_the_servers_own_clock() {
        let (at, now) = ("Mon, 23 Nov 2026 17:00:09 GMT", "Mon, 23 Nov 2026 17:00:02 GMT");
        assert_eq!(wait(&[(RETRY_AFTER, at), (DATE, now)]), Some(Duration::from_secs(7)));
        assert_eq!(wait(&[(RETRY_AFTER, at), (DATE, "today")]), Some(LONGEST));
    }
}
