//! What a check's plugin may reach: nothing that is not listed.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use super::Selector;

/// `spec.allow`; empty by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// `http`: where requests may go.
    pub http: Vec<HttpEntry>,
    /// `tcp`: where connections may go.
    pub tcp: Vec<TcpEntry>,
    /// `dns`: names that may be looked up; never [`Host::Pod`] or [`Host::Address`].
    pub dns: Vec<Host>,
    /// `objects`: objects of the cluster that may be read.
    pub objects: Vec<ObjectEntry>,
    /// `ca`: a file in the directory of `--credentials` with certificate authorities that are trusted besides the web's.
    pub ca: Option<String>,
}

/// A host as an entry names it, or as a plugin asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// `pod`: the IP of the pod that is asked about.
    Pod,
    /// A name, in lower case, without a dot at its end.
    Name(String),
    /// `*.` and a name: every name below it. Only entries have it.
    Below(String),
    /// An address.
    Address(IpAddr),
}

/// Of a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Port 80 unless another one is given.
    Http,
    /// Port 443 unless another one is given.
    Https,
}

/// One entry of `spec.allow.http`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpEntry {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Whom.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// `hostNetwork`: whether a pod on its node's network is meant as well, where `pod` is the node.
    pub host_network: bool,
    /// `bearerToken`: a file in the directory of `--credentials`, sent as a bearer token; https only.
    pub bearer_token: Option<String>,
    /// `clientCertificate`, `clientKey`: files in that directory, in PEM; https only.
    pub client: Option<ClientFiles>,
}

/// The files of a client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientFiles {
    /// The certificate and those that it rests on.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// One entry of `spec.allow.tcp`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpEntry {
    /// Whom.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// As [`HttpEntry::host_network`].
    pub host_network: bool,
}

/// One entry of `spec.allow.objects`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`; never a Secret.
    pub kind: String,
    /// The namespaces; empty for all, and for objects that have none.
    pub namespaces: Vec<String>,
    /// The names; empty for all.
    pub names: Vec<String>,
    /// The labels that an object has to have.
    pub labels: Option<Selector>,
    /// JSON pointers to the fields that a plugin sees; empty for the usual ones.
    pub fields: Vec<String>,
}

impl Scheme {
    /// The port that is meant where none is given.
    pub fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl Host {
    /// Reads a host as a URL has it, without its port: a name or an address in any form, or `pod`.
    ///
    /// # Errors
    /// What is wrong, to be put after the host.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("pod") {
            return Ok(Self::Pod);
        }
        let host = url::Host::parse(text).map_err(|error| format!("is no host: {error}"))?;
        match host {
            url::Host::Ipv4(address) => Ok(Self::Address(address.into())),
            url::Host::Ipv6(address) => Ok(Self::Address(address.into())),
            url::Host::Domain(name) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                if is_name(name) { Ok(Self::Name(name.to_owned())) } else { Err("is no name of a host".to_owned()) }
            }
        }
    }

    /// As an entry has to name it: an address in disguise by its own face.
    pub fn written(&self) -> Self {
        match self {
            Self::Address(address) => Self::Address(address.to_canonical()),
            host => host.clone(),
        }
    }

    /// Whether this one, of an entry, means that one, of a request.
    pub fn means(&self, asked: &Self) -> bool {
        match (self, asked) {
            (Self::Below(domain), Self::Name(name)) => {
                name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            _ => self == asked,
        }
    }
}

impl HttpEntry {
    /// Whether it means a request to there.
    pub fn means(&self, scheme: Scheme, host: &Host, port: u16) -> bool {
        self.scheme == scheme && self.port == port && self.host.means(host)
    }
}

impl TcpEntry {
    /// Whether it means a connection to there.
    pub fn means(&self, host: &Host, port: u16) -> bool {
        self.port == port && self.host.means(host)
    }
}

/// Whether a name is one that resolvers know: labels of letters, digits, `-` and `_`, at most 253 characters.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod => f.write_str("pod"),
            Self::Name(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// The entry that would allow this, as it is written.
pub fn http_entry(scheme: Scheme, host: &Host, port: u16) -> String {
    if port == scheme.port() { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") }
}

/// An address as an entry has to write it: IPv6 in brackets.
pub(super) fn literal(address: IpAddr) -> String {
    Host::Address(address).to_string()
}

/// Whether an IPv6 address is an IPv4 one in disguise that an entry should name instead.
pub(super) fn mapped(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(address) = address else { return None };
    Ipv6Addr::to_ipv4_mapped(&address).map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::read(text).unwrap()
    }

    #[test]
    fn every_form_of_an_address_is_that_address() {
        for text in ["127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "127.0.1", "0x7f.1", "127.0.0.1."]
        {
            assert_eq!(host(text), Host::Address([127, 0, 0, 1].into()), "{text}");
        }
        assert_eq!(host("[::FFFF:7f00:1]").to_string(), "[::ffff:127.0.0.1]");
    }

    #[test]
    fn names_are_compared_in_lower_case_without_the_dot_at_the_end_and_in_punycode() {
        assert_eq!(host("Api.Example.COM."), Host::Name("api.example.com".into()));
        assert_eq!(host("bücher.example"), Host::Name("xn--bcher-kva.example".into()));
        assert_eq!(host("ｅxample.com"), Host::Name("example.com".into()));
        assert_eq!((host("pod"), host("POD")), (Host::Pod, Host::Pod));
        for wrong in ["", "a..b", "a b", "a/b", "*.example.com", "user@host", "%", "[::1", "1.2.3.4.5", "0x7f.0.0.256"]
        {
            assert!(Host::read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_star_means_names_below_and_not_the_name_itself() {
        let below = Host::Below("example.com".into());
        assert!(below.means(&host("a.example.com")) && below.means(&host("a.b.example.com")));
        assert!(!below.means(&host("example.com")) && !below.means(&host("badexample.com")));
        assert!(!below.means(&Host::Pod) && !below.means(&host("10.0.0.1")));
    }
}
