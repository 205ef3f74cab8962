//! Requests and answers as they should be, and their bounds.

use std::{sync::atomic::Ordering::SeqCst, time::Instant};

use serde_json::json;

use crate::{Asker, ENOUGH, server::Server, starts};

#[tokio::test]
async fn a_request_goes_out_as_it_was_asked_for_and_its_answer_comes_back() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    starts(&asker.get(&server.url("/ok?a=b")).await, "200 4 bytes [fine] x-a=b,content-length=4");
    let sent = asker
        .ask(&json!({ "http": {
            "method": "PUT", "url": server.url("/echo/a%20b?q=1#top"), "headers": [["X-One", "1"], ["X-One", "2"]],
            "body": "hello",
        } }))
        .await;
    let agent = concat!("user-agent=gatehost/", env!("CARGO_PKG_VERSION"));
    let wanted = format!("PUT /echo/a%20b?q=1 x-one=1,x-one=2,host={},{agent},content-length=5 hello", server.address);
    assert!(sent.contains(&wanted), "{sent:?} lacks {wanted:?}");
    let sent = asker
        .ask(&json!({ "http": { "url": server.url("/echo"), "headers": [["host", "other"], ["user-agent", "me"]] } }))
        .await;
    assert!(sent.contains("host=other,user-agent=me]") || sent.contains("host=other,user-agent=me "), "{sent}");
    for status in [204, 404, 500, 503] {
        starts(&asker.get(&server.url(&format!("/status/{status}"))).await, &status.to_string());
    }
    starts(&asker.ask(&json!({ "http": { "method": "HEAD", "url": server.url("/ok") } })).await, "200 0 bytes []");
    // The requests of all calls went over one connection.
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn redirects_are_answers_and_are_not_followed() {
    let (server, other) = (Server::http().await, Server::http().await);
    let asker = Asker::new(&json!({ "http": [server.entry(), other.entry()] })).await;
    let told = asker.get(&server.url(&format!("/to/{}/ok", other.address))).await;
    starts(&told, &format!("302 0 bytes [] location=http://{}/ok", other.address));
    assert_eq!((server.connections(), other.connections()), (1, 0));
}

#[tokio::test]
async fn as_much_of_a_body_comes_back_as_is_wanted() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    let get = async |path: &str, most: Option<u32>| {
        asker.ask(&json!({ "http": { "url": server.url(path), "mostBytes": most } })).await
    };
    starts(&get("/big/65536", None).await, "200 65536 bytes [x");
    starts(&get("/big/65537", None).await, "200 65536 bytes cut [x");
    starts(&get("/big/100", Some(10)).await, "200 10 bytes cut [xxxxxxxxxx]");
    starts(&get("/big/100", Some(0)).await, "200 0 bytes cut []");
    starts(&get("/big/1048576", Some(1 << 20)).await, "200 1048576 bytes [x");
    starts(&get("/endless", Some(1 << 20)).await, "200 1048576 bytes cut [y");
    let more = get("/ok", Some((1 << 20) + 1)).await;
    assert_eq!(more, "InvalidRequest: most-bytes is 1048577; it may be at most 1048576");
}

#[tokio::test]
async fn a_server_that_does_not_answer_leaves_time_to_say_so() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await.timeout(ENOUGH / 15);
    for path in ["/never", "/drip"] {
        let start = Instant::now();
        let told = asker.get(&server.url(path)).await;
        assert_eq!(told, format!("TimedOut: {}: no complete answer in time", server.entry()));
        let took = start.elapsed();
        assert!((ENOUGH / 15).mul_f64(0.8) < took && took < ENOUGH / 15, "{took:?}");
    }
    let start = Instant::now();
    let told = asker.ask(&json!({ "http": { "url": server.url("/never"), "timeoutMs": 100 } })).await;
    assert_eq!(told, format!("TimedOut: {}: no complete answer in time", server.entry()));
    assert!(start.elapsed() < ENOUGH / 30);
}

#[tokio::test]
async fn requests_that_are_malformed_are_told_so_before_anything_else() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    let url = server.url("/ok");
    for (step, told) in [
        (json!({ "url": url, "method": "CONNECT" }), "the method CONNECT is never sent"),
        (json!({ "url": url, "method": "get" }), "\"get\" is no method; it is one word in capitals, such as GET"),
        (json!({ "url": "ftp://host/" }), "the URL does not begin with http:// or https://"),
        (
            json!({ "url": format!("http://me@{}/", server.address) }),
            "the URL holds a user name; name credentials in spec.allow.http",
        ),
        (json!({ "url": url, "headers": [["Connection", "close"]] }), "the header connection is the host's to send"),
        (
            json!({ "url": url, "headers": [["Proxy-Authorization", "x"]] }),
            "the header proxy-authorization is the host's to send",
        ),
        (json!({ "url": url, "headers": [["x", "a\r\nb: c"]] }), "the value of the header x is not printable ASCII"),
        (json!({ "url": url, "headers": vec![["x", "y"]; 65] }), "there are 65 headers; a request has at most 64"),
    ] {
        let ended = asker.evaluate(&json!({ "http": step })).await;
        assert_eq!(ended.answer.unwrap().message, format!("InvalidRequest: {told}"));
        assert!(ended.refusals.is_empty());
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn many_calls_share_few_connections() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    for _ in 0..200 {
        starts(&asker.get(&server.url("/ok")).await, "200 4 bytes [fine]");
    }
    assert_eq!((server.connections(), server.seen.requests().len()), (1, 200));
    assert_eq!(server.seen.most.load(SeqCst), 1);
    // Another check has connections of its own.
    let other = Asker::new(&json!({ "http": [server.entry()] })).await;
    starts(&other.get(&server.url("/ok")).await, "200 4 bytes [fine]");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_body_of_one_mebibyte_is_sent_and_a_longer_one_is_no_request() {
    let server = Server::http().await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    let send = async |size: usize| {
        let body = "b".repeat(size);
        asker.ask(&json!({ "http": { "method": "POST", "url": server.url("/ok"), "body": body } })).await
    };
    starts(&send(1 << 20).await, "200 ");
    let told = send((1 << 20) + 1).await;
    starts(&told, "InvalidRequest: ");
    assert!(told.contains("1048577"), "{told}");
}
