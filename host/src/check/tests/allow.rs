//! What `spec.allow` may say, and what is told of each mistake in it.

use std::net::IpAddr;

use super::*;

/// The good document with this as the entries of `allow`, which begin on line 11.
fn with(lines: &str) -> String {
    format!("{GOOD}  allow:\n    {}\n", lines.trim_end().replace('\n', "\n    "))
}

fn allow(lines: &str) -> Allow {
    let mut parsed = parse(&with(lines), false);
    assert_eq!((parsed.broken.as_slice(), parsed.warnings.as_slice()), (&[][..], &[][..]), "{lines}");
    parsed.checks.remove(0).allow
}

/// The one line about something that is wrong.
fn wrong(lines: &str) -> String {
    let errors = errors(&with(lines));
    assert_eq!(errors.len(), 1, "{lines}: {errors:?}");
    errors[0].clone()
}

/// What is told of an entry, given as text.
fn refused(import: &str, entry: &str) -> String {
    let told = wrong(&format!("{import}: ['{entry}']"));
    let start = format!("line 11: spec.allow.{import}: {entry:?}");
    let rest = told.strip_prefix(&start).unwrap_or_else(|| panic!("{told} does not begin with {start}"));
    rest.trim_start_matches([':', ' ']).to_owned()
}

fn http(scheme: Scheme, host: Host, port: u16) -> HttpEntry {
    HttpEntry { scheme, host, port, host_network: false, bearer_token: None, client: None }
}

fn name(text: &str) -> Host {
    Host::Name(text.into())
}

fn address(text: &str) -> Host {
    Host::Address(text.parse::<IpAddr>().unwrap())
}

#[test]
fn nothing_is_allowed_unless_listed() {
    assert_eq!(good().allow, Allow::default());
    assert_eq!(allow("http: []\nobjects: []"), Allow::default());
}

#[test]
fn every_form_of_an_http_entry_is_read() {
    for (entry, expected) in [
        ("http://pod:8080", http(Scheme::Http, Host::Pod, 8080)),
        ("https://api.example.com", http(Scheme::Https, name("api.example.com"), 443)),
        ("HTTP://API.Example.Com.", http(Scheme::Http, name("api.example.com"), 80)),
        ("https://*.example.com:8443", http(Scheme::Https, Host::Below("example.com".into()), 8443)),
        ("http://10.0.0.1", http(Scheme::Http, address("10.0.0.1"), 80)),
        ("http://[fd00::1]:81", http(Scheme::Http, address("fd00::1"), 81)),
        ("http://[fd00::1]", http(Scheme::Http, address("fd00::1"), 80)),
        ("http://127.0.0.1:9090", http(Scheme::Http, address("127.0.0.1"), 9090)),
        ("http://bücher.example", http(Scheme::Http, name("xn--bcher-kva.example"), 80)),
        ("http://prometheus.monitoring.svc:9090", http(Scheme::Http, name("prometheus.monitoring.svc"), 9090)),
    ] {
        assert_eq!(allow(&format!("http: ['{entry}']")).http, [expected], "{entry}");
    }
    let read = allow(
        "http:
- {url: 'https://api.example.com', bearerToken: api-token, clientCertificate: tls.crt, clientKey: tls.key}
- {url: 'http://pod:8080', hostNetwork: true}
ca: ca.crt",
    );
    let client = Some(ClientFiles { certificate: "tls.crt".into(), key: "tls.key".into() });
    let api = http(Scheme::Https, name("api.example.com"), 443);
    assert_eq!(read.http[0], HttpEntry { bearer_token: Some("api-token".into()), client, ..api });
    assert_eq!(read.http[1], HttpEntry { host_network: true, ..http(Scheme::Http, Host::Pod, 8080) });
    assert_eq!(read.ca.as_deref(), Some("ca.crt"));
}

#[test]
fn tcp_and_dns_entries_are_read() {
    let read = allow(
        "tcp: ['db.example.com:5432', {address: 'pod:6379', hostNetwork: true}, '[fd00::1]:1', '*.example.com:5432']
dns: [Db.example.com, '*.svc.cluster.local']",
    );
    let tcp = |host, port, host_network| TcpEntry { host, port, host_network };
    let below = Host::Below("example.com".into());
    let expected = [
        tcp(name("db.example.com"), 5432, false),
        tcp(Host::Pod, 6379, true),
        tcp(address("fd00::1"), 1, false),
        tcp(below, 5432, false),
    ];
    assert_eq!(read.tcp, expected);
    assert_eq!(read.dns, [name("db.example.com"), Host::Below("svc.cluster.local".into())]);
}

#[test]
fn object_entries_are_read() {
    let read = allow(
        "objects:
- {apiVersion: apps/v1, kind: Deployment}
- {apiVersion: v1, kind: ConfigMap, namespaces: [shop], names: [flags], labels: 'a in (b)', fields: [/data/on]}",
    );
    let entry = |version: &str, kind: &str| ObjectEntry {
        api_version: version.into(),
        kind: kind.into(),
        namespaces: vec![],
        names: vec![],
        labels: None,
        fields: vec![],
    };
    assert_eq!(read.objects[0], entry("apps/v1", "Deployment"));
    let own = |text: &str| vec![text.to_owned()];
    let labels = Some("a in (b)".parse().unwrap());
    let named = ObjectEntry { namespaces: own("shop"), names: own("flags"), fields: own("/data/on"), ..entry("", "") };
    let expected = ObjectEntry { api_version: "v1".into(), kind: "ConfigMap".into(), labels, ..named };
    assert_eq!(read.objects[1], expected);
}

#[test]
fn an_entry_that_is_no_whole_host_is_refused() {
    let path = |rest: &str| format!("has a path after the host; an entry allows a whole host, remove {rest:?}");
    let network = "is a network; name one host or address, or a whole domain as in *.example.com";
    let star = "a star stands for whole names below one, as in *.example.com, and nowhere else";
    let port = "the port is no number from 1 to 65535";
    let user = "has a user name; name credentials with bearerToken or clientCertificate";
    for (import, entry, expected) in [
        ("http", "http://pod:8080/warm", path("/warm").as_str()),
        ("http", "http://a.example/", path("/").as_str()),
        ("http", "http://a.example/8", path("/8").as_str()),
        ("http", "http://a.example?x", path("?x").as_str()),
        ("http", "http://a.example#x", path("#x").as_str()),
        ("http", "http://10.0.0.0/8", network),
        ("http", "https://[fd00::]/64", network),
        ("tcp", "10.0.0.0/8", network),
        ("tcp", "10.0.0.0/8:80", network),
        ("http", "http://*", star),
        ("http", "http://a.*.example", star),
        ("http", "http://*a.example", star),
        ("http", "https://*.*.example", star),
        ("tcp", "*:80", star),
        ("dns", "*", star),
        ("http", "http://*.10.0.0.1", "a star needs a name below it, as in *.example.com"),
        ("http", "http://*.pod", "a star needs a name below it, as in *.example.com"),
        ("http", "https://*.com:0", port),
        ("http", "http://a.example:65536", port),
        ("http", "http://a.example:", port),
        ("http", "http://a.example:+80", port),
        ("http", "http://a.example:http", port),
        ("tcp", "a.example:0", port),
        ("tcp", "a.example", "has no port; write host:port"),
        ("tcp", "[fd00::1]", "has no port; write host:port"),
        ("http", "http://user@a.example", user),
        ("tcp", "user@a.example:80", user),
        ("http", "a.example", "has no scheme; write http://host or https://host:port"),
        ("http", "*", "has no scheme; write http://host or https://host:port"),
        ("http", "ftp://a.example", "the scheme is \"ftp\"; only http and https can be allowed"),
        ("http", "unix://a", "the scheme is \"unix\"; only http and https can be allowed"),
        ("dns", "pod", "pod is an address already, and needs no look-up"),
        ("dns", "10.0.0.1", "an address is no name"),
    ] {
        assert_eq!(refused(import, entry), expected, "{import} {entry}");
    }
    for (import, entry) in
        [("http", "http://"), ("http", "http://*."), ("http", "http://a b"), ("dns", ""), ("dns", "a:53")]
    {
        assert!(refused(import, entry).starts_with("is no host: "), "{import} {entry}");
    }
}

#[test]
fn an_address_is_written_as_itself() {
    for (entry, expected) in [
        ("http://2130706433", "127.0.0.1"),
        ("http://0x7f000001", "127.0.0.1"),
        ("http://0177.0.0.1", "127.0.0.1"),
        ("http://127.1:80", "127.0.0.1"),
        ("http://127.0.0.1.", "127.0.0.1"),
        ("http://[::ffff:10.0.0.1]", "10.0.0.1"),
        ("http://[::FFFF:a00:1]:80", "10.0.0.1"),
        ("https://[FD00:0::1]", "[fd00::1]"),
    ] {
        assert_eq!(refused("http", entry), format!("is an address in disguise; write {expected}"), "{entry}");
    }
    let brackets = "is more than host:port; an IPv6 address stands in brackets, as in [fd00::1]:443";
    for (import, entry) in [("http", "http://fd00::1"), ("tcp", "fd00::1:443"), ("tcp", "a:1:2")] {
        assert_eq!(refused(import, entry), brackets, "{entry}");
    }
}

#[test]
fn localhost_is_no_name() {
    let loopback = "it is a loopback address, which only an entry with the address itself allows: 127.0.0.1";
    for entry in
        ["http://localhost:80", "http://LocalHost", "http://localhost.", "http://a.localhost", "http://*.localhost"]
    {
        assert_eq!(refused("http", entry), loopback, "{entry}");
    }
    assert_eq!(refused("dns", "localhost"), loopback);
}

#[test]
fn credentials_go_to_one_https_host() {
    let told = |entry: &str| wrong(&format!("http: [{{{entry}}}]"));
    assert_eq!(
        told("url: 'http://a.example', bearerToken: t"),
        "line 11: spec.allow.http: \"http://a.example\" would send credentials in the clear; use https, or leave them out"
    );
    assert_eq!(
        told("url: 'https://*.example', bearerToken: t"),
        "line 11: spec.allow.http: \"https://*.example\" would send credentials to every name below; name one host"
    );
    assert_eq!(
        told("url: 'https://a.example', clientKey: k"),
        "line 11: spec.allow.http.clientKey: needs clientCertificate beside it"
    );
    assert_eq!(
        told("url: 'https://a.example', clientCertificate: c"),
        "line 11: spec.allow.http.clientCertificate: needs clientKey beside it"
    );
    let file = "expected the name of a file in the directory of --credentials, such as api-token";
    for name in ["../token", "/var/run/token", "a/b", ".hidden", "..data", ""] {
        let expected = format!("line 11: spec.allow.http.bearerToken: the text {name:?}; {file}");
        assert_eq!(told(&format!("url: 'https://a.example', bearerToken: '{name}'")), expected);
    }
    assert_eq!(wrong("ca: a/b"), format!("line 11: spec.allow.ca: the text \"a/b\"; {file}"));
}

#[test]
fn a_ca_that_nothing_needs_is_told_and_harms_nobody() {
    let parsed = parse(&with("http: ['http://a.example']\nca: ca.crt"), false);
    assert_eq!(parsed.broken, []);
    assert_eq!(parsed.warnings, ["line 12: spec.allow.ca: no entry of http is https; add one or remove it"]);
}

#[test]
fn only_a_pod_is_on_its_nodes_network() {
    let only = "only the host pod can be on its node's network; remove it";
    let name = "http: [{url: 'http://a.example', hostNetwork: true}]";
    assert_eq!(wrong(name), format!("line 11: spec.allow.http.hostNetwork: {only}"));
    let address = "tcp: [{address: '10.0.0.1:80', hostNetwork: true}]";
    assert_eq!(wrong(address), format!("line 11: spec.allow.tcp.hostNetwork: {only}"));
    assert!(!allow("http: [{url: 'http://a.example', hostNetwork: false}]").http[0].host_network);
}

#[test]
fn unknown_fields_are_told_with_the_nearest_known_one() {
    for (lines, expected) in [
        ("htpp: []", "spec.allow.htpp: unknown field; did you mean http?"),
        ("udp: []", "spec.allow.udp: unknown field; did you mean tcp?"),
        (
            "http: [{url: 'https://a.example', bearerTokn: t}]",
            "spec.allow.http.bearerTokn: unknown field; did you mean bearerToken?",
        ),
        (
            "tcp: [{adress: 'a.example:1', address: 'a.example:1'}]",
            "spec.allow.tcp.adress: unknown field; did you mean address?",
        ),
        (
            "objects: [{apiVersion: v1, kind: Pod, namespace: a}]",
            "spec.allow.objects.namespace: unknown field; did you mean namespaces?",
        ),
    ] {
        assert_eq!(wrong(lines), format!("line 11: {expected}"), "{lines}");
    }
}

#[test]
fn what_is_of_the_wrong_kind_is_told_what_is_expected() {
    for (lines, expected) in [
        ("http: https://a.example", "http: the text \"https://a.example\"; expected a list"),
        ("http: [80]", "http: the number 80; expected an entry such as https://api.example.com, or an object with url"),
        ("tcp: [[]]", "tcp: a list; expected an entry such as db.example.com:5432, or an object with address"),
        ("dns: [{}]", "dns: an object; expected a name such as db.example.com, or *.example.com"),
        ("objects: [Deployment]", "objects: the text \"Deployment\"; expected an object with apiVersion and kind"),
        ("http: [{}]", "http.url: missing; expected scheme://host or scheme://host:port"),
        ("tcp: [{hostNetwork: true}]", "tcp.address: missing; expected host:port"),
    ] {
        assert_eq!(wrong(lines), format!("line 11: spec.allow.{expected}"), "{lines}");
    }
}

#[test]
fn objects_that_nobody_may_read_are_refused() {
    let told = |fields: &str| wrong(&format!("objects: [{{{fields}}}]"));
    let at = |rest: &str| format!("line 11: spec.allow.objects{rest}");
    let secret = ": a Secret is never shown to a plugin; put what it needs into a ConfigMap";
    assert_eq!(told("apiVersion: v1, kind: Secret, names: [a]"), at(secret));
    let map = ": a ConfigMap is shown only where it is named; list those that are meant in names";
    assert_eq!(told("apiVersion: v1, kind: ConfigMap, namespaces: [a]"), at(map));
    let version = ".apiVersion: the text \"apps/v1/x\"; expected a group and a version such as apps/v1, or v1";
    assert_eq!(told("apiVersion: apps/v1/x, kind: A"), at(version));
    for kind in ["pods", "Pod/log", "", "Po d"] {
        let expected = format!(".kind: the text {kind:?}; expected a kind such as Deployment");
        assert_eq!(told(&format!("apiVersion: v1, kind: '{kind}'")), at(&expected));
    }
    let pod = |rest: &str| told(&format!("apiVersion: v1, kind: Pod, {rest}"));
    for list in ["names", "namespaces", "fields"] {
        let empty = format!(".{list}: an empty list; leave it out, or name something");
        assert_eq!(pod(&format!("{list}: []")), at(&empty));
        assert_eq!(pod(&format!("{list}: a")), at(&format!(".{list}: the text \"a\"; expected a list")));
    }
    assert_eq!(pod("names: [a/b]"), at(".names: the text \"a/b\"; expected the name of an object"));
    assert_eq!(pod("names: ['..']"), at(".names: the text \"..\"; expected the name of an object"));
    assert_eq!(pod("namespaces: [A]"), at(".namespaces: the text \"A\"; expected the name of a namespace"));
    assert_eq!(pod("namespaces: [1]"), at(".namespaces: the number 1; expected the name of a namespace"));
    let pointer = "; expected a JSON pointer such as /spec/replicas";
    assert_eq!(pod("fields: [spec]"), at(&format!(".fields: the text \"spec\"{pointer}")));
    let managed = ".fields: /metadata/managedFields/0 is never shown; remove it";
    assert_eq!(pod("fields: [/metadata/managedFields/0]"), at(managed));
    assert!(pod("labels: 'a in'").starts_with(&at(".labels: the text \"a in\" is no label selector: ")));
    let list = ".labels: a list; expected a label selector as text, such as \"app=db\"";
    assert_eq!(pod("labels: [a]"), at(list));
}
