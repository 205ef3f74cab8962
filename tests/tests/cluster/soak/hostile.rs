//! Hostile plugins at full tilt beside good ones, while files are replaced.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use gatehost_tests::{
    history::History,
    objects::{APPROVED, status_of},
    soak::{record, scale},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use kube::api::{ListParams, PostParams};
use serde_json::json;

use super::{check, idle_pod, name, usage, wait_until_asked, wait_until_right};

/// The guests of tests/guests that do their worst, and the config that makes them do it.
const HOSTILE: [(&str, u64); 8] = [
    ("spin", 0),
    ("eat", 64),
    ("recurse", 10_000_000),
    ("panic", 0),
    ("flood", 1_000_000),
    ("hoard", 100_000),
    ("grow", 64),
    ("exit", 0),
];

/// Whose plugin reuses its instances, and whose file is replaced all the time.
const COUNTED: &str = "example.com/counted";

/// A pod for each gate, and a period of a second: the hostile ones are always due.
const PODS: usize = 12;

/// How often a file is replaced.
const SWAP: Duration = Duration::from_millis(250);

fn gate(guest: &str) -> String {
    format!("example.com/{guest}")
}

fn hostile(guest: &str, amount: u64) -> String {
    document(guest, &gate(guest), &json!({ "config": { "times": amount } }))
}

fn document(plugin: &str, gate: &str, more: &serde_json::Value) -> String {
    let mut spec = json!({
        "gate": gate, "plugin": format!("{plugin}.wasm"), "periodSeconds": 1, "startWhen": "always",
        "failureThreshold": 1, "maxUnready": "100%", "maxFlapsPerMinute": 6000,
    });
    for (field, value) in more.as_object().into_iter().flatten() {
        spec[field] = value.clone();
    }
    json!({
        "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": { "name": plugin }, "spec": spec,
    })
    .to_string()
}

/// The good checks, and all pods.
async fn prepare(t: &Trial) -> Result<()> {
    t.plugin("annotation.wasm", "annotation.wasm")?;
    t.guest("count", "count.wasm")?;
    t.file("approved.yaml", check("yes", 1, &json!({})));
    t.file("counted.yaml", document("count", COUNTED, &json!({ "instances": "reuse", "reuse": { "maxCalls": 50 } })));
    let mut gates = vec![APPROVED.to_owned(), COUNTED.to_owned()];
    gates.extend(HOSTILE.map(|(guest, _)| gate(guest)));
    let gates: Vec<_> = gates.iter().map(String::as_str).collect();
    for n in 0..PODS {
        let pod = serde_json::from_value(idle_pod(&name(n), &gates, "yes"))?;
        t.pods().create(&PostParams::default(), &pod).await?;
    }
    Ok(())
}

#[test]
fn hostile_and_good_plugins_with_reloads_leave_memory_and_descriptors_where_they_began() {
    run(async |t: &mut Trial| {
        prepare(t).await?;
        t.start_host(&[]).await?;
        let host = t.host.as_ref().context("no host")?;
        let id = host.id();
        wait_until_right(t, "yes", SOON).await?;
        let (approved, counted) = (History::open(t.pods(), APPROVED).await?, History::open(t.pods(), COUNTED).await?);
        let good = fs::read(t.files.join("count.wasm"))?;

        // A tenth of the time to warm up, in which everything has happened once.
        let long = scale(Duration::from_secs(20), Duration::from_mins(10));
        for (guest, amount) in HOSTILE {
            t.guest(guest, &format!("{guest}.wasm"))?;
            t.file(&format!("{guest}.yaml"), hostile(guest, amount));
        }
        let (begin, mut swaps, mut samples) = (Instant::now(), 0_u32, Vec::new());
        let mut beat = tokio::time::interval(SWAP);
        while begin.elapsed() < long {
            beat.tick().await;
            swaps += 1;
            // A custom section that nobody reads makes a file of its own, which has to be compiled.
            let new = [&good[..], &[0, 6, 4], &swaps.to_le_bytes(), b"x"].concat();
            t.file("count.wasm", if swaps % 8 == 0 { &new } else { &good });
            let host = t.host.as_ref().context("no host")?;
            ensure!(host.get("/livez").await?.0 == 200, "/livez");
            samples.push(usage(id)?);
        }
        let host = t.host.as_ref().context("no host")?;
        let metrics = host.metrics().await?;
        let quarantined = metrics.sum("gatehost_check_quarantined", &[]);

        // What was hostile goes, and what was good stays as it was all the time.
        for (guest, _) in HOSTILE {
            fs::remove_file(t.files.join(format!("{guest}.yaml")))?;
            fs::remove_file(t.files.join(format!("{guest}.wasm")))?;
        }
        t.file("count.wasm", &good);
        wait_until_right(t, "yes", SOON).await?;
        let pods = t.pods();
        until(SOON, "the good gates are True", async || {
            let pods = pods.list(&ListParams::default()).await?.items;
            let wrong = pods.iter().filter(|pod| status_of(pod, COUNTED) != "True").count();
            Ok(Seen::when(wrong == 0, || format!("{wrong} are not")))
        })
        .await?;
        wait_until_asked(host, 4 * PODS, SOON).await?;
        for history in [&approved, &counted] {
            let moved: Vec<_> = history.statuses(0).into_iter().filter(|(_, statuses)| statuses.len() > 1).collect();
            assert!(moved.is_empty(), "a good gate turned: {moved:?}");
        }
        let (memory, descriptors) = usage(id)?;

        let (warm, late) = samples.split_at(samples.len() / 2);
        let most = |samples: &[(u64, usize)]| {
            (samples.iter().map(|s| s.0).max().unwrap_or(0), samples.iter().map(|s| s.1).max().unwrap_or(0))
        };
        let (warm, late) = (most(warm), most(late));
        let told = format!("(MiB, descriptors) {warm:?}, then {late:?}, at rest {:?}", (memory, descriptors));
        assert!(late.0 <= warm.0 + warm.0 / 10 + 32, "{told}");
        assert!(memory <= warm.0 + 16 && late.1.max(descriptors) <= warm.1 + 32, "{told}");
        record(
            "hostile",
            &[
                ("seconds", long.as_secs().to_string()),
                ("hostile checks", HOSTILE.len().to_string()),
                ("of them in quarantine at the end", quarantined.to_string()),
                ("plugin swaps", swaps.to_string()),
                ("good gates that turned", "0".to_owned()),
                ("MiB, most in the first half", warm.0.to_string()),
                ("MiB, most in the second half", late.0.to_string()),
                ("MiB at rest", memory.to_string()),
                ("descriptors, most in the first half", warm.1.to_string()),
                ("descriptors, most in the second half", late.1.to_string()),
                ("descriptors at rest", descriptors.to_string()),
            ],
        )
    });
}
