//! The http check on servers that break the rules: of the gated pod each of them is False, of a shared server a fault.
//! None is ever True, and none is a crash.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use gatehost_tests::netns::{self, Machine};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinSet, spawn_blocking},
    time::sleep,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

use super::Bed;

/// The pod's address, which other pods might have to themselves as well.
const IP: &str = "10.77.0.1";

/// What a server does once it was asked.
#[derive(Clone)]
enum Does {
    /// Says this and closes.
    Says(Vec<u8>),
    /// Says this, and then that for ever.
    Repeats(&'static [u8], &'static [u8]),
    /// Says this and then nothing.
    Stalls(&'static [u8]),
    /// Says this, a byte each second.
    Drips(&'static [u8]),
    /// Says this and breaks the connection off.
    Resets(&'static [u8]),
    /// Closes without having read anything.
    Closes,
    /// The right answer, with a certificate that nobody has signed.
    Poses,
}

use Does::{Closes, Drips, Poses, Repeats, Resets, Says, Stalls};

/// Its name, the scheme it is asked by, the reason, and what it does.
type Case = (&'static str, &'static str, &'static str, Does);

fn says(text: &[u8]) -> Does {
    Says(text.to_vec())
}

fn json_body(body: &[u8]) -> Does {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    Says([head.as_bytes(), body].concat())
}

/// `{"ok": true}` as gzip makes it.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xabV\xca\xcfV\xb2R()*M\xad\x05\x00\xc6\x19\xab\x17\x0c\x00\x00\x00";

fn cases() -> Vec<Case> {
    let chunked = |rest: &str| {
        says(
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{rest}\r\n{{\"ok\": true}}\r\n0\r\n\r\n")
                .as_bytes(),
        )
    };
    let with = |headers: &str| says(format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{{\"ok\": true}}").as_bytes());
    vec![
        ("garbage", "http", "Garbled", says(b"\x00\xff\xfe\x01garbage\r\n\r\n")),
        ("another-protocol", "http", "Garbled", says(b"SSH-2.0-OpenSSH_9.2\r\n")),
        ("http-0-9", "http", "Garbled", says(b"{\"ok\": true}")),
        ("http-9-9", "http", "Garbled", says(b"HTTP/9.9 200 OK\r\n\r\n{\"ok\": true}")),
        ("no-status", "http", "Garbled", says(b"HTTP/1.1 OK\r\n\r\n{\"ok\": true}")),
        ("large-status", "http", "Garbled", says(b"HTTP/1.1 20000 OK\r\n\r\n{\"ok\": true}")),
        ("wrong-header", "http", "Garbled", with("No Name: x")),
        ("no-length", "http", "Garbled", with("Content-Length: many")),
        ("negative-length", "http", "Garbled", with("Content-Length: -1")),
        ("two-lengths", "http", "Garbled", with("Content-Length: 12\r\nContent-Length: 13")),
        ("short", "http", "Garbled", with("Content-Length: 1000")),
        ("half-a-head", "http", "Garbled", says(b"HTTP/1.1 200 OK\r\nContent-Le")),
        (
            "endless-headers",
            "http",
            "Garbled",
            Repeats(b"HTTP/1.1 200 OK\r\n", b"x-a: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n"),
        ),
        ("endless-header", "http", "Garbled", Repeats(b"HTTP/1.1 200 OK\r\nx-a: ", &[b'y'; 4096])),
        ("endless-body", "http", "Garbled", Repeats(b"HTTP/1.1 200 OK\r\n\r\n", &[b' '; 4096])),
        (
            "endless-chunks",
            "http",
            "Garbled",
            Repeats(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\n    \r\n"),
        ),
        ("endless-interim", "http", "TimedOut", Repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n")),
        ("huge-chunk", "http", "Garbled", chunked("ffffffffffffff")),
        ("overflowing-chunk", "http", "Garbled", chunked("fffffffffffffffffffff")),
        ("negative-chunk", "http", "Garbled", chunked("-c")),
        ("no-chunk", "http", "Garbled", chunked("twelve")),
        (
            "gzip-unasked",
            "http",
            "Garbled",
            Says([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", GZIP].concat()),
        ),
        ("no-json", "http", "Garbled", json_body(b"<html>")),
        ("more-json", "http", "Garbled", json_body(b"{\"ok\": true}{\"ok\": true}")),
        ("nan", "http", "Garbled", json_body(b"{\"ok\": NaN}")),
        ("no-utf-8", "http", "Garbled", json_body(b"{\"ok\": true, \"\xff\": 1}")),
        ("deep-json", "http", "Garbled", json_body(&vec![b'['; 1 << 20])),
        ("large-json", "http", "Garbled", json_body(&vec![b' '; (1 << 20) + 1])),
        ("other-json", "http", "ValueMissing", json_body(b"{\"error\": \"not now\"}")),
        ("null", "http", "ValueMissing", json_body(b"{\"ok\": null}")),
        ("reset", "http", "Garbled", Resets(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"ok\":")),
        ("reset-at-once", "http", "Unreachable", Resets(b"")),
        ("closes", "http", "Unreachable", Closes),
        ("closes-after-the-request", "http", "Unreachable", says(b"")),
        ("silent", "http", "TimedOut", Stalls(b"")),
        ("stalls", "http", "TimedOut", Stalls(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"ok\":")),
        ("drips", "http", "TimedOut", Drips(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"ok\": true}")),
        ("no-tls", "https", "Garbled", with("Content-Length: 12")),
        ("silent-tls", "https", "TimedOut", Stalls(b"")),
        ("nobodys-tls", "https", "Untrusted", Poses),
    ]
}

/// Answers until it is dropped.
fn serve(servers: &mut JoinSet<()>, listener: TcpListener, does: Does, tls: TlsAcceptor) {
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            // Whoever asked may be gone at any moment.
            connections.spawn(answer(stream, does.clone(), tls.clone()));
        }
    });
}

async fn answer(mut stream: TcpStream, does: Does, tls: TlsAcceptor) -> io::Result<()> {
    if matches!(does, Closes) {
        return Ok(());
    }
    if matches!(does, Poses) {
        let mut stream = tls.accept(stream).await?;
        let _ = stream.read(&mut [0; 4096]).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"ok\": true}").await?;
        return stream.shutdown().await;
    }
    let _ = stream.read(&mut [0; 4096]).await?;
    match does {
        Says(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
        }
        Repeats(first, again) => {
            stream.write_all(first).await?;
            loop {
                stream.write_all(again).await?;
            }
        }
        Stalls(first) => {
            stream.write_all(first).await?;
            std::future::pending::<()>().await;
        }
        Drips(bytes) => {
            for byte in bytes {
                stream.write_all(&[*byte]).await?;
                sleep(Duration::from_secs(1)).await;
            }
        }
        Resets(first) => {
            stream.write_all(first).await?;
            stream.flush().await?;
            // What was said is read before the reset throws it away.
            sleep(Duration::from_millis(if first.is_empty() { 0 } else { 200 })).await;
            stream.set_zero_linger()?;
        }
        Closes | Poses => {}
    }
    Ok(())
}

fn nobodys() -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([IP.to_owned()]).unwrap().self_signed(&key).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()))
}

/// The `spec` of a check with the shipped plugin.
fn spec(to: &Value, entry: &str, timeout: u8) -> Value {
    let mut config = json!({ "expect": { "json": { "pointer": "/ok", "equals": true } } });
    config.as_object_mut().unwrap().extend(to.as_object().unwrap().clone());
    json!({ "plugin": "http.wasm", "config": config, "allow": { "http": [entry] }, "timeoutSeconds": timeout })
}

#[test]
fn a_server_that_breaks_the_rules_closes_the_gate_of_the_pod_that_it_is_and_is_a_fault_of_a_shared_one() {
    let ip: IpAddr = IP.parse().unwrap();
    netns::run(&Machine { addresses: &[ip], ..Machine::default() }, async |_| {
        let (mut servers, mut specs, mut ports, tls) = (JoinSet::new(), Vec::new(), Vec::new(), nobodys());
        let mut cases = cases();
        cases.push(("right", "http", "ResponseMatches", json_body(b"{\"ok\": true}")));
        for (name, scheme, reason, does) in &cases {
            let listener = TcpListener::bind(SocketAddr::new(ip, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            serve(&mut servers, listener, does.clone(), tls.clone());
            // A tenth of it is for the plugin to say so, on a busy machine.
            let timeout = if *reason == "TimedOut" { 15 } else { 60 };
            let own = json!({ "port": port, "scheme": scheme });
            specs.push((format!("pod-{name}"), spec(&own, &format!("{scheme}://pod:{port}"), timeout)));
            let url = format!("{scheme}://{IP}:{port}");
            specs.push((format!("shared-{name}"), spec(&json!({ "url": url }), &url, timeout)));
            ports.push(port);
        }
        let said = spawn_blocking(move || Bed::ask_all(&["http.wasm"], Some(IP), &specs)).await.unwrap().unwrap();
        let mut wrong = Vec::new();
        for ((name, _, reason, _), port) in cases.iter().zip(ports) {
            for (whose, status, address) in
                [("pod", "False", format!("pod:{port}")), ("shared", "Unknown", format!("{IP}:{port}"))]
            {
                let said = &said[&format!("{whose}-{name}")];
                let status = if *name == "right" { "True" } else { status };
                let message = &said.message;
                let is_clear = message.contains(&address) && message.lines().count() == 1 && message.len() < 300;
                if said.status != status || said.reason != *reason || !is_clear {
                    wrong.push(format!("{whose} {name}: {said:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}
