//! The HTTP clients of a check: one for each identity, made anew when a file of theirs changes.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ::http::Uri;
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::ClientConfig;
use tower::Service;

use super::{
    CredentialError, Net,
    connect::{Unconnected, connect, dial},
    stream::Stream,
    tls::{self, Wrong},
};
use crate::check::{Allow, ClientFiles, Host, HttpEntry, Scheme};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);

/// How many such connections are kept to one place.
const IDLE_CONNECTIONS: usize = 256;

/// How long connecting may take, where the call that asked for it is gone already.
const CONNECTING: Duration = Duration::from_secs(30);

/// All headers of an answer, in bytes, ...
const HEADERS: usize = 64 << 10;
/// ... and how many.
const HEADER_COUNT: usize = 256;

pub(in super::super) type HttpClient = Client<Connector, Full<Bytes>>;

/// Why credentials are not ready: the field of `spec.allow`, the file, and what is wrong with it.
#[derive(Debug)]
pub(in super::super) struct Unready {
    pub(in super::super) field: &'static str,
    pub(in super::super) file: String,
    pub(in super::super) error: CredentialError,
}

/// A client for each identity; that of entries without a client certificate comes first.
#[derive(Debug)]
pub(in super::super) struct Clients {
    net: Arc<Net>,
    ca: Option<String>,
    identities: Vec<Identity>,
}

#[derive(Debug)]
struct Identity {
    files: Option<ClientFiles>,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    looked: Instant,
    content: Content,
    client: HttpClient,
}

/// What the files held: CA, certificate, key.
#[derive(PartialEq, Eq)]
struct Content([Option<Vec<u8>>; 3]);

impl Clients {
    /// Reads all files that the entries name.
    pub(in super::super) fn new(net: Arc<Net>, allow: &Allow) -> Result<Self, Unready> {
        let mut clients = Self { net, ca: allow.ca.clone(), identities: Vec::new() };
        let own = allow.http.iter().filter_map(|entry| entry.client.clone());
        for files in std::iter::once(None).chain(own.map(Some)) {
            if clients.identities.iter().any(|identity| identity.files == files) {
                continue;
            }
            let content = clients.read(files.as_ref())?;
            let tls = allow.http.iter().any(|entry| entry.scheme == Scheme::Https) || clients.ca.is_some();
            let client = clients.make(files.as_ref(), &content, tls)?;
            let current = Mutex::new(Current { looked: Instant::now(), content, client });
            clients.identities.push(Identity { files, current });
        }
        for entry in &allow.http {
            clients.bearer(entry)?;
        }
        Ok(clients)
    }

    /// The client for an entry's requests.
    pub(in super::super) fn of(&self, entry: &HttpEntry) -> Option<HttpClient> {
        let identity = self.identities.iter().find(|identity| identity.files == entry.client)?;
        let mut current = identity.current.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let has_files = self.ca.is_some() || identity.files.is_some();
        if has_files && now.saturating_duration_since(current.looked) >= LOOK {
            current.looked = now;
            match self.renew(identity.files.as_ref(), &current.content) {
                Ok(None) => {}
                Ok(Some((content, client))) => (current.content, current.client) = (content, client),
                Err(Unready { field, file, error }) => {
                    // Files are replaced one after the other: what worked goes on working meanwhile.
                    tracing::warn!("spec.allow.{field}: {file} {error}; what it held before is used");
                }
            }
        }
        Some(current.client.clone())
    }

    /// What an entry's requests say of themselves besides, as of now.
    pub(in super::super) fn bearer(&self, entry: &HttpEntry) -> Result<Option<::http::HeaderValue>, Unready> {
        let Some(file) = &entry.bearer_token else { return Ok(None) };
        let content = self.file("http: bearerToken", file)?;
        let wrong = || unready("http: bearerToken", file, "holds no token: one line of printable ASCII".to_owned());
        let token = std::str::from_utf8(&content).map_err(|_| wrong())?.trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong());
        }
        let mut value = ::http::HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| wrong())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn renew(&self, files: Option<&ClientFiles>, before: &Content) -> Result<Option<(Content, HttpClient)>, Unready> {
        let content = self.read(files)?;
        if content == *before {
            return Ok(None);
        }
        let client = self.make(files, &content, true)?;
        Ok(Some((content, client)))
    }

    fn read(&self, files: Option<&ClientFiles>) -> Result<Content, Unready> {
        let read = |field, name: Option<&String>| name.map(|name| self.file(field, name)).transpose();
        Ok(Content([
            read("ca", self.ca.as_ref())?,
            read("http: clientCertificate", files.map(|files| &files.certificate))?,
            read("http: clientKey", files.map(|files| &files.key))?,
        ]))
    }

    fn file(&self, field: &'static str, name: &str) -> Result<Vec<u8>, Unready> {
        let Some(directory) = &self.net.credentials else {
            return Err(Unready { field, file: name.to_owned(), error: CredentialError::NoDirectory });
        };
        directory.read(name).map_err(|error| Unready { field, file: name.to_owned(), error })
    }

    fn make(&self, files: Option<&ClientFiles>, content: &Content, tls: bool) -> Result<HttpClient, Unready> {
        let Content([ca, certificate, key]) = content;
        let named = |name: Option<&String>| name.cloned().unwrap_or_default();
        let tls = if tls {
            let roots = tls::roots(ca.as_deref()).map_err(|what| unready("ca", &named(self.ca.as_ref()), what))?;
            let config = tls::config(roots, certificate.as_deref().zip(key.as_deref()));
            Some(config.map_err(|wrong| match wrong {
                Wrong::Certificate(what) => {
                    unready("http: clientCertificate", &named(files.map(|files| &files.certificate)), what)
                }
                Wrong::Key(what) => unready("http: clientKey", &named(files.map(|files| &files.key)), what),
            })?)
        } else {
            None
        };
        let connector = Connector { net: self.net.clone(), tls };
        Ok(Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .http1_max_buf_size(HEADERS)
            .http1_max_headers(HEADER_COUNT)
            .set_host(false)
            .build(connector))
    }
}

fn unready(field: &'static str, file: &str, what: String) -> Unready {
    Unready { field, file: file.to_owned(), error: CredentialError::Unusable { what } }
}

/// Opens connections for a client.
#[derive(Clone, Debug)]
pub(in super::super) struct Connector {
    net: Arc<Net>,
    tls: Option<Arc<ClientConfig>>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = Unconnected;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, Unconnected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Unconnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self { net, tls } = self.clone();
        Box::pin(async move {
            let opened = tokio::time::timeout(CONNECTING, open(&net, tls, &uri)).await;
            opened.unwrap_or_else(|_| Err(Unconnected::Io(std::io::ErrorKind::TimedOut.into()))).map(TokioIo::new)
        })
    }
}

async fn open(net: &Net, tls: Option<Arc<ClientConfig>>, uri: &Uri) -> Result<Stream, Unconnected> {
    let host = uri.host().unwrap_or_default();
    let https = uri.scheme() == Some(&::http::uri::Scheme::HTTPS);
    let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
    let stream = match Host::read(host) {
        // An entry is this very address, or it is the pod's and has passed the filter.
        Ok(Host::Address(address)) => dial(&[address], port).await.map_err(Unconnected::Io)?,
        _ => connect(net, host, port).await?,
    };
    if !https {
        return Ok(Stream::new(stream));
    }
    let Some(config) = tls else { return Err(Unconnected::Io(std::io::ErrorKind::Unsupported.into())) };
    tls::handshake(config, host, stream).await.map(Stream::new).map_err(Unconnected::Io)
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content")
    }
}
