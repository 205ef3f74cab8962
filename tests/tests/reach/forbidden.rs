//! Every way to write an address that nobody may reach, against each import: none is reached.

use std::{net::IpAddr, sync::atomic::Ordering::SeqCst};

use gatehost_tests::{
    nameserver::Nameserver,
    netns::{self, Machine},
};
use serde_json::{Value, json};

use crate::{Asker, server::Server, starts};

/// Hosts as a URL may have them.
const WRITTEN: &[&str] = &[
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "2130706433.",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "0x7f.0x0.0x0.0x1",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "00000177.1",
    "127.0.0.0x1",
    "0",
    "0.0.0.0",
    "0x0",
    "00",
    "0.1.2.3",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000::0001]",
    "[::ffff:127.0.0.1]",
    "[::FFFF:7F00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[::ffff:0:127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2002:7f00:0001::1]",
    "[2001:0:7f00:1::]",
    "[2001:db8::5efe:127.0.0.1]",
    "169.254.169.254",
    "169.254.169.254.",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.16689662",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::169.254.169.254]",
    "[2002:a9fe:a9fe::]",
    "[fd00:ec2::254]",
    "[fd20:ce::254]",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "240.0.0.1",
    "[fe80::1]",
    "[FE80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "localhost.localdomain",
    "ip6-localhost",
    "foo.localhost",
    "metadata.google.internal",
    "１２７.０.０.１",
    "⑯⑨.254.169.254",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "ⓛocalhost",
    "xn--localhost-",
    "127.0.0.1:80",
    "127.0.0.1:00080",
    "[::1]:80",
    "user@127.0.0.1",
    "api.example.com@127.0.0.1",
    "api.example.com:80@127.0.0.1",
    "127.0.0.1@api.example.com",
    "127.0.0.1#@api.example.com",
    "127.0.0.1?@api.example.com",
    "127.0.0.1\\@api.example.com",
    "api.example.com\\@127.0.0.1",
    "127.0.0.1%00.example.com",
    "127.0.0.1%2f.example.com",
    "127.0.0.1\n.example.com",
    " 127.0.0.1",
    "127.0.0.1 ",
    "[::1%25lo]",
    "[::1%lo]",
    "127.0.0.1.nip.io",
    "1.2.3.4.5",
    "256.256.256.256",
    "0x7f000001.example.org",
    "pod.",
    "POD.example.org",
    "",
];

/// Addresses that names lead to.
const ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.254",
    "0.0.0.0",
    "0.0.0.1",
    "169.254.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "239.1.2.3",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::127.0.0.1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "2001:0:7f00:1::",
    "2001:0:5db8:d822::80ff:fffe",
    "2001:db8::5efe:127.0.0.1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fd00:42::42",
];

#[test]
fn no_form_of_a_forbidden_address_is_reached_and_allowed_ones_are() {
    let machine = Machine {
        addresses: &["10.77.0.1".parse().unwrap(), "169.254.169.254".parse().unwrap(), "fd77::1".parse().unwrap()],
        resolv_conf: "nameserver 127.0.0.53\noptions attempts:1\n",
        hosts: "127.0.0.1 localhost localhost.localdomain ip6-localhost foo.localhost\n169.254.169.254 metadata.google.internal\n",
    };
    netns::run(&machine, async |_| {
        let names = Nameserver::start("127.0.0.53:53".parse().unwrap()).await;
        // Whatever connects to whichever address of this machine is counted here.
        let server = Server::at("[::]:80").await;
        names.set_addresses("api.example.com", &["10.77.0.1"]);
        let allow = json!({
            "http": ["http://*.example.com", "http://pod", "http://10.77.0.1", "http://[fd77::1]"],
            "tcp": ["*.example.com:80", "pod:80", "10.77.0.1:80"],
            "dns": ["*.example.com", "*.internal", "*.localdomain"],
        });
        let asker = Asker::new(&allow).await.pod("10.77.0.1", false);
        written(&asker).await;
        named(&asker, &names).await;
        assert_eq!(server.connections(), 0, "{:?}", server.seen.requests());

        // A redirect to each is an answer, and nobody follows it.
        for form in
            WRITTEN.iter().filter(|form| form.is_ascii() && !form.contains(['\n', ' ', '\\', '#', '?', '%', '[']))
        {
            starts(&asker.get(&format!("http://api.example.com/to/{form}/")).await, "302");
        }
        assert_eq!(server.connections(), 1);
        for url in [
            "http://10.77.0.1/",
            "http://[fd77::1]/",
            "http://api.example.com./",
            "http://API.EXAMPLE.COM:80/",
            "http://pod/",
        ] {
            starts(&asker.get(url).await, "200");
        }
        for host in ["10.77.0.1", "api.example.com", "API.example.com.", "pod"] {
            assert_eq!(asker.ask(&json!({ "tcp": { "host": host, "port": 80 } })).await, "read 0 []");
        }
        assert_eq!(asker.ask(&json!({ "dns": "api.example.com" })).await, "10.77.0.1");
        assert!(server.seen.connections.load(SeqCst) > 4);
    });
}

async fn refused(asker: &Asker, step: Value) {
    let told = asker.ask(&step).await;
    let malformed = told.starts_with("InvalidRequest: ");
    assert!(malformed || told.starts_with("Denied: "), "{step}: {told}");
}

async fn written(asker: &Asker) {
    assert!(WRITTEN.len() >= 60);
    for form in WRITTEN {
        refused(asker, json!({ "http": { "url": format!("http://{form}/") } })).await;
        refused(asker, json!({ "tcp": { "host": form, "port": 80 } })).await;
        let bare = form.trim_start_matches('[').trim_end_matches(']');
        refused(asker, json!({ "tcp": { "host": bare, "port": 80 } })).await;
        refused(asker, json!({ "dns": form })).await;
        refused(asker, json!({ "dns": bare })).await;
    }
}

async fn named(asker: &Asker, names: &Nameserver) {
    for (n, address) in ADDRESSES.iter().enumerate() {
        let name = format!("n{n}.example.com");
        names.set_addresses(&name, &[address]);
        // As the address is shown.
        let address: IpAddr = address.parse().unwrap();
        let told = format!("Denied: {name} is {address}, ");
        starts(&asker.get(&format!("http://{name}/")).await, &told);
        starts(
            &asker.get(&format!("http://{}:80/", name.to_uppercase())).await,
            &told.replace(&name, &name.to_lowercase()),
        );
        starts(&asker.ask(&json!({ "tcp": { "host": name, "port": 80 } })).await, &told);
        starts(&asker.ask(&json!({ "dns": name })).await, &told);
    }
}
