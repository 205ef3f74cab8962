//! `kill -9` at any moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;
use gatehost_tests::{
    history::History,
    objects::APPROVED,
    proxy::{Kind, Proxy},
    soak::{full, record},
    trial::{Trial, run},
    wait::SOON,
};
use kube::ResourceExt as _;
use serde_json::json;

use super::{
    annotation, another_host, check, kubeconfig_through, make_idle, name, seed, spawn, wait_until_asked,
    wait_until_right,
};

const PODS: usize = 40;
/// As often as the promise says, and as often as 15 s hold.
const KILLS: usize = 50;
const SHORT: Duration = Duration::from_secs(15);

#[test]
fn after_kill_9_at_any_moment_nothing_is_written_where_nothing_changed_and_every_condition_is_right() {
    run(async |t: &mut Trial| {
        let seed = seed()?;
        let mut rng = fastrand::Rng::with_seed(seed);
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", check("yes", 1, &json!({})));
        make_idle(t, 0..PODS, "yes").await?;
        let proxy = Proxy::start(&t.plane).await?;
        let kubeconfig = kubeconfig_through(t, &proxy).await?;
        let mut host = another_host(t, &kubeconfig, &[], "host").await?;
        wait_until_right(t, "yes", SOON).await?;
        let history = History::open(t.pods(), APPROVED).await?;

        let (begin, mut kills, mut needless, mut most) = (Instant::now(), 0, 0, 0);
        while if full() { kills < KILLS } else { kills < 2 || begin.elapsed() < SHORT } {
            proxy.forget();
            let pods = t.pods().list(&kube::api::ListParams::default()).await?.items;
            let was: BTreeMap<_, _> = pods.iter().map(|p| (p.name_any(), annotation(p) == Some("yes"))).collect();
            let changed: BTreeSet<_> = (0..rng.usize(0..6)).map(|_| name(rng.usize(0..PODS))).collect();
            let moment = Duration::from_millis(rng.u64(0..60));
            let before = rng.bool();
            // Some change while the host lives and is killed over it, some while it is away.
            if before {
                turn(t, &changed, &was).await?;
            }
            tokio::time::sleep(moment).await;
            host.kill()?;
            if !before {
                turn(t, &changed, &was).await?;
            }
            kills += 1;
            if rng.u8(0..3) == 0 {
                // Once more while it starts, at one of the two requests that it makes in any case, or before them.
                start_and_kill(t, &proxy, &kubeconfig, rng.usize(0..3)).await?;
                kills += 1;
            }
            host = another_host(t, &kubeconfig, &[], "host").await?;
            wait_until_asked(&host, 2 * PODS, SOON).await?;
            wait_until_right(t, "yes", SOON).await?;

            let mut patches = BTreeMap::<String, usize>::new();
            for seen in proxy.seen(Kind::Patch) {
                *patches.entry(seen.pod().unwrap_or_default().to_owned()).or_default() += 1;
            }
            needless += patches.keys().filter(|pod| !changed.contains(*pod)).count();
            most = most.max(patches.values().copied().max().unwrap_or(0));
            assert_eq!(needless, 0, "seed {seed}, kill {kills}: {patches:?}, changed: {changed:?}");
        }
        let backwards = history.backwards();
        assert!(backwards.is_empty(), "seed {seed}: {backwards:?}");
        record(
            "killed",
            &[
                ("kills", kills.to_string()),
                ("pods", PODS.to_string()),
                ("patches where nothing changed", needless.to_string()),
                ("most patches of one pod that changed", most.to_string()),
                ("conditions wrong at rest", "0".to_owned()),
            ],
        )
    });
}

/// Turns the annotations of these pods around.
async fn turn(t: &Trial, pods: &BTreeSet<String>, was: &BTreeMap<String, bool>) -> Result<()> {
    for pod in pods {
        t.annotate(pod, APPROVED, Some(if was[pod] { "no" } else { "yes" })).await?;
    }
    Ok(())
}

/// Starts it and kills it at that request of its, or before it has made one.
async fn start_and_kill(t: &Trial, proxy: &Proxy, kubeconfig: &Path, requests: usize) -> Result<()> {
    let seen = proxy.count(Kind::Any);
    let mut host = spawn(t, kubeconfig, &[], "killed")?;
    if requests > 0 {
        proxy.wait_for(Kind::Any, seen + requests).await?;
    }
    host.kill()
}
