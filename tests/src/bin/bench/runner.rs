//! Extism, in a process of its own: its wasmtime is another one than the host's. What it is told is written in
//! tests/extism.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use gatehost::{
    decide::Verdict,
    pod::{ContainerState, Pod, Role},
};
use gatehost_tests::target;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{ALLOCATOR, lap::Lap};

/// The process: ended by the end of its input, also where this one is killed.
pub(crate) struct Runner {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// A verdict, as both tell it.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Said {
    status: String,
    reason: String,
    message: String,
    recheck_after_ms: Option<u128>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Took {
    cpu_ns: u64,
    took_ns: Vec<u32>,
}

impl Runner {
    pub(crate) fn start() -> Result<Self> {
        let built = target().join("extism");
        let [program, guest] = ["release/extism-runner", "wasm32-unknown-unknown/plugin/on_track_extism.wasm"]
            .map(|file| built.join(file));
        for file in [&program, &guest] {
            ensure!(file.is_file(), "{} is missing: run `make extism`", file.display());
        }
        let mut command = Command::new(program);
        for (setting, _) in ALLOCATOR {
            command.env_remove(setting);
        }
        let mut child = command.arg(guest).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no output")?);
        Ok(Self { child, input, output })
    }

    /// What the plugin says.
    pub(crate) fn ask(&mut self, way: &str, question: &str) -> Result<Said> {
        self.tell(&json!({ "ask": { "way": way, "question": question } }))
    }

    /// Calls again and again, one call after the other, for `span`.
    pub(crate) fn lap(&mut self, way: &str, question: &str, span: Duration) -> Result<Lap> {
        let command =
            json!({ "lap": { "way": way, "question": question, "millis": u64::try_from(span.as_millis())? } });
        let Took { cpu_ns, took_ns } = self.tell(&command)?;
        let took = took_ns.into_iter().map(|ns| f64::from(ns) / 1e3).collect();
        Ok(Lap::new(Duration::from_nanos(cpu_ns), took))
    }

    fn tell<T: DeserializeOwned>(&mut self, command: &Value) -> Result<T> {
        let ended = "the runner of Extism ended: its error stands above";
        writeln!(self.input.as_mut().context(ended)?, "{command}").context(ended)?;
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, ended);
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.wait());
    }
}

impl From<Verdict> for Said {
    fn from(verdict: Verdict) -> Self {
        Self {
            status: verdict.status.as_str().to_owned(),
            reason: verdict.reason,
            message: verdict.message,
            recheck_after_ms: verdict.recheck_after.map(|after| after.as_millis()),
        }
    }
}

/// What Extism's plugin is handed: the pod as plugins of the host see it, the config and the instant, as JSON.
pub(crate) fn question(pod: &Pod, config: &Value, now: i64) -> String {
    let map = |pairs: &[(String, String)]| pairs.iter().map(|(k, v)| (k.clone(), json!(v))).collect::<Map<_, _>>();
    let containers = pod.containers.iter().map(|container| {
        let role = match container.role {
            Role::App => "app",
            Role::Init => "init",
            Role::Sidecar => "sidecar",
        };
        let state = match container.state {
            ContainerState::Waiting => "waiting",
            ContainerState::Running => "running",
            ContainerState::Terminated => "terminated",
        };
        json!({
            "name": container.name, "role": role, "state": state, "ready": container.ready,
            "restarts": container.restarts, "startedAtMs": container.started_at,
        })
    });
    let pod = json!({
        "namespace": pod.namespace, "name": pod.name, "uid": pod.uid, "generation": pod.generation,
        "createdAtMs": pod.created_at, "labels": map(&pod.labels), "annotations": map(&pod.annotations),
        "ip": pod.ip, "node": pod.node, "serviceAccount": pod.service_account, "phase": pod.phase,
        "containers": containers.collect::<Vec<_>>(), "gates": pod.gates,
    });
    json!({ "pod": pod, "config": config, "nowMs": now }).to_string()
}
