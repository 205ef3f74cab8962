//! Connections over TCP.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{Asker, server::Server, starts};

/// Greets, and answers each PING.
async fn greeter() -> Server {
    Server::start("127.0.0.1:0", |_, mut stream| async move {
        let _ = stream.write_all(b"220 ready\r\n").await;
        let mut read = [0; 64];
        while let Ok(size @ 1..) = stream.read(&mut read).await {
            let answer: &[u8] = if read[..size].starts_with(b"PING") { b"+PONG\r\nmore" } else { b"-ERR\r\n" };
            let _ = stream.write_all(answer).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_is_opened_written_to_and_read_from() {
    let server = greeter().await;
    let asker = Asker::new(&json!({ "tcp": [server.address.to_string()] })).await;
    let port = server.address.port();
    for (step, told) in [
        (json!({ "host": "127.0.0.1", "port": port }), "read 0 []"),
        (json!({ "host": "127.0.0.1", "port": port, "read": 3 }), "read 3 [220]"),
        (json!({ "host": "127.0.0.1", "port": port, "read": 100, "until": "\r\n" }), "read 11 [220 ready  ]"),
        (
            json!({ "host": "127.0.0.1", "port": port, "send": "PING\r\n", "read": 100, "until": "PONG\r\n" }),
            "read 18 [220 ready  +PONG  ]",
        ),
    ] {
        assert_eq!(asker.ask(&json!({ "tcp": step })).await, told, "{step}");
    }
}

#[tokio::test]
async fn what_is_read_ends_with_the_connection_and_waits_no_longer_than_it_may() {
    let short = Server::bytes(b"bye").await;
    let silent = greeter().await;
    let asker = Asker::new(&json!({ "tcp": [short.address.to_string(), silent.address.to_string()] })).await;
    let step =
        json!({ "tcp": { "host": "127.0.0.1", "port": short.address.port(), "send": "x", "read": 100, "until": "z" } });
    assert_eq!(asker.ask(&step).await, "read 3 [bye]");
    let start = Instant::now();
    let step = json!({ "tcp": { "host": "127.0.0.1", "port": silent.address.port(), "read": 100, "timeoutMs": 200 } });
    assert_eq!(asker.ask(&step).await, format!("TimedOut: {}: no complete answer in time", silent.address));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn exchanges_that_are_malformed_or_not_listed_open_nothing() {
    let server = greeter().await;
    let port = server.address.port();
    let asker = Asker::new(&json!({ "tcp": [server.address.to_string()] })).await;
    for (step, told) in [
        (json!({ "host": "127.0.0.1", "port": 0 }), "InvalidRequest: the port is 0"),
        (json!({ "host": "a b", "port": 1 }), "InvalidRequest: \"a b\" is no host"),
        (json!({ "host": "127.0.0.1", "port": port, "read": 65537 }), "InvalidRequest: most-bytes is 65537"),
        (
            json!({ "host": "db.example.com", "port": 5432 }),
            "Denied: db.example.com:5432 is not allowed; spec.allow.tcp needs \"db.example.com:5432\"",
        ),
        (
            json!({ "host": "::1", "port": port }),
            &format!("Denied: [::1]:{port} is not allowed; spec.allow.tcp needs \"[::1]:{port}\""),
        ),
        (
            json!({ "host": "::ffff:127.0.0.1", "port": port }),
            &format!("Denied: [::ffff:127.0.0.1]:{port} is not allowed; spec.allow.tcp needs \"127.0.0.1:{port}\""),
        ),
    ] {
        starts(&asker.ask(&json!({ "tcp": step })).await, told);
    }
    assert_eq!(server.connections(), 0);
}
