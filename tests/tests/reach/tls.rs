//! TLS: whom a check trusts, and who it says it is.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use gatehost_tests::wait::{Seen, throughout, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
        server::WebPkiClientVerifier,
        version,
    },
};

use crate::{Asker, server::Server, starts};

/// An authority, and a directory of credentials with its certificate in `ca.pem`.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    pub(crate) fn credentials(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// Writes a certificate for this name and its key as `NAME.pem` and `NAME.key`.
    pub(crate) fn issue(&self, file: &str, name: &str) {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        fs::write(self.directory.path().join(format!("{file}.pem")), leaf.pem()).unwrap();
        fs::write(self.directory.path().join(format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    /// A server of this name.
    pub(crate) fn acceptor(&self, name: &str) -> TlsAcceptor {
        self.acceptor_of(name, |_| {}, &[&version::TLS13, &version::TLS12], None)
    }

    /// One that wants a certificate of this authority's from its clients.
    fn acceptor_of(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Self>,
    ) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut params);
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.issuer.der().clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().unwrap();
                builder.with_client_cert_verifier(verifier)
            }
        };
        TlsAcceptor::from(Arc::new(builder.with_single_cert(vec![leaf.der().clone()], private).unwrap()))
    }
}

const LOCAL: &str = "127.0.0.1:0";

#[tokio::test]
async fn a_check_trusts_the_authority_that_it_names_and_nobody_unknown() {
    let authority = Authority::new();
    let server = Server::https(LOCAL, authority.acceptor("127.0.0.1")).await;
    let url = format!("https://{}", server.address);
    let trusting = json!({ "http": [url], "ca": "ca.pem" });
    let asker = Asker::with(&trusting, Some(&authority.credentials())).await;
    starts(&asker.get(&format!("{url}/ok")).await, "200 4 bytes [fine]");
    starts(&asker.get(&format!("{url}/ok")).await, "200 4 bytes [fine]");
    assert_eq!(server.connections(), 1);
    let told = Asker::new(&json!({ "http": [url] })).await.get(&url).await;
    let wanted = format!(
        "Untrusted: {url}: its certificate is signed by nobody whom the check trusts; name its authority in spec.allow.ca"
    );
    assert_eq!(told, wanted);
}

#[tokio::test]
async fn what_is_wrong_with_a_server_is_told_by_its_kind() {
    let authority = Authority::new();
    let year = |year| move |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let both: &[_] = &[&version::TLS13, &version::TLS12];
    let later = |params: &mut CertificateParams| params.not_before = rcgen::date_time_ymd(2100, 1, 1);
    for (acceptor, told) in [
        (authority.acceptor_of("127.0.0.1", year(2020), both, None), "its certificate has expired"),
        (authority.acceptor_of("127.0.0.1", later, both, None), "its certificate is not valid yet"),
        (authority.acceptor("other.example.com"), "its certificate names somebody else"),
    ] {
        let server = Server::https(LOCAL, acceptor).await;
        let url = format!("https://{}", server.address);
        let asker = Asker::with(&json!({ "http": [url], "ca": "ca.pem" }), Some(&authority.credentials())).await;
        for _ in 0..2 {
            assert_eq!(asker.get(&url).await, format!("Untrusted: {url}: {told}"));
        }
    }
    let plain = Server::http().await;
    let url = format!("https://{}", plain.address);
    let asker = Asker::with(&json!({ "http": [url], "ca": "ca.pem" }), Some(&authority.credentials())).await;
    assert_eq!(asker.get(&url).await, format!("Garbled: {url}: it does not speak TLS"));
    let closing = Server::start(LOCAL, |_, mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let url = format!("https://{}", closing.address);
    let asker = Asker::with(&json!({ "http": [url], "ca": "ca.pem" }), Some(&authority.credentials())).await;
    assert_eq!(asker.get(&url).await, format!("Unreachable: {url}: it broke the connection off"));
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_server_of_its_entry() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("client", "gatehost");
    other.issue("other", "gatehost");
    for file in ["other.pem", "other.key"] {
        fs::copy(other.credentials().join(file), authority.credentials().join(file)).unwrap();
    }
    for versions in [&[&version::TLS13][..], &[&version::TLS12]] {
        let acceptor = authority.acceptor_of("127.0.0.1", |_| {}, versions, Some(&authority));
        let server = Server::https(LOCAL, acceptor).await;
        let url = format!("https://{}", server.address);
        let get = async |name: Option<&str>| {
            let entry = match name {
                Some(name) => json!({
                    "url": url, "clientCertificate": format!("{name}.pem"), "clientKey": format!("{name}.key"),
                }),
                None => json!(url),
            };
            let allow = json!({ "http": [entry], "ca": "ca.pem" });
            Asker::with(&allow, Some(&authority.credentials())).await.get(&url).await
        };
        starts(&get(Some("client")).await, "200 4 bytes [fine]");
        starts(&get(None).await, &format!("Untrusted: {url}: it ended TLS with the alert "));
        starts(&get(Some("other")).await, &format!("Untrusted: {url}: it ended TLS with the alert "));
    }
}

#[tokio::test]
async fn certificates_that_are_replaced_are_used_without_a_restart() {
    let (old, new) = (Authority::new(), Authority::new());
    let servers =
        [Server::https(LOCAL, old.acceptor("127.0.0.1")).await, Server::https(LOCAL, new.acceptor("127.0.0.1")).await];
    let [before, after] = servers.each_ref().map(|server| format!("https://{}", server.address));
    let allow = json!({ "http": [before, after], "ca": "ca.pem" });
    let asker = Asker::with(&allow, Some(&old.credentials())).await;
    starts(&asker.get(&before).await, "200");
    starts(&asker.get(&after).await, "Untrusted");
    fs::copy(new.credentials().join("ca.pem"), old.credentials().join("new.pem")).unwrap();
    fs::rename(old.credentials().join("new.pem"), old.credentials().join("ca.pem")).unwrap();
    until(crate::ENOUGH, "the new authority is trusted", async || {
        let told = asker.get(&after).await;
        Ok(Seen::when(told.starts_with("200"), || told))
    })
    .await
    .unwrap();
    // The old one is not trusted any more, not even on connections that were open.
    starts(&asker.get(&before).await, "Untrusted");
    // A broken file leaves what it held before.
    fs::write(old.credentials().join("ca.pem"), "no PEM").unwrap();
    // For longer than the files go unlooked at.
    let holds = async || {
        let told = asker.get(&after).await;
        Ok(Seen::when(told.starts_with("200"), || told))
    };
    throughout(Duration::from_millis(2500), "the last good one is trusted", holds).await.unwrap();
}
