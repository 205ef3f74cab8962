//! Real servers on loopback, which the checks name by their address.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use anyhow::Result;

use gatehost_tests::wait::{Seen, until};

use super::{BOUND, Bed};

/// Answers every connection with the same bytes, which a test may change; gone when dropped.
pub(super) struct Server {
    pub(super) port: u16,
    answer: Arc<Mutex<String>>,
    ended: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn new(answer: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (answer, ended) = (Arc::new(Mutex::new(answer.to_owned())), Arc::new(AtomicBool::new(false)));
        let serving = std::thread::spawn({
            let (answer, ended) = (answer.clone(), ended.clone());
            move || {
                for connection in listener.incoming().flatten() {
                    if ended.load(Ordering::Relaxed) {
                        return;
                    }
                    let answer = answer.lock().unwrap().clone();
                    // Whoever asked may be gone already.
                    let _ = reply(connection, &answer);
                }
            }
        });
        Ok(Self { port, answer, ended, serving: Some(serving) })
    }

    pub(super) fn say(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let woken = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
        if let (true, Some(serving)) = (woken, self.serving.take()) {
            let _ = serving.join();
        }
    }
}

/// A banner is said at once, an HTTP answer after the request.
fn reply(mut connection: TcpStream, answer: &str) -> std::io::Result<()> {
    if answer.starts_with("HTTP/") {
        let mut request = Vec::new();
        let mut piece = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match connection.read(&mut piece)? {
                0 => return Ok(()),
                n => request.extend_from_slice(&piece[..n]),
            }
        }
    }
    connection.write_all(answer.as_bytes())?;
    connection.shutdown(Shutdown::Write)?;
    // Until the other side has read it all.
    connection.read_to_end(&mut Vec::new()).map(drop)
}

pub(super) fn page(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\ncontent-type: application/json\r\n\r\n{body}", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_http_check_reads_the_status_and_a_value_of_json() -> Result<()> {
    let server = Server::new(&page("200 OK", r#"{"cache": {"entries": 7}}"#))?;
    let url = format!("http://127.0.0.1:{}", server.port);
    let spec = |more: &str| {
        format!(
            "plugin: http.wasm\nallow: {{http: [\"{url}\"]}}\ntimeoutSeconds: 10\nconfig: {{url: \"{url}/warm\"{more}}}\n"
        )
    };
    let bed = Bed::new(&["http.wasm"], &spec(""));
    assert_eq!(bed.ask(&[])?.status, "True");
    let json = ", expect: {json: {pointer: /cache/entries, greaterThan: 5}}";
    bed.check(&spec(json));
    assert_eq!(bed.ask(&[])?.reason, "ResponseMatches");
    server.say(&page("200 OK", r#"{"cache": {"entries": 2}}"#));
    let said = bed.ask(&[])?;
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "ValueDiffers"), "{said:?}");
    server.say(&page("302 Found", ""));
    bed.check(&spec(", expect: {status: [200]}"));
    assert_eq!(bed.ask(&[])?.reason, "StatusDiffers");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_a_fault_of_a_shared_server_and_an_unmet_answer_where_the_check_says_so() -> Result<()> {
    let server = Server::new("")?;
    let url = format!("http://127.0.0.1:{}", server.port);
    drop(server);
    let spec = |more: &str| {
        format!(
            "plugin: http.wasm\nallow: {{http: [\"{url}\"]}}\ntimeoutSeconds: 10\nconfig: {{url: \"{url}/\"{more}}}\n"
        )
    };
    let bed = Bed::new(&["http.wasm"], &spec(""));
    let said = bed.ask(&[])?;
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("Unknown", "Unreachable"), "{said:?}");
    bed.check(&spec(", onNoAnswer: unmet"));
    let said = bed.ask(&[])?;
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "Unreachable"), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spec_allow_does_not_list_is_a_fault_that_names_the_entry() -> Result<()> {
    let bed = Bed::new(&["http.wasm"], "plugin: http.wasm\nconfig: {url: \"http://127.0.0.1:9/\"}\n");
    let said = bed.ask(&[])?;
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("Unknown", "Denied"), "{said:?}");
    assert!(said.message.contains("spec.allow.http") && said.message.contains("http://127.0.0.1:9"), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tcp_check_reads_a_banner() -> Result<()> {
    let server = Server::new("220 mail.example.com ESMTP\r\n")?;
    let spec = |more: &str| {
        let port = server.port;
        format!(
            "plugin: tcp.wasm\nallow: {{tcp: [\"127.0.0.1:{port}\"]}}\ntimeoutSeconds: 10\n\
             config: {{host: 127.0.0.1, port: {port}{more}}}\n"
        )
    };
    let bed = Bed::new(&["tcp.wasm"], &spec(", expect: \"^220 \""));
    assert_eq!(bed.ask(&[])?.status, "True");
    server.say("554 no\r\n");
    assert_eq!(bed.ask(&[])?.status, "False");
    bed.check(&spec(""));
    assert_eq!(bed.ask(&[])?.status, "True");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrape_check_compares_a_rate_between_two_scrapes() -> Result<()> {
    let server = Server::new(&page("200 OK", "requests_total 100\n"))?;
    let url = format!("http://127.0.0.1:{}", server.port);
    let spec = format!(
        "plugin: scrape.wasm\nallow: {{http: [\"{url}\"]}}\nperiodSeconds: 1\ntimeoutSeconds: 10\nstartWhen: always\n\
         config: {{url: \"{url}/metrics\", metric: requests_total, rate: true, expect: {{greaterThan: 0}}}}\n"
    );
    let bed = Bed::new(&["scrape.wasm"], &spec);
    // The first scrape tells no rate.
    assert_eq!(bed.ask(&[])?.status, "Unknown");
    let mut watching = super::Watching::start(&bed)?;
    watching.until("Unknown").await?;
    let mut count = 100;
    until(BOUND, "it grows", async || {
        count += 1;
        server.say(&page("200 OK", &format!("requests_total {count}\n")));
        Ok(Seen::when(watching.has("True"), || format!("{count}")))
    })
    .await
}
