//! One directory of artifacts, opened once, and whether what stands in it may be run.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStringExt as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, fchmod, fstat,
        futimens, mkdirat, open, openat, renameat, statat, unlinkat,
    },
    io::Errno,
    process::{geteuid, getpid},
};

use super::entry;
use crate::sandbox::{artifact::Artifact, load::Digest};

/// The directory that is made inside the one that is given.
const OWN: &str = "gatehost";

/// What a file is called while it is written.
const NEW: &str = ".new-";

/// After this long, one was left behind by a host that was killed.
const STALE: Duration = Duration::from_hours(1);

/// Bits of a mode that let others write.
const OTHERS_WRITE: u32 = 0o022;

/// A directory that only its owner can change, who is this user or root.
#[derive(Debug)]
pub(super) struct Layer {
    directory: OwnedFd,
    path: PathBuf,
    owner: u32,
    /// Others may read what is written.
    readable: bool,
}

/// What came of looking for a file.
pub(super) enum Look {
    None,
    Found(Artifact),
    /// It is there, and not to be used.
    Bad(String),
}

impl Layer {
    /// Opens the directory for artifacts inside `given`, and makes it where it is not there. `readable`: others may read
    /// it.
    pub(super) fn open(given: &Path, readable: bool) -> Result<Self, String> {
        let path = given.join(OWN);
        let name = path.display();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let outer =
            open(given, flags, Mode::empty()).map_err(|error| format!("{}: {}", given.display(), unopened(error)))?;
        let mode = if readable { Mode::from_raw_mode(0o755) } else { Mode::RWXU };
        let made = match mkdirat(&outer, OWN, mode) {
            Ok(()) => true,
            // It may be there all the same.
            Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS | Errno::PERM) => false,
            Err(error) => return Err(format!("{name}: cannot be made: {error}")),
        };
        let directory = openat(&outer, OWN, flags | OFlags::NOFOLLOW, Mode::empty()).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => format!("{name}: is not a directory (links are not followed); remove it"),
            Errno::NOENT => {
                format!("{name}: is not there and cannot be made; let this user write to {}", given.display())
            }
            error => format!("{name}: cannot be opened: {error}"),
        })?;
        if made && readable {
            // Whatever the mask of new files says.
            fchmod(&directory, mode).map_err(|error| format!("{name}: its mode cannot be set: {error}"))?;
        }
        let stat = fstat(&directory).map_err(|error| format!("{name}: cannot be examined: {error}"))?;
        let owner = if stat.st_uid == 0 { 0 } else { geteuid().as_raw() };
        if !is_trusted(&stat, owner) {
            return Err(format!(
                "{name}: may be written to by others (owner {}, mode {:04o}): what stands in it is not run; it must \
                 belong to this user ({}) or to root, with no write permission for group and others",
                stat.st_uid,
                stat.st_mode & 0o7777,
                geteuid().as_raw()
            ));
        }
        Ok(Self { directory, path, owner: stat.st_uid, readable })
    }

    /// Whether it is this user's, to write to and to clear.
    pub(super) fn is_own(&self) -> bool {
        self.owner == geteuid().as_raw()
    }

    pub(super) fn find(&self, name: &str, component: &Digest) -> Look {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(&self.directory, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Look::None,
            Err(error) => return Look::Bad(format!("it cannot be opened: {error}")),
        };
        match fstat(&file) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile => {
                return Look::Bad("it is not a regular file".to_owned());
            }
            Ok(stat) if !is_trusted(&stat, self.owner) => return Look::Bad("others may write to it".to_owned()),
            Ok(_) => {}
            Err(error) => return Look::Bad(format!("it cannot be examined: {error}")),
        }
        if let Err(what) = entry::verify(&file, component) {
            return Look::Bad(what);
        }
        if self.is_own() {
            // For what was not used for long is removed first. Where the file system is read-only, nothing is removed.
            let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
            let kept = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
            let _ = futimens(&file, &Timestamps { last_access: kept, last_modification: now });
        }
        Look::Found(Artifact::cached(file))
    }

    /// Writes an artifact under another name and renames it; what stands under `name` then.
    pub(super) fn store(&self, name: &str, component: &Digest, artifact: &Artifact) -> io::Result<Artifact> {
        let new = format!("{NEW}{}-{:016x}", getpid().as_raw_nonzero(), fastrand::u64(..));
        let written = self.write(&new, component, artifact).and_then(|()| {
            renameat(&self.directory, &new, &self.directory, name)?;
            Ok(openat(&self.directory, name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
        });
        if written.is_err() {
            self.remove(&new);
        }
        written.map(|file| Artifact::cached(file.into()))
    }

    fn write(&self, new: &str, component: &Digest, artifact: &Artifact) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.directory, new, flags, Mode::RUSR | Mode::WUSR)?);
        entry::write(artifact.file(), &mut file, component)?;
        fchmod(&file, Mode::from_raw_mode(if self.readable { 0o444 } else { 0o400 }))?;
        Ok(())
    }

    pub(super) fn remove(&self, name: &str) {
        // One that is gone already, or cannot be removed, is not read as another.
        let _ = unlinkat(&self.directory, name, AtFlags::empty());
    }

    /// Removes what was not used for longest until at most `size` bytes are left; never `but`.
    pub(super) fn shrink(&self, size: u64, but: &str) -> io::Result<()> {
        let mut files = Vec::new();
        for file in Dir::read_from(&self.directory)? {
            let name = OsString::from_vec(file?.file_name().to_bytes().to_vec());
            // Another host may have removed it.
            let Ok(stat) = statat(&self.directory, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                files.push((modified(&stat), u64::try_from(stat.st_size).unwrap_or(0), name));
            }
        }
        files.sort();
        let mut left: u64 = files.iter().map(|(_, size, _)| size).sum();
        for (modified, length, name) in files {
            let name = name.to_string_lossy();
            let is_new = name.starts_with(NEW);
            let is_stale = modified.elapsed().is_ok_and(|age| age > STALE);
            if (is_new && is_stale) || (!is_new && left > size && name != but) {
                self.remove(&name);
                left -= length;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

/// Why a directory that was named cannot be opened, and the mend.
fn unopened(error: Errno) -> String {
    match error {
        Errno::NOENT => "no such directory; create it or name another".to_owned(),
        Errno::NOTDIR => "not a directory; name the directory that the cache is to be made in".to_owned(),
        Errno::ACCESS => "this user may not read the directory; grant it read and search permission".to_owned(),
        error => format!("cannot be opened as a directory: {error}"),
    }
}

/// Whether only this owner can change it.
fn is_trusted(stat: &Stat, owner: u32) -> bool {
    stat.st_uid == owner && stat.st_mode & OTHERS_WRITE == 0
}

fn modified(stat: &Stat) -> SystemTime {
    let seconds = Duration::from_secs(u64::try_from(stat.st_mtime).unwrap_or(0));
    let rest = Duration::from_nanos(stat.st_mtime_nsec);
    SystemTime::UNIX_EPOCH + seconds + rest
}
