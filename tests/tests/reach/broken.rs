//! Answers as they should not be, and servers that are not there.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{Asker, server::Server, starts};

#[tokio::test]
async fn what_breaks_the_protocol_is_garbled_and_what_says_nothing_is_unreachable() {
    let cases: [(&'static [u8], &str); 12] = [
        (b"", "Unreachable: {}: it broke the connection off"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "Garbled: {}: its answer is no HTTP"),
        (b"HTTP/1.1 OK\r\n\r\n", "Garbled: {}: its answer is no HTTP"),
        (b"HTTP/9.9 200 OK\r\n\r\n", "Garbled: {}: its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "Garbled: {}: its answer ends in its middle"),
        (b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n", "Garbled: {}: its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "Garbled: {}: its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "Garbled: {}: its answer ends in its middle"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "Garbled: {}: its answer ends in its middle",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "Garbled: {}: its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", "200 10 bytes [to the end]"),
        (b"HTTP/1.0 200\r\nX-B: \xff\r\n\r\n", "200 0 bytes [] x-b=\u{fffd}"),
    ];
    for (bytes, wanted) in cases {
        let server = Server::bytes(bytes).await;
        let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
        let wanted = wanted.replace("{}", &server.entry());
        for _ in 0..2 {
            let told = asker.get(&server.url("/")).await;
            assert!(told.starts_with(&wanted), "{:?}: {told:?}, not {wanted:?}", String::from_utf8_lossy(bytes));
        }
    }
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_a_reset_as_well() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let entry = format!("http://127.0.0.1:{port}");
    let asker = Asker::new(&json!({ "http": [entry], "tcp": [format!("127.0.0.1:{port}")] })).await;
    let told = asker.get(&format!("{entry}/ready")).await;
    assert_eq!(told, format!("Unreachable: {entry}: nobody listens there (connection refused)"));
    let told = asker.ask(&json!({ "tcp": { "host": "127.0.0.1", "port": port } })).await;
    assert_eq!(told, format!("Unreachable: 127.0.0.1:{port}: nobody listens there (connection refused)"));

    let server = Server::start("127.0.0.1:0", |_, mut stream| async move {
        let _ = stream.read(&mut [0; 10]).await;
        stream.set_zero_linger().unwrap();
    })
    .await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    let told = asker.get(&server.url("/")).await;
    assert_eq!(told, format!("Unreachable: {}: it broke the connection off", server.entry()));
}

#[tokio::test]
async fn headers_without_end_are_cut_off_at_64_kib() {
    let server = Server::start("127.0.0.1:0", |_, mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(format!("x-a: {}\r\n", "y".repeat(4000)).as_bytes()).await.is_ok() {}
    })
    .await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    let told = asker.get(&server.url("/")).await;
    assert_eq!(told, format!("Garbled: {}: its answer has more than 64 KiB of headers", server.entry()));
    let server = Server::start("127.0.0.1:0", |_, mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let head = format!("HTTP/1.1 200 OK\r\nx-a: {}\r\ncontent-length: 2\r\n\r\nok", "y".repeat(60_000));
        let _ = stream.write_all(head.as_bytes()).await;
    })
    .await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    starts(&asker.get(&server.url("/")).await, "200 2 bytes [ok] x-a=yyy");
}

/// The server ends each connection after its answer without saying so: the next request meets a dead one.
#[tokio::test]
async fn a_connection_that_died_in_the_pool_is_replaced() {
    let server = Server::start("127.0.0.1:0", |_, mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nonce").await;
    })
    .await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await;
    for _ in 0..20 {
        starts(&asker.get(&server.url("/")).await, "200 4 bytes [once]");
    }
    assert_eq!(server.connections(), 20);
}

/// The first request of each connection is answered, the second one is read and not answered.
async fn forgetful(requests: &'static AtomicUsize) -> Server {
    Server::start("127.0.0.1:0", move |_, mut stream| async move {
        for round in 0..2 {
            if stream.read(&mut [0; 4096]).await.is_ok_and(|size| size > 0) {
                requests.fetch_add(1, SeqCst);
            }
            if round == 0 {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_request_that_changes_something_is_sent_once_whatever_became_of_it() {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let server = forgetful(&REQUESTS).await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await.timeout(Duration::from_secs(20));
    let post = json!({ "http": { "url": server.url("/"), "method": "POST", "body": "one" } });
    starts(&asker.ask(&post).await, "200 0 bytes");
    let told = asker.ask(&post).await;
    assert_eq!(told, format!("Unreachable: {}: it broke the connection off", server.entry()));
    assert_eq!((REQUESTS.load(SeqCst), server.connections()), (2, 1));
}

#[tokio::test]
async fn a_request_that_changes_nothing_is_sent_again_where_a_kept_connection_was_closed() {
    static REQUESTS: AtomicUsize = AtomicUsize::new(0);
    let server = forgetful(&REQUESTS).await;
    let asker = Asker::new(&json!({ "http": [server.entry()] })).await.timeout(Duration::from_secs(20));
    for _ in 0..2 {
        starts(&asker.get(&server.url("/")).await, "200 0 bytes");
    }
    assert_eq!((REQUESTS.load(SeqCst), server.connections()), (3, 2));
    // A new connection that is closed is no reason to try again.
    let closing = Server::start("127.0.0.1:0", |_, mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let asker = Asker::new(&json!({ "http": [closing.entry()] })).await.timeout(Duration::from_secs(20));
    starts(&asker.get(&closing.url("/")).await, "Unreachable: ");
    assert_eq!(closing.connections(), 1);
}
