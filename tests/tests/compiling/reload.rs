//! A host that reloads for ever keeps nothing of what it has loaded.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;
use gatehost_tests::{host::Host, wait::SOON};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::guest;

/// Each instance takes a slot of the pool that no other code has used, until as many were used as calls may run at once.
const SLOTS: u32 = 64;

/// After how many reloads from then on the first look is taken, and how many there are.
const FIRST: u32 = 10;
const RELOADS: u32 = 1000;

/// How much more there may be at the end: a kilobyte a reload. The code of each is half a megabyte.
const GROWTH_KIB: u64 = 1 << 10;

/// Resident memory and open descriptors.
fn held(process: u32) -> (u64, usize) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (kib, fs::read_dir(format!("/proc/{process}/fd")).unwrap().count())
}

async fn generation(host: &Host) -> Result<f64> {
    Ok(host.metrics().await?.sum("gatehost_catalog_generation", &[]))
}

/// Puts a plugin into place and waits until it is in force.
async fn reload(host: &mut Host, files: &Path, plugin: &Path) {
    let before = generation(host).await.unwrap();
    let new = files.join(".new");
    fs::copy(plugin, &new).unwrap();
    fs::rename(new, files.join("plugin.wasm")).unwrap();
    let begin = Instant::now();
    while generation(host).await.unwrap() <= before {
        host.check().unwrap();
        assert!(begin.elapsed() < SOON, "not reloaded");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn after_a_thousand_reloads_a_host_holds_what_it_held_after_ten() {
    let place = tempfile::tempdir().unwrap();
    let (files, cache) = (place.path().join("files"), place.path().join("cache"));
    fs::create_dir(&files).unwrap();
    fs::create_dir(&cache).unwrap();
    let check = "apiVersion: gatehost.dev/v1alpha1\nkind: Check\nmetadata: {name: good}\n\
                 spec: {gate: example.com/good, plugin: plugin.wasm, startWhen: always}\n";
    fs::write(files.join("check.yaml"), check).unwrap();
    let plugins = [guest("good"), guest("panic")];
    fs::copy(&plugins[1], files.join("plugin.wasm")).unwrap();
    let kubeconfig = place.path().join("kubeconfig");
    let nobody = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "none",
        "contexts": [{ "name": "none", "context": { "cluster": "none", "user": "none" } }],
        "clusters": [{ "name": "none", "cluster": { "server": "http://127.0.0.1:9" } }],
        "users": [{ "name": "none", "user": {} }],
    });
    fs::write(&kubeconfig, nobody.to_string()).unwrap();
    let paths = [&files, &kubeconfig, &cache].map(|path| path.to_str().unwrap().to_owned());
    let args = [&paths[0], "--kubeconfig", &paths[1], "--cache", &paths[2], "--log-level", "warn"];
    let mut host = Host::start(&args, &[], &place.path().join("log")).unwrap();
    let begin = Instant::now();
    while generation(&host).await.unwrap_or(0.0) < 1.0 {
        host.check().unwrap();
        assert!(begin.elapsed() < SOON, "not started");
        sleep(Duration::from_millis(20)).await;
    }
    let mut early = None;
    for round in 0..SLOTS + RELOADS {
        reload(&mut host, &files, &plugins[round as usize % 2]).await;
        if round + 1 == SLOTS + FIRST {
            early = Some(held(host.id()));
        }
    }
    let (early, late) = (early.unwrap(), held(host.id()));
    assert!(late.0 <= early.0 + GROWTH_KIB, "KiB resident, descriptors: {early:?} and then {late:?}");
    assert!(late.1 <= early.1 + 4, "KiB resident, descriptors: {early:?} and then {late:?}");
}
