//! What a config says of a request, judged before anything is asked.

use std::num::NonZeroU16;

use serde::{Deserialize, de};

use crate::ConfigError;

/// Of a URL, in the words of a Kubernetes probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Scheme {
    /// Without TLS.
    #[default]
    #[serde(rename = "HTTP", alias = "http")]
    Http,
    /// With TLS.
    #[serde(rename = "HTTPS", alias = "https")]
    Https,
}

/// Where a config leads: to a `url`, or to a `port` of the pod itself, with a `path` and a `scheme`. Each field of a config
/// has the name that it has here.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Absolute; its host `pod` is the pod that is asked about.
    pub url: Option<&'a str>,
    /// A port of the pod.
    pub port: Option<NonZeroU16>,
    /// With its query, if it has one.
    pub path: Option<&'a str>,
    /// `HTTP` unless given.
    pub scheme: Option<Scheme>,
}

impl Place<'_> {
    /// The absolute URL. Where a port is given and no path, the path is `path`.
    ///
    /// # Errors
    /// Which field is wrong, with the mend.
    pub fn url(&self, path: &str) -> Result<String, ConfigError> {
        let short =
            [("/port", self.port.is_some()), ("/path", self.path.is_some()), ("/scheme", self.scheme.is_some())];
        let given = short.into_iter().find(|(_, given)| *given).map(|(at, _)| at);
        match (self.url, self.port, given) {
            (Some(_), _, Some(at)) => Err(ConfigError::new(at, "belongs to url already; give either url or port")),
            (Some(url), ..) => match host_of(url) {
                Ok(_) => Ok(url.to_owned()),
                Err(wrong) => Err(ConfigError::new("/url", wrong)),
            },
            (None, None, None) => Err(ConfigError::new("", "asks nobody; give port for the pod itself, or url")),
            (None, None, Some(at)) => Err(ConfigError::new(at, "needs port beside it")),
            (None, Some(port), _) => {
                let path = self.path.unwrap_or(path);
                let scheme = if self.scheme == Some(Scheme::Https) { "https" } else { "http" };
                let url = format!("{scheme}://pod:{port}{path}");
                let right = if path.starts_with('/') { host_of(&url) } else { Err("does not begin with /".to_owned()) };
                right.map(drop).map_err(|wrong| ConfigError::new("/path", wrong))?;
                Ok(url)
            }
        }
    }
}

/// The host of an absolute URL, for a config to be judged by before anything is asked.
///
/// # Errors
/// What is wrong with the URL, with the mend.
pub fn host_of(url: &str) -> Result<&str, String> {
    let (scheme, rest) = url.split_once("://").ok_or("is no absolute URL; write http://host/path")?;
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")) {
        return Err(format!("the scheme is {scheme:?}; only http and https can be asked"));
    }
    if let Some(wrong) = url.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '\\' | '#')) {
        return Err(format!("{wrong:?} cannot stand in a URL; remove it, or write it in percent-encoding"));
    }
    if url.len() > 8 << 10 {
        return Err("has more than 8 KiB; shorten it".to_owned());
    }
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    if authority.contains('@') {
        return Err("has a user name; name credentials in the entry of spec.allow.http".to_owned());
    }
    let (host, port) = match authority.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err("the port is no number from 1 to 65535".to_owned());
    }
    if host.is_empty() { Err("has no host; write http://host/path".to_owned()) } else { Ok(host) }
}

/// A header of a request, as a Kubernetes probe writes it. One that the host would refuse is an error at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            name: String,
            value: String,
        }
        let Written { name, value } = Written::deserialize(deserializer)?;
        judge_header(&name, &value).map_err(de::Error::custom)?;
        Ok(Self { name, value })
    }
}

/// Whether a header can have this name.
pub fn is_header_name(name: &str) -> bool {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    !name.is_empty() && name.chars().all(is_token)
}

/// Why the host would refuse a header.
fn judge_header(name: &str, value: &str) -> Result<(), String> {
    const OF_THE_HOST: [&str; 8] =
        ["connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
    if !is_header_name(name) {
        return Err(format!("{name:?} is no name of a header; use letters, digits and '-'"));
    }
    let lower = name.to_ascii_lowercase();
    if OF_THE_HOST.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err(format!("{name} is for the host to set; remove it"));
    }
    if value.chars().any(|c| !matches!(c, ' '..='~')) {
        return Err(format!("the value of {name} has characters that are no printable ASCII; remove them"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(port: Option<u16>, path: Option<&'static str>) -> Place<'static> {
        Place { url: None, port: port.and_then(NonZeroU16::new), path, scheme: None }
    }

    #[test]
    fn a_port_means_the_pod() {
        assert_eq!(pod(Some(8080), Some("/warm")).url("/"), Ok("http://pod:8080/warm".into()));
        let tls = Place { scheme: Some(Scheme::Https), ..pod(Some(8443), None) };
        assert_eq!(tls.url("/metrics"), Ok("https://pod:8443/metrics".into()));
    }

    #[test]
    fn a_place_that_is_none_is_told_with_its_field() {
        let both = Place { url: Some("http://a/"), ..pod(Some(80), None) };
        let wrong_url = Place { url: Some("a/"), ..pod(None, None) };
        for (place, at) in [
            (pod(None, None), ""),
            (pod(None, Some("/x")), "/path"),
            (pod(Some(80), Some("x")), "/path"),
            (pod(Some(80), Some("/a b")), "/path"),
            (both, "/port"),
            (wrong_url, "/url"),
        ] {
            assert_eq!(place.url("/").map_err(|error| error.path), Err(at.to_owned()), "{place:?}");
        }
    }

    #[test]
    fn a_header_that_the_host_would_refuse_is_refused_before() {
        assert_eq!(judge_header("X-Scope-OrgID", "a b"), Ok(()));
        for (name, value) in
            [("", "a"), ("a b", ""), ("a:", ""), ("Content-Length", "1"), ("a", "b\r\nc: d"), ("a", "ä")]
        {
            assert!(judge_header(name, value).is_err(), "{name:?}: {value:?}");
        }
    }

    #[test]
    fn a_url_has_a_host() {
        for (url, host) in [
            ("http://pod:8080/warm?x=1", "pod"),
            ("HTTPS://db.example.com", "db.example.com"),
            ("https://[fd00::1]:8443/", "[fd00::1]"),
            ("http://[fd00::1]", "[fd00::1]"),
            ("http://h?q=a@b:c", "h"),
        ] {
            assert_eq!(host_of(url), Ok(host));
        }
    }

    #[test]
    fn what_is_no_url_is_told() {
        for wrong in [
            "",
            "/warm",
            "pod:8080/warm",
            "ftp://a/",
            "http://",
            "http:///x",
            "http://:80/",
            "http://u@h/",
            "http://h:0/",
            "http://h:x/",
            "http://h:/",
            "http://h/a b",
            "http://h\\x/",
            "http://h/#a",
            "http://h/\n",
        ] {
            assert!(host_of(wrong).is_err(), "{wrong:?}");
        }
    }
}
