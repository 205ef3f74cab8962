//! `gatehost override` as its user meets it, where no host answers.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    objects::{APPROVED, condition, gated_pod, status_of, uid},
    trial::{Trial, path, run},
    wait::{SOON, Seen, until},
};
use serde_json::{Value, json};

pub(super) const ANNOTATION: &str = "gatehost.dev/override";

/// `gatehost override ARGS` with every right, in this namespace: exit code, stdout, stderr.
fn override_with(t: &Trial, kubeconfig: &Path, args: &[&str]) -> Result<(i32, String, String)> {
    let mut command = Command::new(gatehost_tests::gatehost_binary()?);
    command.args(["override", "--kubeconfig", path(kubeconfig)?, "--namespace", &t.namespace]).args(args);
    command.env_remove("KUBECONFIG");
    let output = command.output()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok((output.status.code().context("killed")?, text(output.stdout), text(output.stderr)))
}

pub(super) fn set(t: &Trial, args: &[&str]) -> Result<(i32, String, String)> {
    override_with(t, &t.plane.admin_kubeconfig(), args)
}

/// Sets `web`'s gate for half an hour.
pub(super) fn set_web(t: &Trial, assignment: &str) -> Result<(i32, String, String)> {
    set(t, &["pod", "web", assignment, "--for", "30m", "--reason", "cache is down"])
}

#[test]
fn where_no_host_answers_it_says_so_and_prints_a_command_that_does_it_by_hand() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED])).await?;
        t.wait_for_containers("app=web", 1).await?;
        let why = "it's \"down\" $HOME `id`";
        let args = ["pod", "web", &format!("{APPROVED}=True"), "--for", "30m", "--reason", why];
        let (code, out, err) = set(t, &args)?;
        assert_eq!(code, 1, "{out}{err}");
        assert!(err.contains("waiting for a host") && err.contains("no host answered in 10 s"), "{err}");
        let pod = t.pods().get("web").await?;
        assert_eq!(status_of(&pod, APPROVED), "-");
        let left: Value = serde_json::from_str(&pod.metadata.annotations.clone().unwrap_or_default()[ANNOTATION])?;
        assert_eq!(left["uid"], json!(uid(&pod)?));
        assert_eq!(left["overrides"][0]["reason"], why);

        let line = out.lines().find(|line| line.starts_with("kubectl patch pod web ")).context("no command")?;
        for part in ["--subresource=status", "--type=strategic", "lastTransitionTime", &uid(&pod)?] {
            assert!(line.contains(part), "{line}");
        }
        let path = format!("{}:/usr/bin:/bin", t.plane.binaries().display());
        let done = Command::new("/bin/sh").args(["-c", line]).env("PATH", path).output()?;
        assert!(done.status.success(), "{line}\n{}", String::from_utf8_lossy(&done.stderr));
        let pods = t.wait_for_ready("app=web", 1, "True").await?;
        assert_eq!(condition(&pods[0], APPROVED).and_then(|c| c.message.clone()), Some(format!("set by hand: {why}")));
        Ok(())
    });
}

#[test]
fn what_cannot_be_overridden_is_exit_2_and_named() {
    run(async |t: &mut Trial| {
        t.create(&gated_pod("web", &[APPROVED, "example.com/warm"])).await?;
        let (code, _, err) = set_web(t, "example.com/wram=True")?;
        assert_eq!((code, err.lines().count()), (2, 1), "{err}");
        assert!(err.contains("it has example.com/approved, example.com/warm"), "{err}");
        let (code, _, err) = set(t, &["pod", "bew", "--clear"])?;
        assert!(code == 2 && err.contains(&format!("{}/bew: no such pod", t.namespace)), "{err}");
        let (code, out, _) = set(t, &["pod", "web", "--clear"])?;
        assert_eq!((code, out.as_str()), (0, "no gate is overridden\n"));

        // One who may do nothing, and one who may only read.
        let weak = t.scratch("weak").join("kubeconfig");
        t.plane.write_kubeconfig_for(&t.namespace, "default", &weak).await?;
        let args = ["pod", "web", "example.com/warm=True", "--for", "1m", "--reason", "r"];
        let (code, _, err) = override_with(t, &weak, &args)?;
        assert!(code == 2 && err.contains("grant get on pods"), "{err}");
        t.kubectl(&["create", "role", "reader", "--verb=get", "--resource=pods"])?;
        let account = format!("--serviceaccount={}:default", t.namespace);
        t.kubectl(&["create", "rolebinding", "reader", "--role=reader", &account])?;
        until(SOON, "the right to read is in force", async || {
            let (code, _, err) = override_with(t, &weak, &args)?;
            Ok(Seen::when(code == 2 && err.contains("grant patch on pods"), || err))
        })
        .await?;
        assert!(t.pods().get("web").await?.metadata.annotations.is_none_or(|a| !a.contains_key(ANNOTATION)));
        Ok(())
    });
}

#[test]
fn people_at_the_same_time_lose_nothing_of_each_other() {
    run(async |t: &mut Trial| {
        let gates = ["a", "b", "c", "d"].map(|name| format!("example.com/{name}"));
        t.create(&gated_pod("web", &gates.each_ref().map(String::as_str))).await?;
        t.wait_for_containers("app=web", 1).await?;
        let t = &*t;
        std::thread::scope(|scope| {
            let each = gates.each_ref().map(|gate| scope.spawn(move || set_web(t, &format!("{gate}=False"))));
            for one in each {
                // Nobody follows here; what is asked is that each was written.
                assert_eq!(one.join().unwrap().unwrap().0, 1);
            }
        });
        let pod = t.pods().get("web").await?;
        let left: Value = serde_json::from_str(&pod.metadata.annotations.context("none")?[ANNOTATION])?;
        let mut left: Vec<_> =
            left["overrides"].as_array().context("none")?.iter().map(|o| o["gate"].clone()).collect();
        left.sort_by_key(ToString::to_string);
        assert_eq!(left, gates.map(Value::from));
        Ok(())
    });
}
