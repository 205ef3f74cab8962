//! Pods come and go, checks and plugins change, connections break: all at random, for long.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use anyhow::Result;
use fastrand::Rng;
use gatehost_tests::{
    history::History,
    host::Host,
    objects::{APPROVED, condition, status_of},
    proxy::{Answer, Cut, Fault, Kind, Proxy},
    soak::{full, record, scale},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use super::{annotation, another_host, check, idle_pod, kubeconfig_through, name, seed, usage, wait_until_asked};

const SECOND: &str = "example.com/second";
/// How many pods are there at one time.
const LIVE: usize = 100;
const A_SECOND: u32 = 20;

/// What is done to the host, and what has been done.
struct Churn<'a> {
    t: &'a Trial,
    proxy: &'a Proxy,
    rng: Rng,
    annotation: Vec<u8>,
    word: &'static str,
    made: usize,
    live: VecDeque<usize>,
    edits: usize,
    swaps: usize,
    faults: usize,
}

fn second(plugin: &str) -> String {
    let spec = json!({
        "gate": SECOND, "plugin": plugin, "periodSeconds": 1, "startWhen": "always",
        "failureThreshold": 1, "maxUnready": "100%", "maxFlapsPerMinute": 6000,
    });
    let metadata = json!({ "name": "second" });
    json!({ "apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": metadata, "spec": spec }).to_string()
}

impl Churn<'_> {
    /// One pod comes, the oldest goes, and now and then something else happens.
    async fn step(&mut self) -> Result<()> {
        let pods = self.t.pods();
        let word = *self.rng.choice(&["yes", "no"]).unwrap_or(&"yes");
        let pod = serde_json::from_value(idle_pod(&name(self.made), &[APPROVED, SECOND], word))?;
        pods.create(&PostParams::default(), &pod).await?;
        self.live.push_back(self.made);
        self.made += 1;
        if self.live.len() > LIVE
            && let Some(oldest) = self.live.pop_front()
        {
            pods.delete(&name(oldest), &DeleteParams::default().grace_period(0)).await?;
        }
        match self.rng.u8(0..60) {
            0..6 => {
                let pod = self.live[self.rng.usize(0..self.live.len())];
                self.t.annotate(&name(pod), APPROVED, Some(word)).await?;
            }
            6 => self.edit(word),
            7 | 8 => self.swap()?,
            9 | 10 => self.fault().await?,
            _ => (),
        }
        Ok(())
    }

    fn edit(&mut self, word: &'static str) {
        self.edits += 1;
        self.word = word;
        self.t.file("approved.yaml", check(word, 1, &json!({})));
    }

    /// Another build with the same answers, half a file, or a guest that faults.
    fn swap(&mut self) -> Result<()> {
        self.swaps += 1;
        let again = [&self.annotation[..], &[0, 6, 5], b"again"].concat();
        match self.rng.u8(0..5) {
            0 => drop(self.t.file("annotation.wasm", again)),
            1 => drop(self.t.file("annotation.wasm", &self.annotation)),
            2 => drop(self.t.file("annotation.wasm", &self.annotation[..self.annotation.len() / 2])),
            3 => drop(self.t.guest("panic", "second.wasm")?),
            _ => drop(self.t.guest("good", "second.wasm")?),
        }
        Ok(())
    }

    async fn fault(&mut self) -> Result<()> {
        self.faults += 1;
        match self.rng.u8(0..7) {
            0 => self.proxy.cut(Kind::Any, Cut::Reset).await?,
            1 => self.proxy.cut(Kind::Watch, Cut::Close).await?,
            2 => self.proxy.expire_watches(),
            3 => self.proxy.next(Kind::Patch, 5, Fault::Reset),
            4 => self.proxy.next(Kind::Patch, 5, Fault::Lose),
            5 => self.proxy.next(Kind::Patch, 5, Fault::Answer(Answer::status(500))),
            _ => self.proxy.next(Kind::Watch, 1, Fault::Truncate),
        }
        Ok(())
    }

    /// No fault any more, and all pods right.
    async fn rest(&self, host: &Host) -> Result<()> {
        self.proxy.clear();
        self.t.file("annotation.wasm", &self.annotation);
        self.t.guest("good", "second.wasm")?;
        let pods = self.t.pods();
        until(SOON, "at rest every condition is right", async || {
            let pods = pods.list(&ListParams::default()).await?.items;
            let wrong = |pod: &&k8s_openapi::api::core::v1::Pod| {
                let wanted = if annotation(pod) == Some(self.word) { "True" } else { "False" };
                status_of(pod, APPROVED) != wanted || status_of(pod, SECOND) != "True"
            };
            let count = pods.iter().filter(wrong).count();
            Ok(Seen::when(count == 0, || {
                format!(
                    "{count} of {} are wrong, such as {:?}",
                    pods.len(),
                    pods.iter().find(wrong).map(|p| (
                        p.metadata.name.clone(),
                        annotation(p),
                        condition(p, APPROVED),
                        condition(p, SECOND)
                    ))
                )
            }))
        })
        .await?;
        // What was right stays right while all are asked again.
        let history = History::open(self.t.pods(), APPROVED).await?;
        wait_until_asked(host, 4 * self.live.len(), SOON).await?;
        let moved: Vec<_> = history.statuses(0).into_iter().filter(|(_, statuses)| statuses.len() > 1).collect();
        assert!(moved.is_empty(), "at rest: {moved:?}");
        Ok(())
    }
}

#[test]
fn churn_with_reloads_and_faults_leaves_every_condition_right_and_memory_and_descriptors_flat() {
    run(async |t: &mut Trial| {
        let seed = seed()?;
        let plugin = t.plugin("annotation.wasm", "annotation.wasm")?;
        let annotation = std::fs::read(plugin)?;
        t.guest("good", "second.wasm")?;
        t.file("approved.yaml", check("yes", 1, &json!({})));
        t.file("second.yaml", second("second.wasm"));
        let proxy = Proxy::start(&t.plane).await?;
        let host = another_host(t, &kubeconfig_through(t, &proxy).await?, &[], "host").await?;
        let rng = Rng::with_seed(seed);
        let mut churn = Churn {
            t,
            proxy: &proxy,
            rng,
            annotation,
            word: "yes",
            made: 0,
            live: VecDeque::new(),
            edits: 0,
            swaps: 0,
            faults: 0,
        };
        let (long, begin) = (scale(Duration::from_secs(15), Duration::from_mins(10)), Instant::now());
        let mut samples = Vec::new();
        let mut beat = tokio::time::interval(Duration::from_secs(1) / A_SECOND);
        let mut looked = Instant::now();
        while begin.elapsed() < long {
            beat.tick().await;
            churn.step().await?;
            if looked.elapsed() > long / 40 {
                looked = Instant::now();
                samples.push(usage(host.id())?);
                proxy.forget();
            }
        }
        let rate = churn.made as u64 / begin.elapsed().as_secs();
        churn.rest(&host).await?;
        let (memory, descriptors) = usage(host.id())?;

        // The first half warms it up: allocators and pools grow to what the load needs.
        let (warm, late) = samples.split_at(samples.len() / 2);
        let most = |samples: &[(u64, usize)]| {
            (samples.iter().map(|s| s.0).max().unwrap_or(0), samples.iter().map(|s| s.1).max().unwrap_or(0))
        };
        let (warm, late) = (most(warm), most(late));
        let told = format!("seed {seed}: (MiB, descriptors) {warm:?}, then {late:?}: {samples:?}");
        // Connections that were made while many writes waited are kept for a while.
        let (spare, kept) = if full() { (8, 16) } else { (32, 64) };
        assert!(late.0 <= warm.0 + warm.0 / 10 + spare, "{told}");
        assert!(late.1.max(descriptors) <= warm.1 + kept, "{told}");
        record(
            "churn",
            &[
                ("seconds", long.as_secs().to_string()),
                ("pods made", churn.made.to_string()),
                ("pods a second", rate.to_string()),
                ("check edits", churn.edits.to_string()),
                ("plugin swaps", churn.swaps.to_string()),
                ("faults", churn.faults.to_string()),
                ("conditions wrong at rest", "0".to_owned()),
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
