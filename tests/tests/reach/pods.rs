//! The host `pod`: the address of the pod that is asked about, which passes the same filter as any name.

use gatehost_tests::netns::{self, Machine};
use serde_json::json;

use crate::{Asker, server::Server, starts};

#[test]
fn the_pod_is_reached_by_its_address_and_by_nothing_else() {
    let machine =
        Machine { addresses: &["10.77.0.1".parse().unwrap(), "fd77::1".parse().unwrap()], ..Machine::default() };
    netns::run(&machine, async |_| {
        let server = Server::at("10.77.0.1:8080").await;
        let six = Server::at("[fd77::1]:8080").await;
        let local = Server::at("127.0.0.1:8080").await;
        let allow = json!({ "http": ["http://pod:8080"], "tcp": ["pod:8080"] });
        let asker = Asker::new(&allow).await;
        let url = "http://pod:8080/echo";
        let tcp = json!({ "tcp": { "host": "pod", "port": 8080 } });

        let there = asker.clone().pod("10.77.0.1", false);
        let told = there.get(url).await;
        assert!(told.contains("host=10.77.0.1:8080"), "{told}");
        assert_eq!(there.ask(&tcp).await, "read 0 []");
        let told = asker.clone().pod("fd77::1", false).get(url).await;
        assert!(told.contains("host=[fd77::1]:8080"), "{told}");

        let nowhere = asker.clone().pod("", false);
        assert_eq!(nowhere.get(url).await, "Unreachable: http://pod:8080: the pod has no IP yet");
        assert_eq!(nowhere.ask(&tcp).await, "Unreachable: pod:8080: the pod has no IP yet");
        let refused = asker.clone().pod("10.77.0.2", false).get(url).await;
        starts(&refused, "Unreachable: http://pod:8080: there is no way to it");

        for ip in ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "0.0.0.0", "fe80::1", "64:ff9b::7f00:1"] {
            for step in [&json!({ "http": { "url": url } }), &tcp] {
                let ended = asker.clone().pod(ip, false).evaluate(step).await;
                let told = ended.answer.unwrap().message;
                assert!(told.starts_with("Denied: ") && told.contains("which pod may not lead to"), "{ip}: {told}");
                assert_eq!(ended.refusals.len(), 1);
            }
        }
        assert_eq!((server.connections(), six.connections(), local.connections()), (2, 1, 0));
    });
}

#[test]
fn a_pod_on_its_nodes_network_is_its_node_and_needs_an_entry_that_says_so() {
    let machine = Machine { addresses: &["10.77.0.1".parse().unwrap()], ..Machine::default() };
    netns::run(&machine, async |_| {
        let server = Server::at("10.77.0.1:8080").await;
        let asker =
            Asker::new(&json!({ "http": ["http://pod:8080"], "tcp": ["pod:8080"] })).await.pod("10.77.0.1", true);
        let wanted = "is the pod's node here, because the pod is on its network; spec.allow";
        let told = asker.get("http://pod:8080/").await;
        assert_eq!(
            told,
            format!("Denied: http://pod:8080 {wanted}.http needs hostNetwork: true in the entry \"http://pod:8080\"")
        );
        let told = asker.ask(&json!({ "tcp": { "host": "pod", "port": 8080 } })).await;
        assert_eq!(told, format!("Denied: pod:8080 {wanted}.tcp needs hostNetwork: true in the entry \"pod:8080\""));
        assert_eq!(server.connections(), 0);
        let entry = json!({
            "http": [{ "url": "http://pod:8080", "hostNetwork": true }],
            "tcp": [{ "address": "pod:8080", "hostNetwork": true }],
        });
        let asker = Asker::new(&entry).await.pod("10.77.0.1", true);
        starts(&asker.get("http://pod:8080/").await, "200");
        assert_eq!(asker.ask(&json!({ "tcp": { "host": "pod", "port": 8080 } })).await, "read 0 []");
        starts(&asker.pod("10.77.0.1", false).get("http://pod:8080/").await, "200");
    });
}
