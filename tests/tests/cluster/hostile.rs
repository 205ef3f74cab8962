//! Every guest of the corpus in one host, beside a good one.

use anyhow::{Context as _, Result};
use gatehost::decide::{Status, sanitize};
use gatehost_tests::{
    corpus::{self, Does, Guest},
    objects::{condition, gated_pod, status_of},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

/// Why the condition of a guest's gate is not what it should be; nothing where it is.
fn wrong(pod: &Pod, guest: &Guest) -> Option<String> {
    let gate = guest.gate();
    let stands = condition(pod, &gate);
    let said =
        stands.map(|c| (c.status.as_str(), c.reason.as_deref().unwrap_or(""), c.message.as_deref().unwrap_or("")));
    let right = match (guest.does, said) {
        (Does::Answers(status, reason), Some((is, because, _))) => (is, because) == (status.as_str(), reason),
        (Does::Faults(_, reason), Some((is, because, message))) => {
            (is, because) == (Status::Unknown.as_str(), "NoVerdictYet") && message.contains(reason)
        }
        // Once it was True, a fault leaves it so.
        (Does::Wavers, Some(("True", "Met" | "FaultHeld", _) | ("Unknown", "NoVerdictYet", _))) => true,
        (does, None) => !matches!(does, Does::Answers(..) | Does::Faults(..) | Does::Wavers),
        _ => false,
    };
    (!right).then(|| format!("{}: {said:?}", guest.name))
}

/// The problems that the host has logged of a file.
fn problems<'a>(log: &'a [Value], file: &str) -> Vec<&'a Value> {
    let of = |line: &&Value| line["message"] == "problem" && line["file"].as_str().is_some_and(|f| f.ends_with(file));
    log.iter().filter(of).collect()
}

#[test]
fn a_host_with_every_hostile_guest_decides_what_each_deserves_and_the_good_ones_gate_is_true() {
    run(async |t: &mut Trial| {
        let guests = corpus::all();
        for guest in &guests {
            t.file(&format!("{}.wasm", guest.name), guest.wasm());
            t.file(&format!("{}.yaml", guest.name), guest.check());
        }
        let gates: Vec<_> = guests.iter().map(Guest::gate).collect();
        let good = guests.iter().find(|guest| guest.name == "good").context("no good guest")?.gate();
        t.create(&gated_pod("web", &gates.iter().map(String::as_str).collect::<Vec<_>>())).await?;
        t.create(&gated_pod("fine", &[&good])).await?;
        t.start_host(&[]).await?;
        t.wait_for_ready("app=fine", 1, "True").await?;
        let pods = t.pods();
        until(SOON, "each gate says what its guest deserves", async || {
            let pod = pods.get("web").await?;
            let wrong: Vec<_> = guests.iter().filter_map(|guest| wrong(&pod, guest)).collect();
            Ok(Seen::when(wrong.is_empty(), || format!("{wrong:#?}")))
        })
        .await?;
        healthy(t, &guests).await?;
        assert_eq!(status_of(&pods.get("fine").await?, &good), "True");
        Ok(())
    });
}

/// The host is alive, and has told of what is no plugin in lines that a terminal does not obey.
async fn healthy(t: &mut Trial, guests: &[Guest]) -> Result<()> {
    let host = t.host.as_mut().context("no host")?;
    host.check()?;
    assert_eq!(host.get("/livez").await?.0, 200);
    let log = host.log_lines()?;
    for guest in guests.iter().filter(|guest| !guest.is_in_force()) {
        let of_check = problems(&log, &format!("/{}.yaml", guest.name));
        assert!((1..=21).contains(&of_check.len()), "{}: {of_check:#?}", guest.name);
        let is_none = !matches!(guest.does, Does::Rejects | Does::CannotJudge(..));
        let of_plugin = problems(&log, &format!("/{}.wasm", guest.name));
        // What could not describe itself is tried again, and told once for each thing that is wrong.
        assert_eq!(!of_plugin.is_empty(), is_none, "{}: {of_plugin:#?}", guest.name);
    }
    let text = std::fs::read_to_string(host.log())?;
    assert!(text.lines().all(|line| line.chars().all(sanitize::prints)), "a line that does not print");
    assert!(text.len() < 1 << 20, "{} bytes of log", text.len());
    Ok(())
}
