//! Calls the guest through Extism, as often and in the way that its standard input says: a command a line, the answer of
//! each as a line of JSON on standard output. It ends with its input.

use std::{
    env,
    io::{self, BufRead as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm, convert::Json};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// What the host gives a check unless told otherwise: 64 MiB.
const PAGES: u32 = 1024;
/// What the host's calls in the bench are given.
const TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Command {
    /// One call; answers with the verdict.
    Ask { way: Way, question: String },
    /// Calls again and again for so long; answers with what they took.
    Lap { way: Way, question: String, millis: u64 },
}

/// How a call gets its instance.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Way {
    /// A new plugin for each call, from what was compiled once.
    Fresh,
    /// The same, with wasmtime's pooling allocator, which Extism does not use by itself.
    Pooled,
    /// One plugin for all calls.
    Reused,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict {
    status: String,
    reason: String,
    message: String,
    recheck_after_ms: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lap {
    /// Processor time of the whole process, in nanoseconds.
    cpu_ns: u128,
    /// Of each call, in nanoseconds.
    took_ns: Vec<u128>,
}

struct Peer {
    compiled: CompiledPlugin,
    pooled: CompiledPlugin,
    reused: Plugin,
}

fn main() -> Result<()> {
    let guest = env::args().nth(1).context("give the guest's file")?;
    let mut peer = Peer::new(&guest)?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = match serde_json::from_str(&line?)? {
            Command::Ask { way, question } => serde_json::to_string(&peer.call(way, &question)?)?,
            Command::Lap { way, question, millis } => {
                serde_json::to_string(&peer.lap(way, &question, Duration::from_millis(millis))?)?
            }
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

impl Peer {
    fn new(guest: &str) -> Result<Self> {
        // By its file, because a plugin copies its manifest, which would hold the bytes.
        let manifest = Manifest::new([Wasm::file(guest)]).with_memory_max(PAGES).with_timeout(TIMEOUT);
        let builder = PluginBuilder::new(manifest).with_cache_disabled();
        let compiled = builder.clone().compile()?;
        let pooled = builder.with_wasmtime_config(pooling()).compile()?;
        let reused = Plugin::new_from_compiled(&compiled)?;
        Ok(Self { compiled, pooled, reused })
    }

    fn call(&mut self, way: Way, question: &str) -> Result<Verdict> {
        let compiled = match way {
            Way::Reused => return evaluate(&mut self.reused, question),
            Way::Fresh => &self.compiled,
            Way::Pooled => &self.pooled,
        };
        evaluate(&mut Plugin::new_from_compiled(compiled)?, question)
    }

    fn lap(&mut self, way: Way, question: &str, span: Duration) -> Result<Lap> {
        let (begin, cpu) = (Instant::now(), own_cpu()?);
        let mut took_ns = Vec::new();
        while begin.elapsed() < span {
            let start = Instant::now();
            let verdict = self.call(way, question)?;
            took_ns.push(start.elapsed().as_nanos());
            ensure!(verdict.status == "True", "{}: {}", verdict.reason, verdict.message);
        }
        Ok(Lap { cpu_ns: (own_cpu()? - cpu).as_nanos(), took_ns })
    }
}

fn evaluate(plugin: &mut Plugin, question: &str) -> Result<Verdict> {
    let Json(verdict) = plugin.call("evaluate", question)?;
    Ok(verdict)
}

/// A pool like the host's.
fn pooling() -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(64)
        .total_memories(64)
        .total_tables(64)
        .max_memory_size(64 << 20)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(256 << 10);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn own_cpu() -> Result<Duration> {
    Ok(Duration::try_from(clock_gettime(ClockId::ProcessCPUTime))?)
}
