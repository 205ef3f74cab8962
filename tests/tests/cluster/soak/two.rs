//! Two hosts on the same pods, by mistake or during a rollout.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    history::History,
    host::Host,
    objects::APPROVED,
    proxy::{Kind, Proxy},
    soak::{record, scale},
    trial::{Trial, run},
    wait::{SOON, Seen, throughout},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{another_host, check, kubeconfig_through, make_idle, name, say, wait_until_asked, wait_until_right};

const PODS: usize = 20;

/// What was seen of the transitions.
#[derive(Default)]
struct Tally {
    transitions: usize,
    /// Those that nobody asked for.
    needless: usize,
    patches: usize,
    /// Of one pod, for one transition.
    most: usize,
    /// What happened to pods with needless transitions or patches.
    told: Vec<String>,
}

impl Tally {
    /// Adds what happened since `mark` and since the proxies last forgot, when every pod was to make `transitions`.
    fn add(&mut self, history: &History, mark: usize, proxies: [&Proxy; 2], transitions: usize) {
        let statuses = history.statuses(mark);
        let seen: Vec<_> =
            (0..).zip(proxies).flat_map(|(host, p)| p.seen(Kind::Patch).into_iter().map(move |s| (host, s))).collect();
        for n in 0..PODS {
            let went = statuses.get(&name(n)).map_or(&[][..], Vec::as_slice);
            let mut of_pod: Vec<_> = seen.iter().filter(|(_, patch)| patch.pod() == Some(&name(n))).collect();
            of_pod.sort_by_key(|(_, patch)| patch.at);
            // What stood, and then each status once.
            let needless = went.len().saturating_sub(1 + transitions);
            if needless > 0 || of_pod.len() > 2 * transitions {
                let patches: Vec<_> =
                    of_pod.iter().map(|(host, patch)| (host, patch.conditions(), patch.answered)).collect();
                self.told.push(format!("{} went {went:?} by {patches:?}", name(n)));
            }
            self.needless += needless;
            self.most = self.most.max(of_pod.len().div_ceil(transitions));
        }
        self.transitions += PODS * transitions;
        self.patches += seen.len();
        for proxy in proxies {
            proxy.forget();
        }
    }
}

fn signal(host: &Host, signal: Signal) -> Result<()> {
    let id = Pid::from_raw(i32::try_from(host.id())?).context("no process")?;
    Ok(kill_process(id, signal)?)
}

#[test]
fn two_hosts_make_at_most_two_patches_for_a_transition_and_one_that_was_stopped_is_set_right() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", check("yes", 1, &json!({})));
        make_idle(t, 0..PODS, "no").await?;
        let proxies = [&Proxy::start(&t.plane).await?, &Proxy::start(&t.plane).await?];
        let first = another_host(t, &kubeconfig_through(t, proxies[0]).await?, &[], "first").await?;
        let second = another_host(t, &kubeconfig_through(t, proxies[1]).await?, &[], "second").await?;
        let rest = async || -> Result<()> {
            for host in [&first, &second] {
                wait_until_asked(host, 2 * PODS, SOON).await?;
            }
            wait_until_right(t, "yes", SOON).await.map(drop)
        };
        rest().await?;
        let history = History::open(t.pods(), APPROVED).await?;
        for proxy in proxies {
            proxy.forget();
        }

        let mut both = Tally::default();
        for round in 0..scale(2, 20) {
            let mark = history.mark();
            say(t, 0..PODS, if round % 2 == 0 { "yes" } else { "no" }).await?;
            rest().await?;
            both.add(&history, mark, proxies, 1);
        }

        let stopped_for = scale(Duration::from_secs(4), Duration::from_mins(1));
        let (mut stopped, mut back) = (Tally::default(), Tally::default());
        for round in 0..scale(2, 8) {
            let words = if round % 2 == 0 { ["yes", "no"] } else { ["no", "yes"] };
            let there_and_back = round >= scale(1, 4);
            let mark = history.mark();
            // In the middle of its work: half the pods have changed.
            say(t, 0..PODS / 2, words[0]).await?;
            signal(&second, Signal::STOP)?;
            let since = Instant::now();
            say(t, PODS / 2..PODS, words[0]).await?;
            wait_until_right(t, "yes", SOON).await?;
            if there_and_back {
                // The first that it sees afterwards is what was.
                for word in [words[1], words[0]] {
                    say(t, 0..PODS, word).await?;
                    wait_until_right(t, "yes", SOON).await?;
                }
            }
            throughout(stopped_for.saturating_sub(since.elapsed()), "the other host lives", async || {
                Ok(Seen::when(first.get("/livez").await?.0 == 200, || "no answer".to_owned()))
            })
            .await?;
            signal(&second, Signal::CONT)?;
            rest().await?;
            if there_and_back {
                back.add(&history, mark, proxies, 3);
            } else {
                stopped.add(&history, mark, proxies, 1);
            }
        }
        let most = both.most.max(stopped.most).max(back.most);
        record(
            "two hosts",
            &[
                ("transitions, both awake", both.transitions.to_string()),
                ("patches, both awake", both.patches.to_string()),
                ("stopped for, s", stopped_for.as_secs().to_string()),
                ("transitions over a stop", stopped.transitions.to_string()),
                ("patches over a stop", stopped.patches.to_string()),
                ("needless transitions, both awake", both.needless.to_string()),
                ("needless transitions over a stop", stopped.needless.to_string()),
                ("transitions there and back over a stop", back.transitions.to_string()),
                ("patches there and back over a stop", back.patches.to_string()),
                ("needless transitions there and back", back.needless.to_string()),
                ("most patches for a transition, both awake", both.most.to_string()),
                ("most patches for a transition over a stop", most.to_string()),
                ("times moved without a transition", history.restamped().to_string()),
                ("furthest that a time ran backwards, s", history.furthest_back().to_string()),
            ],
        )?;
        let told = both.told.iter().chain(&stopped.told).chain(&back.told);
        let told = told.map(String::as_str).collect::<Vec<_>>().join("\n");
        assert!(both.most <= 2, "{} patches for a transition:\n{told}", both.most);
        assert_eq!(both.needless, 0, "transitions that nobody asked for:\n{told}");
        // What a host judged before it was stopped, and a call that the standstill cut off, decide nothing afterwards.
        assert_eq!(stopped.needless + back.needless, 0, "transitions that nobody asked for:\n{told}");
        assert!(most <= 2, "{most} patches for a transition over a stop:\n{told}");
        // Two hosts that turn a gate at the same moment each give it their own second; the later write wins.
        assert!(history.furthest_back() <= 2, "{:?}", history.backwards());
        Ok(())
    });
}
