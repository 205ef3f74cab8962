//! What `run` and `dev` give the sandbox: the flags `--credentials` and `--max-limits`.

use std::path::PathBuf;

use super::{Failure, check_directories};
use crate::{
    check::{Limit, Limits},
    sandbox,
};

#[derive(Debug, clap::Args)]
pub(super) struct Credentials {
    /// The directory with the files that checks name under spec.allow: ca, bearerToken, clientCertificate, clientKey; a
    /// mounted Secret [default: none, and such a check is an error]
    #[arg(long, value_name = "DIR", env = "GATEHOST_CREDENTIALS", value_hint = clap::ValueHint::DirPath)]
    credentials: Option<PathBuf>,
    /// The most that a check may ask for under spec.limits, such as memory=256Mi,handles=5000; one that asks for more
    /// is an error [default: what is usual]
    #[arg(long, value_name = "LIMIT=VALUE", env = "GATEHOST_MAX_LIMITS", value_delimiter = ',',
          value_parser = Limits::read_pair)]
    max_limits: Vec<(Limit, u32)>,
}

impl Credentials {
    /// What the sandbox is given.
    pub(super) fn options(&self) -> Result<sandbox::Options, Failure> {
        check_directories(self.credentials.as_slice())?;
        let ceilings = self.max_limits.iter().copied().collect();
        Ok(sandbox::Options { credentials: self.credentials.clone(), ceilings, ..sandbox::Options::default() })
    }
}
