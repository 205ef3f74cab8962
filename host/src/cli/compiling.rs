//! The flags about compiling plugins and keeping what comes of it: of `run` and `dev`, and some of them of `compile`.

use std::{path::PathBuf, time::Duration};

use super::decisions::duration;
use crate::sandbox::{self, Caches, Compiler, Process};

/// This program, whatever has become of its file.
const MYSELF: &str = "/proc/self/exe";

/// The longest `--compile-timeout`.
const LONGEST: Duration = Duration::from_hours(1);

/// What the compiler's process gets.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Compiling")]
pub(super) struct Compiling {
    /// The most memory that compiling one plugin may take, such as 512Mi or 1Gi; less in a container whose
    /// limit leaves less beside 256Mi (or a quarter) for the host
    #[arg(long, value_name = "SIZE", env = "GATEHOST_COMPILE_MEMORY", default_value = "1Gi", value_parser = memory)]
    compile_memory: u64,
    /// The longest that compiling one plugin may take
    #[arg(long, value_name = "DURATION", env = "GATEHOST_COMPILE_TIMEOUT", default_value = "3m", value_parser = timeout)]
    compile_timeout: Duration,
    /// The most that the cache may hold; what was not used for longest goes first
    #[arg(long, value_name = "SIZE", env = "GATEHOST_CACHE_SIZE", default_value = "1Gi", value_parser = size)]
    cache_size: u64,
}

/// Where `run` and `dev` keep compiled plugins.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Compiling")]
pub(super) struct Caching {
    /// A directory in which compiled plugins are kept for the next start, or one that `gatehost compile` has filled;
    /// repeat it, or separate directories with commas, for several [default: none, they are compiled at each start]
    #[arg(long, value_name = "DIR", env = "GATEHOST_CACHE", value_delimiter = ',', value_hint = clap::ValueHint::DirPath)]
    cache: Vec<PathBuf>,
    #[command(flatten)]
    compiling: Compiling,
}

impl Compiling {
    /// The same with these caches.
    pub(super) fn options(&self, options: sandbox::Options, directories: Vec<PathBuf>) -> sandbox::Options {
        let (memory, time) = (self.compile_memory, self.compile_timeout);
        let compiler = Compiler::Process(Process { program: MYSELF.into(), memory, time });
        let caches = Caches { directories, size: self.cache_size, ..options.caches };
        sandbox::Options { compiler, caches, ..options }
    }
}

impl Caching {
    /// The same with these flags.
    pub(super) fn options(&self, options: sandbox::Options) -> sandbox::Options {
        // A variable that is set to nothing, as templates like to, is not set.
        let directories = self.cache.iter().filter(|directory| !directory.as_os_str().is_empty()).cloned().collect();
        self.compiling.options(options, directories)
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    let right = (Duration::from_secs(1)..=LONGEST).contains(&duration);
    right.then_some(duration).ok_or_else(|| format!("must be 1s to {}h", LONGEST.as_secs() / 3600))
}

/// The least that is worth trying with: the program itself takes most of it.
fn memory(text: &str) -> Result<u64, String> {
    const LEAST: u64 = 128 << 20;
    let bytes = size(text)?;
    (bytes >= LEAST).then_some(bytes).ok_or_else(|| format!("must be at least {}Mi", LEAST >> 20))
}

/// As Kubernetes writes quantities of bytes: a number, and perhaps Ki, Mi, Gi, k, M or G.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err("no size: such as 512Mi or 1Gi".to_owned()),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    number.ok_or_else(|| "no size: such as 512Mi or 1Gi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_kubernetes() {
        assert_eq!(size("512Mi"), Ok(512 << 20));
        assert_eq!(size("1G"), Ok(1_000_000_000));
        assert_eq!(size("4096"), Ok(4096));
        for wrong in ["", "Mi", "1.5Gi", "-1Mi", "1 Mi", "1mi", "99999999999Gi"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(memory("64Mi").is_err() && memory("128Mi").is_ok());
        assert!(timeout("0s").is_err() && timeout("90s").is_ok() && timeout("2h").is_err());
    }
}
