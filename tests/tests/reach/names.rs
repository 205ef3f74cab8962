//! Names: looked up as a program in the host's pod would, filtered, and looked up once for each connection.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use gatehost_tests::{
    nameserver::{Answer, Nameserver},
    netns::{self, Machine},
};
use serde_json::json;

use crate::{Asker, ENOUGH, server::Server, starts, tls::Authority};

const RESOLVER: &str = "127.0.0.53:53";
const CONF: &str =
    "nameserver 127.0.0.53\nsearch shop.svc.cluster.local svc.cluster.local\noptions ndots:5 attempts:1\n";

fn machine(addresses: &'static [std::net::IpAddr]) -> Machine<'static> {
    Machine { addresses, resolv_conf: CONF, hosts: "127.0.0.1 localhost\n10.77.0.1 written.example.com\n" }
}

const ADDRESSES: &[std::net::IpAddr] = &[
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 77, 0, 1)),
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
];

async fn nameserver() -> Nameserver {
    Nameserver::start(RESOLVER.parse::<SocketAddr>().unwrap()).await
}

#[test]
fn names_are_found_by_the_search_domains_the_hosts_file_and_the_resolver() {
    netns::run(&machine(ADDRESSES), async |_| {
        let names = nameserver().await;
        names.set_addresses("db.shop.svc.cluster.local", &["10.77.0.1"]);
        names.set_addresses("web.example.com", &["192.0.2.9", "10.0.0.3", "2001:db8::5", "10.0.0.2"]);
        names.set_addresses("mixed.example.com", &["127.0.0.1", "10.0.0.3", "::1", "169.254.169.254"]);
        names.set("broken.example.com", Answer::Failure);
        names.set("empty.example.com", Answer::Addresses(Vec::new()));
        let asker = Asker::new(&json!({ "dns": ["db", "*.example.com", "gone.example.org"] })).await;
        let told = async |name: &str| asker.ask(&json!({ "dns": name })).await;
        assert_eq!(told("db").await, "10.77.0.1");
        assert_eq!(told("db.").await, "Unresolved: db: the resolver knows no address of db.");
        assert_eq!(told("Web.Example.Com").await, "10.0.0.2 10.0.0.3 192.0.2.9 2001:db8::5");
        assert_eq!(told("written.example.com").await, "10.77.0.1");
        assert_eq!(told("mixed.example.com").await, "10.0.0.3");
        assert_eq!(
            told("gone.example.org").await,
            "Unresolved: gone.example.org: the resolver knows no address of gone.example.org"
        );
        starts(&told("empty.example.com").await, "Unresolved: empty.example.com: the resolver knows no address");
        starts(&told("broken.example.com.").await, "Unavailable: broken.example.com: the resolver cannot tell");
        let asked = names.asked();
        assert!(asked.contains(&"gone.example.org.shop.svc.cluster.local".to_owned()), "{asked:?}");
        for (name, told_) in [
            ("10.0.0.1", "InvalidRequest: \"10.0.0.1\" is an address; only names are looked up"),
            ("::1", "InvalidRequest: \"::1\" is an address; only names are looked up"),
            ("2130706433", "InvalidRequest: \"2130706433\" is an address; only names are looked up"),
            ("pod", "InvalidRequest: \"pod\" is an address already, and needs no look-up"),
            ("a b", "InvalidRequest: \"a b\" is no host"),
            ("example.com", "Denied: example.com is not allowed; spec.allow.dns needs \"example.com\""),
        ] {
            starts(&told(name).await, told_);
        }
        assert_eq!(names.asked().len(), asked.len(), "what is refused is not looked up");
    });
}

#[test]
fn a_name_that_turns_into_a_loopback_address_leads_nowhere() {
    netns::run(&machine(ADDRESSES), async |_| {
        let names = nameserver().await;
        let (public, local) = (Server::at("192.0.2.1:80").await, Server::at("127.0.0.1:80").await);
        names.set_addresses("rebind.example.com", &["192.0.2.1"]);
        let allow = json!({
            "http": ["http://rebind.example.com"], "tcp": ["rebind.example.com:80"], "dns": ["rebind.example.com"],
        });
        let asker = Asker::new(&allow).await;
        let told = asker.get("http://rebind.example.com/echo").await;
        assert!(told.contains("host=rebind.example.com"), "{told}");
        names.set_addresses("rebind.example.com", &["127.0.0.1"]);
        // The open connection is the one that was made to the address that was looked at.
        starts(&asker.get("http://rebind.example.com/").await, "200");
        // Answers are kept for 5 s at most, whatever lifetime they have.
        let start = Instant::now();
        let tcp = json!({ "tcp": { "host": "rebind.example.com", "port": 80 } });
        let refused = loop {
            let ended = asker.evaluate(&tcp).await;
            let told = ended.answer.unwrap().message;
            if told != "read 0 []" {
                assert_eq!(ended.refusals.len(), 1);
                break told;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "the old address is kept for too long");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let what = "rebind.example.com is 127.0.0.1, a loopback address, which no name may lead to";
        assert_eq!(refused, format!("Denied: {what}; an entry of spec.allow.tcp has to name the address itself"));
        assert_eq!(asker.ask(&json!({ "dns": "rebind.example.com" })).await, format!("Denied: {what}"));
        let fresh = Asker::new(&allow).await.get("http://rebind.example.com/").await;
        assert_eq!(fresh, format!("Denied: {what}; an entry of spec.allow.http has to name the address itself"));
        assert!(public.connections() >= 2);
        assert_eq!(local.connections(), 0);
    });
}

#[test]
fn the_name_stays_in_tls_and_in_the_header() {
    netns::run(&machine(ADDRESSES), async |_| {
        let names = nameserver().await;
        names.set_addresses("api.example.com", &["10.77.0.1"]);
        names.set_addresses("other.example.com", &["10.77.0.1"]);
        let authority = Authority::new();
        let _server = Server::https("10.77.0.1:443", authority.acceptor("api.example.com")).await;
        let allow = json!({ "http": ["https://*.example.com"], "ca": "ca.pem" });
        let asker = Asker::with(&allow, Some(&authority.credentials())).await;
        for url in ["https://api.example.com/echo", "https://API.example.com./echo"] {
            let told = asker.get(url).await;
            assert!(told.contains("host=api.example.com,"), "{url}: {told}");
        }
        let told = asker.get("https://other.example.com/echo").await;
        assert_eq!(told, "Untrusted: https://other.example.com: its certificate names somebody else");
    });
}

#[test]
fn the_next_address_is_tried_where_one_does_not_answer() {
    netns::run(&machine(ADDRESSES), async |_| {
        let names = nameserver().await;
        names.set_addresses("two.example.com", &["192.0.2.1", "10.77.0.1", "10.99.0.1"]);
        let server = Server::at("192.0.2.1:80").await;
        let asker = Asker::new(&json!({ "http": ["http://two.example.com"] })).await;
        starts(&asker.get("http://two.example.com/").await, "200");
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn resolvers_that_are_silent_or_not_there_are_told_apart() {
    netns::run(&machine(ADDRESSES), async |etc| {
        let names = nameserver().await;
        names.set("silent.example.com", Answer::Silence);
        let asker = Asker::new(&json!({ "dns": ["silent.example.com", "a.example.com"] })).await;
        let asker = asker.timeout(Duration::from_secs(1));
        let start = Instant::now();
        let told = asker.ask(&json!({ "dns": "silent.example.com." })).await;
        assert_eq!(told, "TimedOut: silent.example.com: no complete answer in time");
        assert!(start.elapsed() < Duration::from_secs(1));
        // The file is followed.
        names.set_addresses("a.example.com", &["10.0.0.1"]);
        assert_eq!(asker.ask(&json!({ "dns": "a.example.com." })).await, "10.0.0.1");
        for (content, told) in [
            (
                "",
                "Unavailable: a.example.com: names cannot be looked up: /etc/resolv.conf names no nameserver that can be asked",
            ),
            (CONF, "10.0.0.1"),
        ] {
            fs::write(etc.join("resolv.conf"), content).unwrap();
            let start = Instant::now();
            loop {
                let seen = asker.ask(&json!({ "dns": "a.example.com." })).await;
                if seen == told {
                    break;
                }
                assert!(start.elapsed() < ENOUGH, "{seen}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
}
