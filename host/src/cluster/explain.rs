//! An error of the client in one line: what happened, to what, and the mend.

use std::{error::Error as StdError, io};

use kube::core::Status;

use super::deadline::TooSlow;
use crate::decide::sanitize::prints;

/// What kind of trouble it is. Trouble is logged when its kind changes, not each time it happens again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The server answered with this code.
    Said(u16),
    /// Nothing listens there.
    NotListening,
    /// A deadline passed.
    TooSlow,
    /// The connection broke, TLS failed, the answer was no answer.
    Broken,
}

/// Trouble and its line.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) line: String,
}

/// What was asked for, and the rights it takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) verb: &'static str,
    pub(super) resource: &'a str,
    pub(super) grant: &'a str,
}

/// Listing pods.
pub(super) const LIST: Asked = Asked { verb: "list", resource: "pods", grant: "get, list, watch on pods" };
/// Watching pods.
pub(super) const WATCH: Asked = Asked { verb: "watch", ..LIST };
/// Writing conditions.
pub(super) const PATCH: Asked = Asked { verb: "patch", resource: "pods/status", grant: "patch on pods/status" };

/// Explains an error of a request.
pub(super) fn explain(error: &kube::Error, asked: Asked<'_>, url: &str) -> Trouble {
    match error {
        kube::Error::Api(status) => said(status, asked, url),
        other => broken(other, asked, url),
    }
}

/// Explains what the server said.
pub(super) fn said(status: &Status, asked: Asked<'_>, url: &str) -> Trouble {
    let Asked { verb, resource, grant } = asked;
    let message = one_line(&status.message);
    let line = match status.code {
        401 => format!(
            "{resource}: {verb}: {url} does not accept the credentials (401 {message}): renew the token or the client \
             certificate"
        ),
        403 => format!("{resource}: {verb} is forbidden: {message}; grant {grant}"),
        code => format!("{resource}: {verb}: {url} answered {code} {}: {message}", one_line(&status.reason)),
    };
    Trouble { kind: Kind::Said(status.code), line }
}

/// Explains why there is no answer.
fn broken(error: &(dyn StdError + 'static), asked: Asked<'_>, url: &str) -> Trouble {
    let mut chain = vec![error];
    while let Some(next) = chain.last().and_then(|last| StdError::source(*last)) {
        chain.push(next);
    }
    let refused = |e: &io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    let (kind, line) = if chain.iter().any(|e| e.downcast_ref().is_some_and(refused)) {
        (Kind::NotListening, format!("{url}: connection refused: is the API server up, and is this its address?"))
    } else {
        let slow = chain.iter().any(|e| e.is::<TooSlow>());
        // The outer errors repeat the inner ones: the last one says it all.
        let cause = chain.last().map(ToString::to_string).unwrap_or_default();
        let kind = if slow { Kind::TooSlow } else { Kind::Broken };
        (kind, format!("{}: {}: {url}: {}", asked.resource, asked.verb, one_line(&cause)))
    };
    Trouble { kind, line }
}

/// Somebody else's text as one line of at most 512 characters.
pub(super) fn one_line(text: &str) -> String {
    text.split(|c: char| !prints(c) || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(512)
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use http::Request;
    use tokio::net::TcpListener;

    use super::*;
    use crate::cluster::{
        Cluster, Options,
        testing::{Reply, Server, quick},
    };

    async fn trouble(cluster: &Cluster) -> Trouble {
        let request = Request::get("/api/v1/pods?limit=250").body(Vec::new()).unwrap();
        let error = cluster.client.request_text(request).await.unwrap_err();
        explain(&error, LIST, cluster.url())
    }

    #[tokio::test]
    async fn a_port_where_nothing_listens_is_named() {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let config = kube::Config::new(format!("http://{free}").parse().unwrap());
        let Trouble { kind, line } = trouble(&Cluster::new(config, Options::default(), quick()).unwrap()).await;
        assert_eq!(kind, Kind::NotListening);
        assert!(line.starts_with(&format!("http://{free}: connection refused")), "{line}");
    }

    #[tokio::test]
    async fn a_missing_right_to_list_is_named_with_its_mend() {
        let said = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
            "message":"pods is forbidden: User \"weak\" cannot list resource \"pods\" in API group \"\"",
            "reason":"Forbidden","details":{"kind":"pods"},"code":403}"#;
        let server = Server::start(move |_| Reply::whole("403 Forbidden", "", said)).await;
        let Trouble { kind, line } = trouble(&server.cluster(quick())).await;
        assert_eq!(kind, Kind::Said(403));
        assert!(line.starts_with("pods: list is forbidden: ") && line.contains("\"weak\""), "{line}");
        assert!(line.ends_with("; grant get, list, watch on pods"), "{line}");
    }

    #[test]
    fn somebody_elses_text_becomes_one_bounded_line() {
        assert_eq!(one_line("a\n\u{1b}[2Jb\t c"), "a [2Jb c");
        assert_eq!(one_line(&"é".repeat(9999)).chars().count(), 512);
    }
}
