//! What the imports that go over the network stand on: names, addresses, connections, credentials.
//!
//! ```text
//! http, tcp ── entry of spec.allow ──► resolver ──► filter ──► connect ──► tls ──► an answer or a failure
//! ```
//!
//! All of it runs where the guest runs, and ends with the call that asked for it.

use std::path::PathBuf;

use self::{credentials::Directory, resolver::Resolver};

mod clients;
mod connect;
mod credentials;
mod failure;
mod filter;
mod request;
mod resolver;
mod stream;
mod tls;

pub use credentials::CredentialError;
pub(super) use {
    clients::{Clients, Unready},
    connect::{Unconnected, connect, dial, reachable},
    failure::{Trouble, http_trouble, io_trouble},
    filter::forbidden,
    request::Checked,
    stream::Heard,
};

/// What all checks share.
#[derive(Debug, Default)]
pub(super) struct Net {
    pub(super) resolver: Resolver,
    /// `--credentials`.
    pub(super) credentials: Option<Directory>,
}

impl Net {
    pub(super) fn new(credentials: Option<PathBuf>) -> std::io::Result<Self> {
        Ok(Self { resolver: Resolver::default(), credentials: credentials.map(Directory::open).transpose()? })
    }
}
