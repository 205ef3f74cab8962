//! Reads `spec.allow`.

use std::net::IpAddr;

use super::{
    Allow, Host, HttpEntry, Scheme, Selector, TcpEntry,
    allow::{ClientFiles, ObjectEntry, literal, mapped},
    fields::{Complaints, Object},
    is_subdomain,
    node::{Node, Value},
};

const HTTP: &str = "an entry such as https://api.example.com, or an object with url";
const TCP: &str = "an entry such as db.example.com:5432, or an object with address";
const DNS: &str = "a name such as db.example.com, or *.example.com";
const OBJECTS: &str = "an object with apiVersion and kind";
const FILE: &str = "the name of a file in the directory of --credentials, such as api-token";

/// Nothing where something in it is wrong, which has been told then.
pub(super) fn read_allow(spec: &Object, to: &mut Complaints) -> Option<Allow> {
    let Some(node) = spec.get("allow") else { return Some(Allow::default()) };
    let allow = spec.within("allow", node, "spec.allow.", to)?;
    let before = to.errors.len();
    allow.only(&["http", "tcp", "dns", "objects", "ca"], to);
    let read = Allow {
        http: read_list(&allow, "http", to, read_http),
        tcp: read_list(&allow, "tcp", to, read_tcp),
        dns: read_list(&allow, "dns", to, read_dns),
        objects: read_list(&allow, "objects", to, read_object),
        ca: read_file(&allow, "ca", to),
    };
    if allow.get("ca").is_some() && !read.http.iter().any(|entry| entry.scheme == Scheme::Https) {
        to.warning(allow.line_of("ca"), &allow.path_of("ca"), "no entry of http is https; add one or remove it");
    }
    (to.errors.len() == before).then_some(read)
}

type Read<T> = fn(&Object, &Node, &mut Complaints) -> Option<T>;

fn read_list<T>(allow: &Object, name: &str, to: &mut Complaints, read: Read<T>) -> Vec<T> {
    let Some(node) = allow.get(name) else { return Vec::new() };
    let Value::List(list) = &node.value else {
        allow.mismatch(name, node, "a list", to);
        return Vec::new();
    };
    list.iter().filter_map(|item| read(allow, item, to)).collect()
}

fn read_http(allow: &Object, node: &Node, to: &mut Complaints) -> Option<HttpEntry> {
    let entry = match &node.value {
        Value::Text(_) => None,
        Value::Object(_) => Some(allow.within("http", node, "spec.allow.http.", to)?),
        _ => {
            allow.mismatch("http", node, HTTP, to);
            return None;
        }
    };
    if let Some(entry) = &entry {
        entry.only(&["url", "hostNetwork", "bearerToken", "clientCertificate", "clientKey"], to);
    }
    let text = match &entry {
        Some(entry) => entry.text("url", "scheme://host or scheme://host:port", |_| true, to)?,
        None => node.text()?,
    };
    let (scheme, host, port) = read_url(text)
        .map_err(|what| to.error(node.line, &allow.path_of("http"), &format!("{text:?}: {what}")))
        .ok()?;
    let (mut bearer_token, mut client, mut host_network) = (None, None, false);
    if let Some(entry) = &entry {
        bearer_token = read_file(entry, "bearerToken", to);
        let (certificate, key) = (read_file(entry, "clientCertificate", to), read_file(entry, "clientKey", to));
        for (one, other) in [("clientCertificate", "clientKey"), ("clientKey", "clientCertificate")] {
            if entry.get(one).is_some() && entry.get(other).is_none() {
                to.error(entry.line_of(one), &entry.path_of(one), &format!("needs {other} beside it"));
            }
        }
        client = certificate.zip(key).map(|(certificate, key)| ClientFiles { certificate, key });
        host_network = read_host_network(entry, &host, to)?;
    }
    let secret = bearer_token.is_some() || client.is_some();
    if secret && scheme != Scheme::Https {
        let what = format!("{text:?} would send credentials in the clear; use https, or leave them out");
        to.error(node.line, &allow.path_of("http"), &what);
        return None;
    }
    if secret && matches!(host, Host::Below(_)) {
        let what = format!("{text:?} would send credentials to every name below; name one host");
        to.error(node.line, &allow.path_of("http"), &what);
        return None;
    }
    Some(HttpEntry { scheme, host, port, host_network, bearer_token, client })
}

fn read_tcp(allow: &Object, node: &Node, to: &mut Complaints) -> Option<TcpEntry> {
    let entry = match &node.value {
        Value::Text(_) => None,
        Value::Object(_) => Some(allow.within("tcp", node, "spec.allow.tcp.", to)?),
        _ => {
            allow.mismatch("tcp", node, TCP, to);
            return None;
        }
    };
    if let Some(entry) = &entry {
        entry.only(&["address", "hostNetwork"], to);
    }
    let text = match &entry {
        Some(entry) => entry.text("address", "host:port", |_| true, to)?,
        None => node.text()?,
    };
    let (host, port) = read_authority(text)
        .and_then(|(host, port)| port.map(|port| (host, port)).ok_or_else(|| "has no port; write host:port".to_owned()))
        .map_err(|what| to.error(node.line, &allow.path_of("tcp"), &format!("{text:?}: {what}")))
        .ok()?;
    let host_network = match &entry {
        Some(entry) => read_host_network(entry, &host, to)?,
        None => false,
    };
    Some(TcpEntry { host, port, host_network })
}

fn read_host_network(entry: &Object, host: &Host, to: &mut Complaints) -> Option<bool> {
    let flag = entry.flag("hostNetwork", false, to)?;
    if flag && *host != Host::Pod {
        let path = entry.path_of("hostNetwork");
        to.error(entry.line_of("hostNetwork"), &path, "only the host pod can be on its node's network; remove it");
    }
    Some(flag)
}

fn read_dns(allow: &Object, node: &Node, to: &mut Complaints) -> Option<Host> {
    let Value::Text(text) = &node.value else {
        allow.mismatch("dns", node, DNS, to);
        return None;
    };
    let read = read_host(text).and_then(|host| match host {
        Host::Pod => Err("pod is an address already, and needs no look-up".to_owned()),
        Host::Address(_) => Err("an address is no name".to_owned()),
        host => Ok(host),
    });
    read.map_err(|what| to.error(node.line, &allow.path_of("dns"), &format!("{text:?}: {what}"))).ok()
}

fn read_object(allow: &Object, node: &Node, to: &mut Complaints) -> Option<ObjectEntry> {
    if !matches!(node.value, Value::Object(_)) {
        allow.mismatch("objects", node, OBJECTS, to);
        return None;
    }
    let entry = allow.within("objects", node, "spec.allow.objects.", to)?;
    entry.only(&["apiVersion", "kind", "namespaces", "names", "labels", "fields"], to);
    let version = |text: &str| {
        let (group, version) = text.rsplit_once('/').map_or((None, text), |(group, version)| (Some(group), version));
        group.is_none_or(is_subdomain) && super::is_label(version)
    };
    let api_version = entry.text("apiVersion", "a group and a version such as apps/v1, or v1", version, to);
    let is_kind = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_uppercase()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let kind = entry.text("kind", "a kind such as Deployment", is_kind, to);
    let namespaces = read_names(&entry, "namespaces", "the name of a namespace", super::is_label, to);
    let names = read_names(&entry, "names", "the name of an object", is_object_name, to);
    let labels = read_labels(&entry, to);
    let fields = read_fields(&entry, to);
    let (api_version, kind) = (api_version?.to_owned(), kind?.to_owned());
    let path = allow.path_of("objects");
    if kind == "Secret" {
        to.error(node.line, &path, "a Secret is never shown to a plugin; put what it needs into a ConfigMap");
        return None;
    }
    if api_version == "v1" && kind == "ConfigMap" && names.is_empty() {
        to.error(node.line, &path, "a ConfigMap is shown only where it is named; list those that are meant in names");
        return None;
    }
    Some(ObjectEntry { api_version, kind, namespaces, names, labels, fields })
}

/// A name of any kind of object: one component of a path.
fn is_object_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && !matches!(name, "." | "..")
        && name.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'/' | b'%' | b'?' | b'#'))
}

fn read_names(entry: &Object, name: &str, expected: &str, valid: fn(&str) -> bool, to: &mut Complaints) -> Vec<String> {
    let Some(node) = entry.get(name) else { return Vec::new() };
    let Value::List(list) = &node.value else {
        entry.mismatch(name, node, "a list", to);
        return Vec::new();
    };
    if list.is_empty() {
        to.error(node.line, &entry.path_of(name), "an empty list; leave it out, or name something");
    }
    let one = |item: &Node| match item.text().filter(|text| valid(text)) {
        Some(text) => Ok(text.to_owned()),
        None => Err(item.found()),
    };
    let mut names = Vec::new();
    for item in list {
        match one(item) {
            Ok(text) => names.push(text),
            Err(found) => to.error(item.line, &entry.path_of(name), &format!("{found}; expected {expected}")),
        }
    }
    names
}

fn read_labels(entry: &Object, to: &mut Complaints) -> Option<Selector> {
    let node = entry.get("labels")?;
    let Some(text) = node.text() else {
        entry.mismatch("labels", node, "a label selector as text, such as \"app=db\"", to);
        return None;
    };
    let read = text.parse::<Selector>();
    read.map_err(|error| {
        to.error(node.line, &entry.path_of("labels"), &format!("{} is no label selector: {error}", node.found()));
    })
    .ok()
}

fn read_fields(entry: &Object, to: &mut Complaints) -> Vec<String> {
    let pointer = |text: &str| text.len() > 1 && text.starts_with('/') && text.len() <= 256;
    let fields = read_names(entry, "fields", "a JSON pointer such as /spec/replicas", pointer, to);
    // What is removed always cannot be asked for.
    if let Some(field) = fields.iter().find(|field| field.starts_with("/metadata/managedFields")) {
        to.error(entry.line_of("fields"), &entry.path_of("fields"), &format!("{field} is never shown; remove it"));
    }
    fields
}

fn read_file(object: &Object, name: &str, to: &mut Complaints) -> Option<String> {
    let valid = |text: &str| {
        (1..=253).contains(&text.len())
            && !text.starts_with('.')
            && !text.contains(['/', '\\'])
            && !text.contains(char::is_control)
    };
    object.get(name)?;
    object.text(name, FILE, valid, to).map(str::to_owned)
}

/// The scheme, the host and the port of an entry.
fn read_url(text: &str) -> Result<(Scheme, Host, u16), String> {
    let (scheme, rest) = text.split_once("://").ok_or("has no scheme; write http://host or https://host:port")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => return Err(format!("the scheme is {other:?}; only http and https can be allowed")),
    };
    let (host, port) = read_authority(rest)?;
    Ok((scheme, host, port.unwrap_or(scheme.port())))
}

/// A host and a port, if one is given.
fn read_authority(text: &str) -> Result<(Host, Option<u16>), String> {
    if let Some(at) = text.find(['/', '?', '#']) {
        let (host, rest) = text.split_at(at);
        if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
            && rest[1..].split(':').next().is_some_and(|bits| bits.parse::<u8>().is_ok())
        {
            return Err("is a network; name one host or address, or a whole domain as in *.example.com".to_owned());
        }
        return Err(format!("has a path after the host; an entry allows a whole host, remove {rest:?}"));
    }
    if text.contains('@') {
        return Err("has a user name; name credentials with bearerToken or clientCertificate".to_owned());
    }
    if !text.starts_with('[') && text.matches(':').count() > 1 {
        return Err("is more than host:port; an IPv6 address stands in brackets, as in [fd00::1]:443".to_owned());
    }
    let (host, port) = match text.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((host, port)) if !port.ends_with(']') => {
            let digits = port.bytes().all(|b| b.is_ascii_digit());
            let port = port.parse().ok().filter(|port| digits && *port > 0);
            (host, Some(port.ok_or_else(|| "the port is no number from 1 to 65535".to_owned())?))
        }
        _ => (text, None),
    };
    Ok((read_host(host)?, port))
}

fn read_host(text: &str) -> Result<Host, String> {
    let (name, below) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
    if name.contains('*') {
        return Err("a star stands for whole names below one, as in *.example.com, and nowhere else".to_owned());
    }
    let host = Host::read(name)?;
    if matches!(&host, Host::Name(name) if name == "localhost" || name.ends_with(".localhost")) {
        return Err(
            "it is a loopback address, which only an entry with the address itself allows: 127.0.0.1".to_owned()
        );
    }
    match host {
        Host::Name(name) if below => Ok(Host::Below(name)),
        _ if below => Err("a star needs a name below it, as in *.example.com".to_owned()),
        Host::Address(address) => {
            let literal = literal(mapped(address).unwrap_or(address));
            if literal == text { Ok(host) } else { Err(format!("is an address in disguise; write {literal}")) }
        }
        host => Ok(host),
    }
}
