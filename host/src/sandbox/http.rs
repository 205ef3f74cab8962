//! The import `http`.

use std::sync::Arc;

use ::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;

use super::{
    bindings::gatehost::check::{
        http::{Failure, Host, Request, Response},
        reach::FailureKind,
    },
    grant::Granted,
    net::{Checked, Heard, Trouble, Unready, http_trouble},
    reach::{Reach, Whom, failure},
    state::State,
};
use crate::check::{self, HttpEntry};

const IMPORT: &str = "http";

impl Host for State {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Response, Failure>> {
        let time = self.reach.time(request.timeout_ms);
        let prepared = match prepare(&self.reach, request) {
            Ok(prepared) => prepared,
            Err(failure) => return Ok(Err(failure)),
        };
        let (origin, literal) = (prepared.origin.clone(), prepared.literal.clone());
        let answer = self.outside(time, prepared.exchange()).await?;
        Ok(answer.unwrap_or_else(|| Err(Trouble::late())).map_err(|trouble| match trouble.kind {
            Some(kind) => failure(kind, &format!("{origin}: {}", trouble.what)),
            None => self.reach.refuse(IMPORT, &format!("{}; {literal}", trouble.what)),
        }))
    }
}

/// A request that may be sent.
struct Prepared {
    granted: Arc<Granted>,
    entry: HttpEntry,
    request: ::http::Request<Full<Bytes>>,
    most: usize,
    origin: String,
    /// What would allow an address that no name may lead to.
    literal: String,
}

/// Everything that can be told before anything is looked up: malformed, not allowed, not there yet.
fn prepare(reach: &Reach, request: Request) -> Result<Prepared, Failure> {
    let invalid = |what: &str| failure(FailureKind::Invalid, what);
    let checked = Checked::new(request).map_err(|what| invalid(&what))?;
    let origin = checked.origin();
    let whom = Whom { import: IMPORT, host: &checked.host, asked: origin.clone(), entry: checked.entry() };
    let granted = reach.granted();
    let entries = granted.iter().flat_map(|granted| &granted.allow.http);
    let entries = entries.filter(|entry| entry.means(checked.scheme, &checked.host, checked.port));
    let entry = reach.choose(&whom, entries, |entry| (&entry.host, entry.host_network))?.clone();
    let Some(granted) = granted else { return Err(reach.refuse(IMPORT, "nothing is allowed here")) };
    let address = reach.address(&whom)?;
    let (most, host) = (checked.most, checked.host.clone());
    let bearer = granted.clients.bearer(&entry).map_err(|Unready { field, file, error }| {
        failure(FailureKind::Unavailable, &format!("{origin}: spec.allow.{field}: {file} {error}"))
    })?;
    let pod = address.filter(|_| host == check::Host::Pod);
    let mut request = checked.request(pod).map_err(|what| invalid(&what))?;
    if let Some(bearer) = bearer {
        if request.headers().contains_key(header::AUTHORIZATION) {
            return Err(invalid(&format!("{origin}: the header authorization is set by the entry's bearerToken")));
        }
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let literal = "an entry of spec.allow.http has to name the address itself".to_owned();
    Ok(Prepared { granted, entry, request, most, origin, literal })
}

impl Prepared {
    async fn exchange(self) -> Result<Response, Trouble> {
        let Self { granted, entry, mut request, most, .. } = self;
        let Some(client) = granted.clients.of(&entry) else { return Err(Trouble::late()) };
        // What changes nothing may be sent again, where a kept connection was closed by the time that it was used.
        let harmless = request.method().is_safe();
        let response = loop {
            let again = harmless.then(|| request.clone());
            let error = match client.request(request).await {
                Ok(response) => break response,
                Err(error) => error,
            };
            let mut extras = ::http::Extensions::new();
            if let Some(info) = error.connect_info() {
                info.get_extras(&mut extras);
            }
            let heard = extras.get::<Heard>();
            match again {
                Some(again) if heard.is_some_and(Heard::only_before) => request = again,
                _ => return Err(http_trouble(&error, heard.is_some_and(Heard::anything))),
            }
        };
        let (head, body) = response.into_parts();
        let (body, cut) = read(body, most).await?;
        Ok(Response { status: head.status.as_u16(), headers: headers(&head.headers), body, cut })
    }
}

/// As much of a body as is wanted, and whether there is more.
async fn read(mut body: Incoming, most: usize) -> Result<(Vec<u8>, bool), Trouble> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| http_trouble(&error, true))?.into_data() else { continue };
        if data.len() > most - read.len() {
            read.extend_from_slice(&data[..most - read.len()]);
            return Ok((read, true));
        }
        read.extend_from_slice(&data);
    }
    Ok((read, false))
}

fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}
