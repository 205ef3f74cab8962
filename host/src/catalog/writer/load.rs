//! From a file to what it holds.

use std::{path::PathBuf, sync::Arc};

use sha2::{Digest as _, Sha256};
use tokio::{sync::OwnedSemaphorePermit, task::spawn_blocking, time::Instant};

use crate::{
    catalog::{
        disk::{self, Content, Stamp},
        loader::{Loader, Refusal},
        track::{Bytes, Digest, File, Retry, Step},
    },
    check,
};

/// What came of a step of loading a file.
pub(super) enum Loaded<P> {
    /// It changed while it was read.
    Torn,
    /// It cannot be read.
    Unreadable(String),
    /// It was read.
    Read(Bytes),
    /// Its code has to be compiled.
    Cold(Bytes),
    /// This came of it.
    Made(Bytes, Result<P, Refusal>),
}

fn sha256(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// Reads a file for its digest. Its bytes are not kept: however many files are read, they take no memory.
pub(super) async fn read<L: Loader>(path: PathBuf, stamp: Stamp) -> Loaded<L::Plugin> {
    let reading = spawn_blocking(move || match disk::digest(&path, stamp, L::MAX_FILE) {
        Content::Whole { bytes: digest, racy } => Loaded::Read(Bytes { digest, racy }),
        Content::Torn => Loaded::Torn,
        Content::Unreadable(error) => Loaded::Unreadable(error),
    });
    reading.await.unwrap_or_else(|error| Loaded::Unreadable(format!("reading it failed: {error}")))
}

/// Makes a plugin of code that is in a cache.
pub(super) async fn find<L: Loader>(loader: L, bytes: Bytes) -> Loaded<L::Plugin> {
    match loader.find(bytes.digest).await.transpose() {
        Some(plugin) => Loaded::Made(bytes, plugin),
        None => Loaded::Cold(bytes),
    }
}

/// Compiles a file that was read before and held `bytes`.
pub(super) async fn compile<L: Loader>(
    loader: L,
    path: PathBuf,
    stamp: Stamp,
    bytes: Bytes,
    turn: OwnedSemaphorePermit,
) -> Loaded<L::Plugin> {
    let reading = spawn_blocking(move || match disk::read(&path, stamp, L::MAX_FILE) {
        Content::Whole { bytes: read, .. } if sha256(&read) == bytes.digest => Ok(read),
        Content::Whole { .. } | Content::Torn => Err(Loaded::Torn),
        Content::Unreadable(error) => Err(Loaded::Unreadable(error)),
    });
    match reading.await {
        Ok(Ok(read)) => Loaded::Made(bytes, loader.load(read, bytes.digest, turn).await),
        Ok(Err(other)) => other,
        Err(error) => Loaded::Unreadable(format!("reading it failed: {error}")),
    }
}

/// Notes what came of a file.
pub(super) fn take<P>(file: &mut File<P>, stamp: Stamp, loaded: Loaded<P>) {
    match loaded {
        Loaded::Torn => file.torn(Instant::now()),
        Loaded::Unreadable(error) => {
            file.error = Some(error);
            file.digest = None;
            file.was_read(stamp, true);
        }
        // The same bytes as before: what came of them is known.
        Loaded::Read(Bytes { digest, racy }) if file.digest == Some(digest) => file.was_read(stamp, racy),
        Loaded::Read(bytes) => file.go_on(stamp, Step::Find(bytes)),
        Loaded::Cold(bytes) => file.go_on(stamp, Step::Compile(bytes)),
        Loaded::Made(Bytes { digest, racy }, plugin) => {
            file.digest = Some(digest);
            file.again = match &plugin {
                Err(refusal) if refusal.again => Some(Retry::after(file.again)),
                _ => None,
            };
            match plugin {
                Ok(plugin) => {
                    file.plugin = Some((digest, plugin));
                    file.error = None;
                }
                Err(refusal) => file.error = Some(refusal.error),
            }
            file.was_read(stamp, racy);
        }
    }
}

/// Notes what documents say.
pub(super) fn take_documents<P>(file: &mut File<P>, stamp: Stamp, content: Content, pods: bool) {
    match content {
        Content::Torn => file.torn(Instant::now()),
        Content::Unreadable(error) => {
            file.error = Some(error);
            file.was_read(stamp, true);
        }
        Content::Whole { bytes, racy } => {
            let digest = sha256(&bytes);
            file.error = None;
            if file.digest.replace(digest) != Some(digest) {
                if let Ok(text) = String::from_utf8(bytes) {
                    file.parsed = Some(Arc::new(check::parse(&text, pods)));
                } else {
                    file.digest = None;
                    file.error = Some("it is not UTF-8 text; save it as UTF-8".into());
                }
            }
            file.was_read(stamp, racy);
        }
    }
}
