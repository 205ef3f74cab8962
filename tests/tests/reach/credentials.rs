//! Files of `--credentials`: what is wrong with them is told when a check is loaded, and what they hold goes to one
//! entry and never to a plugin.

use std::{fs, os::unix::fs::symlink, path::Path};

use gatehost::sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::{Asker, allow, server::Server, starts, tls::Authority};

const CANARY: &str = "canary-5f2c9e";

fn refused(credentials: Option<&Path>, allowed: &Value) -> String {
    let sandbox =
        Sandbox::with(Options { credentials: credentials.map(Path::to_owned), ..Options::default() }).unwrap();
    sandbox.grant(&allow(allowed)).unwrap_err().to_string()
}

fn token(file: &str) -> Value {
    json!({ "http": [{ "url": "https://api.example.com", "bearerToken": file }] })
}

fn client(certificate: &str, key: &str) -> Value {
    json!({ "http": [{ "url": "https://api.example.com", "clientCertificate": certificate, "clientKey": key }] })
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_an_error_of_the_check() {
    let authority = Authority::new();
    authority.issue("client", "gatehost");
    authority.issue("other", "gatehost");
    let directory = authority.credentials();
    let outside = tempfile::NamedTempFile::new().unwrap();
    fs::write(outside.path(), CANARY).unwrap();
    symlink(outside.path(), directory.join("link")).unwrap();
    fs::create_dir(directory.join("folder")).unwrap();
    fs::write(directory.join("empty"), "\n").unwrap();
    fs::write(directory.join("two-lines"), "a\nb\n").unwrap();
    fs::write(directory.join("text"), "no PEM").unwrap();
    let shown = directory.display();
    let none = "cannot be read: there is no directory of credentials; start the host with --credentials DIR";
    assert_eq!(refused(None, &token("api-token")), format!("spec.allow.http: bearerToken: api-token {none}"));
    assert_eq!(refused(None, &json!({ "ca": "ca.pem" })), format!("spec.allow.ca: ca.pem {none}"));
    let missing = format!("is not in the directory of --credentials ({shown}); put it there, or correct the name");
    let leaves =
        format!("is a link that leads out of the directory of --credentials ({shown}); put the file itself there");
    let no_token = "holds no token: one line of printable ASCII";
    for (allowed, told) in [
        (token("none"), format!("http: bearerToken: none {missing}")),
        (token("link"), format!("http: bearerToken: link {leaves}")),
        (
            token("folder"),
            format!("http: bearerToken: folder is no regular file in the directory of --credentials ({shown})"),
        ),
        (token("empty"), format!("http: bearerToken: empty {no_token}")),
        (token("two-lines"), format!("http: bearerToken: two-lines {no_token}")),
        (json!({ "ca": "none" }), format!("ca: none {missing}")),
        (json!({ "ca": "text" }), "ca: text holds no certificate in PEM".to_owned()),
        (client("text", "client.key"), "http: clientCertificate: text holds no certificate in PEM".to_owned()),
        (client("client.pem", "none"), format!("http: clientKey: none {missing}")),
        (client("client.pem", "text"), "http: clientKey: text holds no private key in PEM".to_owned()),
        (client("client.pem", "other.key"), "http: clientKey: other.key is not the key of the certificate".to_owned()),
    ] {
        assert_eq!(refused(Some(&directory), &allowed), format!("spec.allow.{told}"));
    }
    let nowhere = Options { credentials: Some("/nonexistent".into()), ..Options::default() };
    let error = format!("{:#}", Sandbox::with(nowhere).unwrap_err());
    starts(&error, "the directory of credentials /nonexistent cannot be opened: No such file or directory");
}

/// Two entries of the same server by two names of it: the address, and the address of another loopback interface.
#[tokio::test]
async fn a_token_goes_to_its_entry_and_nowhere_else_and_the_plugin_never_sees_it() {
    let authority = Authority::new();
    fs::write(authority.credentials().join("api-token"), format!("{CANARY}\n")).unwrap();
    let with = Server::https("127.0.0.1:0", authority.acceptor("127.0.0.1")).await;
    let without = Server::https("127.0.0.1:0", authority.acceptor("127.0.0.1")).await;
    let plain = Server::http().await;
    let [with_url, without_url] = [&with, &without].map(|server| format!("https://{}", server.address));
    let allow = json!({
        "http": [{ "url": with_url, "bearerToken": "api-token" }, without_url, plain.entry()],
        "ca": "ca.pem",
    });
    let asker = Asker::with(&allow, Some(&authority.credentials())).await;
    for path in ["/ok".to_owned(), format!("/to/{}", plain.address)] {
        let told = asker.get(&format!("{with_url}{path}")).await;
        assert!(told.starts_with(['2', '3']) && !told.contains(CANARY), "{told}");
    }
    starts(&asker.get(&format!("{without_url}/ok")).await, "200");
    starts(&asker.get(&plain.url("/ok")).await, "200");
    let said = |server: &Server| server.seen.requests().iter().filter(|line| line.contains(CANARY)).count();
    assert_eq!([&with, &without, &plain].map(said), [2, 0, 0]);
    assert!(with.seen.requests()[0].contains(&format!("authorization=Bearer {CANARY}")));
    assert_eq!((with.connections(), without.connections(), plain.connections()), (1, 1, 1));
    // A header of the plugin's own in its place is refused, and elsewhere it is the plugin's.
    for name in ["authorization", "Authorization", "AUTHORIZATION"] {
        let step = json!({ "http": { "url": with_url, "headers": [[name, "Bearer mine"]] } });
        let told = asker.ask(&step).await;
        assert_eq!(
            told,
            format!("InvalidRequest: {with_url}: the header authorization is set by the entry's bearerToken")
        );
    }
    let step = json!({ "http": { "url": without_url, "headers": [["authorization", "Bearer mine"]] } });
    starts(&asker.ask(&step).await, "200");
    assert!(without.seen.requests()[1].contains("authorization=Bearer mine"));
    assert_eq!(with.seen.requests().len(), 2);
    // What it prints of itself holds no secret.
    assert!(!format!("{:?}", asker.question).contains(CANARY));
}

#[tokio::test]
async fn a_token_that_is_replaced_is_used_at_once_and_one_that_is_gone_is_told() {
    let authority = Authority::new();
    let file = authority.credentials().join("api-token");
    fs::write(&file, "first").unwrap();
    let server = Server::https("127.0.0.1:0", authority.acceptor("127.0.0.1")).await;
    let url = format!("https://{}", server.address);
    let allow = json!({ "http": [{ "url": url, "bearerToken": "api-token" }], "ca": "ca.pem" });
    let asker = Asker::with(&allow, Some(&authority.credentials())).await;
    starts(&asker.get(&url).await, "200");
    fs::write(&file, "second").unwrap();
    starts(&asker.get(&url).await, "200");
    let requests = server.seen.requests();
    assert!(requests[0].contains("Bearer first") && requests[1].contains("Bearer second"), "{requests:?}");
    fs::remove_file(&file).unwrap();
    starts(
        &asker.get(&url).await,
        &format!(
            "Unavailable: {url}: spec.allow.http: bearerToken: api-token is not in the directory of --credentials"
        ),
    );
    assert_eq!(server.seen.requests().len(), 2);
}
