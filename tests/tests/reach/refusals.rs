//! What is refused names what would allow it, and people are told once.

use serde_json::json;

use crate::{Asker, server::Server};

#[tokio::test]
async fn a_refusal_names_the_entry_that_would_allow_it() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({
        "http": [server.entry(), "https://*.example.com", "http://pod:8080"],
        "tcp": ["10.0.0.1:5432"],
        "dns": ["*.example.com"],
    }))
    .await
    .pod("10.77.0.9", false);
    let http = |url: &str| (json!({ "http": { "url": url } }), "http");
    for ((step, import), what) in [
        (
            http("https://api.example.com:8443/x"),
            "https://api.example.com:8443 is not allowed; spec.allow.http needs \"https://api.example.com:8443\"",
        ),
        (
            http("http://api.example.com"),
            "http://api.example.com is not allowed; spec.allow.http needs \"http://api.example.com\"",
        ),
        (
            http("https://example.com"),
            "https://example.com is not allowed; spec.allow.http needs \"https://example.com\"",
        ),
        (
            http("https://badexample.com"),
            "https://badexample.com is not allowed; spec.allow.http needs \"https://badexample.com\"",
        ),
        (http("http://pod"), "http://pod is not allowed; spec.allow.http needs \"http://pod\""),
        (
            http("http://10.77.0.9:8080"),
            "http://10.77.0.9:8080 is not allowed; spec.allow.http needs \"http://10.77.0.9:8080\"",
        ),
        (http("http://[::1]:8080"), "http://[::1]:8080 is not allowed; spec.allow.http needs \"http://[::1]:8080\""),
        (
            (json!({ "tcp": { "host": "10.0.0.2", "port": 5432 } }), "tcp"),
            "10.0.0.2:5432 is not allowed; spec.allow.tcp needs \"10.0.0.2:5432\"",
        ),
        ((json!({ "dns": "example.org" }), "dns"), "example.org is not allowed; spec.allow.dns needs \"example.org\""),
    ] {
        let ended = asker.evaluate(&step).await;
        assert_eq!(ended.answer.unwrap().message, format!("Denied: {what}"));
        let refusals: Vec<_> = ended.refusals.iter().map(|refusal| (refusal.import, &*refusal.message)).collect();
        assert_eq!(refusals, [(import, what)]);
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_check_that_allows_nothing_reaches_nothing() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({})).await.pod("127.0.0.1", false);
    for step in [
        json!({ "http": { "url": server.url("/ok") } }),
        json!({ "http": { "url": format!("http://pod:{}/ok", server.address.port()) } }),
        json!({ "tcp": { "host": "127.0.0.1", "port": server.address.port() } }),
        json!({ "dns": "localhost" }),
    ] {
        let ended = asker.evaluate(&step).await;
        assert!(ended.answer.unwrap().message.starts_with("Denied: "), "{step}");
        assert_eq!(ended.refusals.len(), 1);
    }
    assert_eq!(server.connections(), 0);
}
