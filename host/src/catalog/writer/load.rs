//! From a file to what it holds.

use std::{path::PathBuf, sync::Arc};

use sha2::{Digest as _, Sha256};
use tokio::{task::spawn_blocking, time::Instant};

use crate::{
    catalog::{
        disk::{Content, Stamp, read},
        loader::{Loader, Refusal},
        track::{Digest, File, Retry},
    },
    check,
};

/// What came of loading a file.
pub(super) enum Loaded<P> {
    /// It changed while it was read.
    Torn,
    /// It cannot be read.
    Unreadable(String),
    /// The bytes are the ones that were read before.
    Same { racy: bool },
    /// They are others, and this came of them.
    Other { digest: Digest, racy: bool, plugin: Result<P, Refusal> },
}

pub(super) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// Reads and compiles a file whose bytes were `last` when they were read last. What is `known` is not compiled again.
pub(super) async fn load<L: Loader>(
    loader: L,
    path: PathBuf,
    stamp: Stamp,
    last: Option<Digest>,
    known: Vec<(Digest, L::Plugin)>,
) -> Loaded<L::Plugin> {
    let reading = spawn_blocking(move || match read(&path, stamp, L::MAX_FILE) {
        Content::Whole { bytes, racy } => Ok((digest(&bytes), bytes, racy)),
        Content::Torn => Err(Loaded::Torn),
        Content::Unreadable(error) => Err(Loaded::Unreadable(error)),
    });
    let (digest, bytes, racy) = match reading.await {
        Ok(Ok(read)) => read,
        Ok(Err(other)) => return other,
        Err(error) => return Loaded::Unreadable(format!("reading it failed: {error}")),
    };
    if last == Some(digest) {
        return Loaded::Same { racy };
    }
    let plugin = match known.into_iter().find(|(known, _)| *known == digest) {
        Some((_, plugin)) => Ok(plugin),
        None => loader.load(bytes, digest).await,
    };
    Loaded::Other { digest, racy, plugin }
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
        Loaded::Same { racy } => file.was_read(stamp, racy),
        Loaded::Other { digest, racy, plugin } => {
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
            let digest = digest(&bytes);
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
