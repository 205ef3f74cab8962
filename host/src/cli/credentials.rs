//! The flag `--credentials`, of `run` and `dev`.

use std::path::PathBuf;

use super::{Failure, check_directories};
use crate::sandbox;

#[derive(Debug, clap::Args)]
pub(super) struct Credentials {
    /// The directory with the files that checks name under spec.allow: ca, bearerToken, clientCertificate, clientKey; a
    /// mounted Secret [default: none, and such a check is an error]
    #[arg(long, value_name = "DIR", env = "GATEHOST_CREDENTIALS", value_hint = clap::ValueHint::DirPath)]
    credentials: Option<PathBuf>,
}

impl Credentials {
    /// What the sandbox is given.
    pub(super) fn options(&self) -> Result<sandbox::Options, Failure> {
        check_directories(self.credentials.as_slice())?;
        Ok(sandbox::Options { credentials: self.credentials.clone(), ..sandbox::Options::default() })
    }
}
