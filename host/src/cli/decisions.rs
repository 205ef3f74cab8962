//! The flags of `run` that say what the host decides, and how fast it writes.

use std::time::Duration;

use jiff::SignedDuration;

use crate::{
    check::{is_reserved, is_subdomain},
    cluster::WATCH_TIMEOUT,
    dispatch::Options,
};

/// The longest `--max-override`: a year.
const LONGEST: Duration = Duration::from_hours(365 * 24);

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Decisions")]
pub(super) struct Decisions {
    /// Gates of this domain that no check answers become Unknown, and say so; repeat it, or separate domains with
    /// commas, for several
    #[arg(long, value_name = "DOMAIN", env = "GATEHOST_CLAIM", value_delimiter = ',', value_parser = domain)]
    claim: Vec<String>,
    /// The furthest end of an override, from now, such as 30m, 24h or 1h30m
    #[arg(long, value_name = "DURATION", env = "GATEHOST_MAX_OVERRIDE", default_value = "24h", value_parser = period)]
    max_override: Duration,
    /// Writes of conditions a second, in the long run
    #[arg(long, value_name = "NUMBER", env = "GATEHOST_KUBE_API_QPS", default_value_t = 200,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    kube_api_qps: u32,
    /// Writes of conditions at once
    #[arg(long, value_name = "NUMBER", env = "GATEHOST_KUBE_API_BURST", default_value_t = 500,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    kube_api_burst: u32,
}

impl Decisions {
    pub(super) fn options(&self, dry_run: bool) -> Options {
        Options {
            dry_run,
            seed: fastrand::u64(..),
            // A variable that is set to nothing, as templates like to, is not set.
            claims: self.claim.iter().filter(|domain| !domain.is_empty()).cloned().collect(),
            max_override: self.max_override,
            writes_per_second: self.kube_api_qps,
            write_burst: self.kube_api_burst,
            ..Options::default()
        }
    }
}

fn domain(text: &str) -> Result<String, &'static str> {
    if !text.is_empty() && !is_subdomain(text) {
        return Err("no DNS domain: such as example.com, in small letters");
    }
    if is_reserved(&format!("{text}/")) {
        return Err("it belongs to Kubernetes, whose gates are never written");
    }
    Ok(text.to_owned())
}

/// `--watch-timeout`.
pub(super) fn watch_timeout(text: &str) -> Result<Duration, String> {
    let (least, most) = (WATCH_TIMEOUT.start().as_secs(), WATCH_TIMEOUT.end().as_secs());
    let duration = duration(text)?;
    let whole = duration.subsec_nanos() == 0 && WATCH_TIMEOUT.contains(&duration);
    whole.then_some(duration).ok_or_else(|| format!("must be whole seconds, {least}s to {most}s"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|_| "no duration: such as 25s, 30m or 1h30m".to_owned())?;
    Ok(Duration::try_from(parsed).unwrap_or_default())
}

fn period(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() || duration > LONGEST {
        return Err(format!("must be more than 0 and at most {}h", LONGEST.as_secs() / 3600));
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use clap::{Args, Command, FromArgMatches as _};

    use super::*;

    fn parse(args: &[&str]) -> Result<Options, clap::Error> {
        let command = Decisions::augment_args(Command::new("run").no_binary_name(true));
        let matches = command.try_get_matches_from(args)?;
        Ok(Decisions::from_arg_matches(&matches)?.options(false))
    }

    #[test]
    fn the_flags_are_what_dispatch_is_given_and_its_defaults_are_the_flags() {
        let (none, default) = (parse(&[]).unwrap(), Options::default());
        assert_eq!(none.max_override, default.max_override);
        assert_eq!((none.writes_per_second, none.write_burst), (default.writes_per_second, default.write_burst));
        assert!(none.claims.is_empty());
        let options = parse(&[
            "--claim=example.com,shop.example",
            "--claim=a.example",
            "--max-override=1h30m",
            "--kube-api-qps=7",
            "--kube-api-burst=9",
        ])
        .unwrap();
        assert_eq!(options.claims, ["example.com", "shop.example", "a.example"]);
        assert_eq!(options.max_override, Duration::from_mins(90));
        assert_eq!((options.writes_per_second, options.write_burst), (7, 9));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arg in [
            "--claim=kubernetes.io",
            "--claim=x.k8s.io",
            "--claim=Example.com",
            "--claim=example.com/warm",
            "--max-override=0s",
            "--max-override=-1h",
            "--max-override=soon",
            "--max-override=9000h",
            "--kube-api-qps=0",
            "--kube-api-burst=-1",
        ] {
            assert!(parse(&[arg]).is_err(), "{arg}");
        }
        assert!(parse(&["--claim="]).unwrap().claims.is_empty());
    }
}
