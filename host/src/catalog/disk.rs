//! Listing directories and reading whole files. Everything here blocks.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, Read as _, Write},
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};

/// File systems keep times as coarse as this: a file that is older has another time after a change.
const COARSE: Duration = Duration::from_secs(2);

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) id: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            id: (meta.dev(), meta.ino()),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Whether the last change lies so far back that any later one shows in the stamp.
    pub(super) fn is_old(&self, now: SystemTime) -> bool {
        let Ok(since) = now.duration_since(UNIX_EPOCH) else { return false };
        let last = self.modified.max(self.changed);
        u64::try_from(last.0).is_ok_and(|secs| Duration::from_secs(secs + 1) + COARSE < since)
    }

    /// Whether it is the same file with the same content, under whatever name: a rename moves only its change time.
    pub(super) fn is_same_content(&self, other: &Self) -> bool {
        (self.id, self.size, self.modified) == (other.id, other.size, other.modified)
    }
}

/// A name in a directory that may be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A regular file, or a link to one.
    File(Stamp),
    /// A link that points to nothing, perhaps only now.
    Dangling,
}

/// What a directory holds.
#[derive(Debug)]
pub(super) struct Listing {
    /// Which directory it is: another one may take its name.
    pub(super) id: (u64, u64),
    pub(super) entries: BTreeMap<String, Entry>,
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plugin,
    Documents,
}

/// Plugins and documents; hidden files, and `..data` of a mounted `ConfigMap` with them, are none.
pub(super) fn kind(name: &str) -> Option<Kind> {
    if name.starts_with('.') {
        return None;
    }
    match Path::new(name).extension()?.to_str()? {
        "wasm" => Some(Kind::Plugin),
        "yaml" | "yml" | "json" => Some(Kind::Documents),
        _ => None,
    }
}

/// Lists what may be ours. Nothing is opened: a FIFO or a device would block.
pub(super) fn list(directory: &Path) -> io::Result<Listing> {
    let meta = fs::metadata(directory)?;
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if kind(&name).is_none() {
            continue;
        }
        match fs::metadata(entry.path()) {
            Ok(meta) if meta.is_file() => {
                entries.insert(name, Entry::File(Stamp::of(&meta)));
            }
            Ok(_) => {}
            // What is gone since the name was read is not there; a link that leads nowhere still is.
            Err(_) => match fs::symlink_metadata(entry.path()) {
                Ok(_) => drop(entries.insert(name, Entry::Dangling)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                // A directory that may not be searched, a disk that fails: nobody can tell what is there.
                Err(e) => return Err(e),
            },
        }
    }
    Ok(Listing { id: (meta.dev(), meta.ino()), entries })
}

/// What came of reading a file.
#[derive(Debug)]
pub(super) enum Content<T = Vec<u8>> {
    /// All of it, and whether a later change might leave the stamp as it is.
    Whole { bytes: T, racy: bool },
    /// It changed meanwhile.
    Torn,
    /// It cannot be read: one line.
    Unreadable(String),
}

/// Reads a file of at most `most` bytes, if it is and stays what `stamp` says.
pub(super) fn read(path: &Path, stamp: Stamp, most: u64) -> Content {
    read_into(path, stamp, most, Vec::with_capacity(usize::try_from(stamp.size.min(most)).unwrap_or_default()))
}

/// The same, and only its SHA-256 is kept.
pub(super) fn digest(path: &Path, stamp: Stamp, most: u64) -> Content<[u8; 32]> {
    match read_into(path, stamp, most, Sha256::new()) {
        Content::Whole { bytes, racy } => Content::Whole { bytes: bytes.finalize().into(), racy },
        Content::Torn => Content::Torn,
        Content::Unreadable(error) => Content::Unreadable(error),
    }
}

fn read_into<T: Write>(path: &Path, stamp: Stamp, most: u64, to: T) -> Content<T> {
    if stamp.size > most {
        return Content::Unreadable(format!("it has {} bytes; {most} are the most that is read", stamp.size));
    }
    let racy = !stamp.is_old(SystemTime::now());
    match try_read(path, stamp, to) {
        Ok(Some(bytes)) => Content::Whole { bytes, racy },
        Ok(None) => Content::Torn,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Content::Torn,
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
            Content::Unreadable("this user may not read it; grant read permission".to_owned())
        }
        Err(e) => Content::Unreadable(format!("it cannot be read: {e}")),
    }
}

fn try_read<T: Write>(path: &Path, stamp: Stamp, mut to: T) -> io::Result<Option<T>> {
    let same = |meta: &Metadata| meta.is_file() && Stamp::of(meta) == stamp;
    if !same(&fs::metadata(path)?) {
        return Ok(None);
    }
    let mut file = File::open(path)?;
    let length = io::copy(&mut (&mut file).take(stamp.size + 1), &mut to)?;
    let whole = length == stamp.size && same(&file.metadata()?) && same(&fs::metadata(path)?);
    Ok(whole.then_some(to))
}
