//! A request as a plugin states it: read strictly, before anything is looked up or sent.

use std::net::IpAddr;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use bytes::Bytes;

use super::super::bindings::gatehost::check::http::Request;
use crate::check::{Host, Scheme, http_entry};

/// The longest URL, in bytes.
const URL: usize = 8 << 10;

/// How many headers a request may have.
const HEADERS: usize = 64;

/// The largest body that is sent or received, in bytes.
const BODY: usize = 1 << 20;

/// How many bytes of a body are wanted where nothing is said of it.
const WANTED: u32 = 64 << 10;

/// What belongs to the connection or to the length of a message, which the host sees to.
const REFUSED: [HeaderName; 8] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// A request without a fault.
#[derive(Debug)]
pub(in super::super) struct Checked {
    pub(in super::super) scheme: Scheme,
    pub(in super::super) host: Host,
    pub(in super::super) port: u16,
    pub(in super::super) headers: HeaderMap,
    /// How many bytes of the answer's body are wanted.
    pub(in super::super) most: usize,
    method: Method,
    /// The host as it is looked up: a name keeps the dot at its end.
    name: String,
    path: String,
    body: Bytes,
}

impl Checked {
    /// # Errors
    /// What is malformed, in one line.
    pub(in super::super) fn new(request: Request) -> Result<Self, String> {
        let Request { method, url, headers, body, most_bytes, .. } = request;
        let method = read_method(&method)?;
        let (scheme, host, name, port, path) = read_url(&url)?;
        let headers = read_headers(headers)?;
        if body.len() > BODY {
            return Err(format!("the body has {} bytes; at most {BODY} are sent", body.len()));
        }
        let most = most_bytes.unwrap_or(WANTED) as usize;
        if most > BODY {
            return Err(format!("most-bytes is {most}; it may be at most {BODY}"));
        }
        Ok(Self { scheme, host, port, headers, most, method, name, path, body: body.into() })
    }

    /// Whom it asks, ...
    pub(in super::super) fn origin(&self) -> String {
        http_entry(self.scheme, &self.host, self.port)
    }

    /// ... and as an entry of `spec.allow.http` names it.
    pub(in super::super) fn entry(&self) -> String {
        http_entry(self.scheme, &self.host.written(), self.port)
    }

    /// The request to be sent; `pod` is the address that this stands for.
    ///
    /// # Errors
    /// What is malformed.
    pub(in super::super) fn request(
        self,
        pod: Option<IpAddr>,
    ) -> Result<::http::Request<http_body_util::Full<Bytes>>, String> {
        let Self { scheme, port, name, path, method, body, mut headers, .. } = self;
        let name = pod.map_or(name, |address| Host::Address(address).to_string());
        let uri: Uri = format!("{scheme}://{name}:{port}{path}").parse().map_err(|e| format!("the URL: {e}"))?;
        if !headers.contains_key(header::HOST) {
            let name = name.trim_end_matches('.');
            let host = if port == scheme.port() { name.to_owned() } else { format!("{name}:{port}") };
            headers.insert(header::HOST, HeaderValue::try_from(host).map_err(|e| format!("the URL: {e}"))?);
        }
        if !headers.contains_key(header::USER_AGENT) {
            headers
                .insert(header::USER_AGENT, HeaderValue::from_static(concat!("gatehost/", env!("CARGO_PKG_VERSION"))));
        }
        let mut request = ::http::Request::new(body.into());
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, headers);
        Ok(request)
    }
}

fn read_method(method: &str) -> Result<Method, String> {
    let read =
        Method::from_bytes(method.as_bytes()).ok().filter(|_| !method.contains(|c: char| c.is_ascii_lowercase()));
    match read {
        None => Err(format!("{method:?} is no method; it is one word in capitals, such as GET")),
        Some(Method::CONNECT | Method::TRACE) => Err(format!("the method {method} is never sent")),
        Some(method) => Ok(method),
    }
}

type Parts = (Scheme, Host, String, u16, String);

/// Stricter than browsers are: what they mend is refused, because two readers may mend it differently.
fn read_url(text: &str) -> Result<Parts, String> {
    let told = |what: &str| format!("the URL {what}");
    let wrong = |what: &str| Err(told(what));
    if text.len() > URL {
        return wrong(&format!("has {} bytes; it may have {URL}", text.len()));
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
        return wrong("holds a space, a backslash or what does not print; encode it with %");
    }
    let Some((scheme, rest)) = text.split_once("://") else { return wrong("does not begin with http:// or https://") };
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return wrong("does not begin with http:// or https://"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return wrong("holds a user name; name credentials in spec.allow.http");
    }
    if authority.is_empty() || authority.starts_with(':') {
        return wrong("has no host");
    }
    let url = url::Url::parse(text).map_err(|error| told(&format!("cannot be read: {error}")))?;
    let name = url.host_str().unwrap_or_default().to_owned();
    let host = Host::read(&name).map_err(|what| told(&format!("names a host that {what}")))?;
    let port = url.port().unwrap_or(scheme.port());
    if port == 0 {
        return wrong("has the port 0");
    }
    let name = match &host {
        Host::Address(_) => host.to_string(),
        _ => name,
    };
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    Ok((scheme, host, name, port, path))
}

fn read_headers(list: Vec<(String, String)>) -> Result<HeaderMap, String> {
    if list.len() > HEADERS {
        return Err(format!("there are {} headers; a request has at most {HEADERS}", list.len()));
    }
    let mut headers = HeaderMap::with_capacity(list.len() + 2);
    for (name, value) in list {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(format!("{name:?} is no name of a header"));
        };
        if REFUSED.contains(&name) || name.as_str().starts_with("proxy-") {
            return Err(format!("the header {name} is the host's to send"));
        }
        let printable = value.bytes().all(|b| matches!(b, b' '..=b'~'));
        let Some(value) = HeaderValue::try_from(value).ok().filter(|_| printable) else {
            return Err(format!("the value of the header {name} is not printable ASCII"));
        };
        if name == header::HOST && headers.contains_key(header::HOST) {
            return Err("the header host is there twice".to_owned());
        }
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(url: &str) -> Request {
        Request {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: None,
            most_bytes: None,
            extra: Vec::new(),
        }
    }

    fn read(url: &str) -> Result<String, String> {
        let request =
            Checked::new(request(url))?.request(Some([10, 0, 0, 7].into()).filter(|_| url.contains("pod")))?;
        let host = request.headers()["host"].to_str().unwrap();
        Ok(format!("{} {host}", request.uri()))
    }

    #[test]
    fn urls_become_what_is_sent() {
        for (url, sent) in [
            ("http://pod:8080/ready", "http://10.0.0.7:8080/ready 10.0.0.7:8080"),
            ("HTTPS://Api.Example.com", "https://api.example.com:443/ api.example.com"),
            (
                "https://api.example.com.:8443/?q=a%20b#top",
                "https://api.example.com.:8443/?q=a%20b api.example.com:8443",
            ),
            ("http://[2001:db8::1]/x", "http://[2001:db8::1]:80/x [2001:db8::1]"),
            ("http://2130706433/", "http://127.0.0.1:80/ 127.0.0.1"),
            ("http://bücher.example/é", "http://xn--bcher-kva.example:80/%C3%A9 xn--bcher-kva.example"),
            ("http://a.example/../..//b/./c", "http://a.example:80//b/c a.example"),
        ] {
            assert_eq!(read(url).unwrap(), sent, "{url}");
        }
    }

    #[test]
    fn what_browsers_would_mend_is_refused() {
        for url in [
            "",
            "pod",
            "/path",
            "//host/",
            "http:/host",
            "http:host",
            "http:///host",
            "http://",
            "http://:80/",
            "ftp://host/",
            "file:///etc/passwd",
            "http://user@host/",
            "http://@host/",
            "http://user:pass@host/",
            "http://host@/",
            "http://ho st/",
            " http://host/",
            "http://host/\n",
            "http://host\t/",
            "http:\\\\host\\",
            "http://host\\@other/",
            "http://host:99999/",
            "http://host:0/",
            "http://host:-1/",
            "http://*.host/",
            "http://[::1/",
            "http://1.2.3.4.5/",
            "http://host%00/",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
        assert!(read(&format!("http://host/{}", "a".repeat(URL))).is_err());
    }

    #[test]
    fn methods_and_headers_that_are_not_a_plugins_are_refused() {
        let told = |method: &str, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Checked::new(Request { method: method.into(), headers, ..request("http://host/") })
        };
        for method in ["CONNECT", "TRACE", "get", "Get", "G T", "", "GET\r\n"] {
            assert!(told(method, &[]).is_err(), "{method}");
        }
        for method in ["GET", "HEAD", "POST", "PURGE"] {
            assert!(told(method, &[("Accept", "*/*"), ("Host", "other")]).is_ok(), "{method}");
        }
        for name in ["Connection", "content-length", "TE", "Transfer-Encoding", "Proxy-Authorization", "a b", "", "é"]
        {
            assert!(told("GET", &[(name, "x")]).is_err(), "{name}");
        }
        for value in ["a\r\nb: c", "\u{7f}", "é", "\t"] {
            assert!(told("GET", &[("x-a", value)]).is_err(), "{value:?}");
        }
        assert!(told("GET", &[("host", "a"), ("Host", "b")]).is_err());
        assert!(
            told("GET", &vec![("a", "b"); HEADERS + 1]).is_err() && told("GET", &vec![("a", "b"); HEADERS]).is_ok()
        );
    }
}
