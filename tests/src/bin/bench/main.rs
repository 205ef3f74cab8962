//! The figures: `make bench`, or `bench [--quick] [LEG...]` for some of them.
//!
//! ```text
//! evaluate   one call of a check in a fresh instance, next to wasmtime alone
//! cores      as many such calls as there are, on one core and on two
//! reuse      the check of plugins/examples in each language, fresh and reused, next to native Rust
//! extism     the same check in Rust, fresh and reused, next to a plugin of Extism with JSON in and out
//! kill       50 guests that compute for ever: how late they end after their deadlines
//! blast      a good check beside hostile ones, next to alone
//! swaps      a file replaced again and again while others are called, next to no reload
//! reload     a file renamed into place to the first verdict by the new code, next to compiling alone
//! compile    a plugin's first load next to compiling alone, and the next host's next to mapping alone
//! http       a call that asks an HTTP server, next to a pooled client alone
//! gates      1,000 gates, each asked over HTTP every second, next to a loop with the same requests
//! expression a call of the CEL check, next to the same expression evaluated natively
//! start      process start to 1,000 gates set, next to peers with the verdict compiled in
//! flip       an annotation that changes to the condition that follows, next to the same peers
//! objects    a ConfigMap that changes to the condition that follows, next to a watch that sees the change
//! patches    patches sent for each transition, while labels change all the time
//! memory     resident memory for 1,000, 5,000 and 10,000 gated pods
//! ```
//!
//! What is compared runs in turns in one run, on the machine as it is, so that the ratios mean something where the
//! figures themselves do not. Each leg prints a table and leaves all it measured in `target/bench/LEG.json`.
#![allow(clippy::print_stdout, reason = "the tables are what this program is for")]

use std::{env, os::unix::process::CommandExt as _, process::Command, time::Instant};

use anyhow::{Result, bail};
use bed::Beds;

mod bare;
mod bed;
mod beside;
mod blast;
mod call;
mod client;
mod compile;
mod cores;
mod evaluate;
mod expression;
mod extism;
mod eye;
mod flip;
mod gates;
mod kill;
mod lap;
mod load;
mod memory;
mod objects;
mod patches;
mod peer;
mod pinned;
mod reload;
mod report;
mod reuse;
mod runner;
mod server;
mod start;
mod swaps;
mod usage;

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    /// A tenth of the work: for a look, not for a figure.
    quick: bool,
}

impl Size {
    /// `full`, or `quick` where little is measured.
    fn pick<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }
}

const LEGS: [&str; 17] = [
    "evaluate",
    "cores",
    "reuse",
    "extism",
    "kill",
    "blast",
    "swaps",
    "reload",
    "compile",
    "http",
    "gates",
    "expression",
    "start",
    "flip",
    "objects",
    "patches",
    "memory",
];

/// How the host has its allocator keep memory, which it tells the C library itself: here it counts for all that is measured
/// within this process and its children.
const ALLOCATOR: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "3"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

fn main() -> Result<()> {
    if ALLOCATOR.iter().any(|(setting, _)| env::var_os(setting).is_none()) {
        // Only read when a process starts.
        let mut again = Command::new(env::current_exe()?);
        return Err(again.args(env::args_os().skip(1)).envs(ALLOCATOR).exec().into());
    }
    let mut arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(evaluate::CHILD) => return evaluate::child(&arguments[1..]),
        Some(cores::CHILD) => return cores::child(&arguments[1..]),
        Some(reuse::CHILD) => return reuse::child(&arguments[1..]),
        Some(extism::CHILD) => return extism::child(&arguments[1..]),
        Some(blast::CHILD) => return blast::child(&arguments[1..]),
        Some(call::CHILD) => return call::child(&arguments[1..]),
        Some(gates::CHILD) => return gates::child(&arguments[1..]),
        Some(expression::CHILD) => return expression::child(&arguments[1..]),
        Some(peer::CHILD) => return peer::child(&arguments[1..]),
        _ => {}
    }
    let size = Size { quick: arguments.iter().any(|argument| argument == "--quick") };
    arguments.retain(|argument| argument != "--quick");
    if let Some(unknown) = arguments.iter().find(|leg| !LEGS.contains(&leg.as_str())) {
        bail!("no leg is called {unknown:?}: give none for all, or some of {}", LEGS.join(", "));
    }
    let begin = Instant::now();
    let beds = Beds::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for leg in LEGS {
        if !arguments.is_empty() && !arguments.iter().any(|wanted| wanted == leg) {
            continue;
        }
        println!("measuring {leg} ...");
        let report = match leg {
            "evaluate" => evaluate::run(size)?,
            "cores" => cores::run(size)?,
            "reuse" => reuse::run(size)?,
            "extism" => extism::run(size)?,
            "kill" => kill::run(size)?,
            "blast" => blast::run(size)?,
            "swaps" => swaps::run(size)?,
            "reload" => reload::run(size)?,
            "compile" => compile::run(size)?,
            "http" => call::run(size)?,
            "gates" => gates::run(size)?,
            "expression" => expression::run(size)?,
            "start" => runtime.block_on(start::run(size, &beds))?,
            "flip" => runtime.block_on(flip::run(size, &beds))?,
            "objects" => runtime.block_on(objects::run(size, &beds))?,
            "patches" => runtime.block_on(patches::run(size, &beds))?,
            _ => runtime.block_on(memory::run(size, &beds))?,
        };
        println!("{report}");
        report.save()?;
    }
    println!("set: {}", load::set());
    println!("measured in {:.0} s; the raw figures are in {}", begin.elapsed().as_secs_f64(), report::dir().display());
    Ok(())
}
