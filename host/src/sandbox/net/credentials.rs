//! Files in the directory of `--credentials`: named without a path, never followed out of it.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    path::PathBuf,
};

use rustix::{
    fs::{FileType, Mode, OFlags, fstat, open, openat, readlinkat},
    io::Errno,
};

/// The largest file that is read, in bytes.
const MOST: u64 = 1 << 20;

/// How many links are followed; what Kubernetes mounts needs two.
const LINKS: usize = 8;

/// The directory, held open: what its name leads to later does not matter.
#[derive(Debug)]
pub(in super::super) struct Directory {
    path: PathBuf,
    descriptor: OwnedFd,
}

/// Why a file of `--credentials` cannot be used; to be put after its name.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The flag is not given.
    #[error("cannot be read: there is no directory of credentials; start the host with --credentials DIR")]
    NoDirectory,
    /// It is not there.
    #[error("is not in the directory of --credentials ({directory}); put it there, or correct the name")]
    Missing {
        /// The directory.
        directory: String,
    },
    /// A link leads out of the directory.
    #[error("is a link that leads out of the directory of --credentials ({directory}); put the file itself there")]
    Outside {
        /// The directory.
        directory: String,
    },
    /// It is a directory, a pipe or a device.
    #[error("is no regular file in the directory of --credentials ({directory})")]
    NoFile {
        /// The directory.
        directory: String,
    },
    /// It is too large to be what it should be.
    #[error("has more than {MOST} bytes")]
    TooLarge,
    /// The system refuses it.
    #[error("cannot be read in the directory of --credentials ({directory}): {error}")]
    Unreadable {
        /// The directory.
        directory: String,
        /// Why.
        error: io::Error,
    },
    /// It holds something else.
    #[error("{what}")]
    Unusable {
        /// What it holds, or does not.
        what: String,
    },
}

const FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

impl Directory {
    /// # Errors
    /// It cannot be opened, or is none.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let descriptor = open(&path, flags, Mode::empty())?;
        // One that may not be searched opens as well.
        openat(&descriptor, ".", flags, Mode::empty())?;
        Ok(Self { path, descriptor })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The content of a file.
    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, CredentialError> {
        let directory = || self.name();
        let file = self.find(name).map_err(|errno| match errno {
            Errno::NOENT => CredentialError::Missing { directory: directory() },
            Errno::XDEV | Errno::LOOP => CredentialError::Outside { directory: directory() },
            Errno::NOTDIR | Errno::NXIO => CredentialError::NoFile { directory: directory() },
            errno => CredentialError::Unreadable { directory: directory(), error: errno.into() },
        })?;
        let unreadable = |error: io::Error| CredentialError::Unreadable { directory: directory(), error };
        let status = fstat(&file).map_err(|errno| unreadable(errno.into()))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(CredentialError::NoFile { directory: directory() });
        }
        let mut content = Vec::new();
        File::from(file).take(MOST + 1).read_to_end(&mut content).map_err(unreadable)?;
        if content.len() as u64 > MOST { Err(CredentialError::TooLarge) } else { Ok(content) }
    }

    /// Walks from the directory, one part of the path after the other, and follows links by itself: only such that lead
    /// downwards, as those of a Kubernetes mount do (`token -> ..data/token`, `..data -> ..2026_11_24`).
    fn find(&self, name: &str) -> Result<OwnedFd, Errno> {
        let mut parts: VecDeque<_> = name.split('/').map(str::to_owned).collect();
        let mut at: Option<OwnedFd> = None;
        let mut links = 0;
        while let Some(part) = parts.pop_front() {
            if part.is_empty() || part == "." {
                continue;
            }
            if part == ".." {
                return Err(Errno::XDEV);
            }
            let directory = at.as_ref().unwrap_or(&self.descriptor);
            let flags = if parts.is_empty() { FLAGS } else { FLAGS | OFlags::DIRECTORY };
            match openat(directory, &part, flags, Mode::empty()) {
                Ok(opened) if parts.is_empty() => return Ok(opened),
                Ok(opened) => at = Some(opened),
                // What systems say of a link that is not to be followed.
                Err(errno @ (Errno::LOOP | Errno::NOTDIR | Errno::MLINK)) => {
                    let target = readlinkat(directory, &part, Vec::new()).map_err(|_| errno)?;
                    let target = target.into_string().map_err(|_| Errno::XDEV)?;
                    links += 1;
                    if links > LINKS || target.starts_with('/') {
                        return Err(Errno::XDEV);
                    }
                    target.rsplit('/').for_each(|part| parts.push_front(part.to_owned()));
                }
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::NOTDIR)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn told(directory: &Directory, name: &str) -> String {
        directory.read(name).unwrap_err().to_string()
    }

    #[test]
    fn the_layout_of_a_kubernetes_mount_is_followed_and_a_swap_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        for (version, content) in [("..2026_1", "old"), ("..2026_2", "new")] {
            fs::create_dir(dir.path().join(version)).unwrap();
            fs::write(dir.path().join(version).join("token"), content).unwrap();
        }
        symlink("..2026_1", dir.path().join("..data")).unwrap();
        symlink("..data/token", dir.path().join("token")).unwrap();
        let directory = Directory::open(dir.path().to_owned()).unwrap();
        assert_eq!(directory.read("token").unwrap(), b"old");
        symlink("..2026_2", dir.path().join("..data_tmp")).unwrap();
        fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
        assert_eq!(directory.read("token").unwrap(), b"new");
    }

    #[test]
    fn nothing_outside_the_directory_is_opened() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("secret"), "x").unwrap();
        let dir = outer.path().join("credentials");
        fs::create_dir(&dir).unwrap();
        fs::create_dir(dir.join("sub")).unwrap();
        symlink(outer.path().join("secret"), dir.join("absolute")).unwrap();
        symlink("../secret", dir.join("upwards")).unwrap();
        symlink("sub/../../secret", dir.join("winding")).unwrap();
        symlink(outer.path(), dir.join("out")).unwrap();
        symlink("out/secret", dir.join("through")).unwrap();
        symlink("round", dir.join("round")).unwrap();
        let directory = Directory::open(dir).unwrap();
        for name in ["absolute", "upwards", "winding", "through", "round"] {
            assert!(told(&directory, name).contains("leads out of the directory"), "{name}");
        }
        for name in ["../secret", "sub/../../secret", "..", "/etc/passwd", "/"] {
            assert!(directory.read(name).is_err(), "{name}");
        }
        assert!(told(&directory, "none").starts_with("is not in the directory of --credentials ("));
        assert!(told(&directory, "sub").contains("no regular file"));
    }

    #[test]
    fn pipes_and_huge_files_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("mkfifo").arg(dir.path().join("pipe")).status().unwrap();
        assert!(made.success());
        File::create(dir.path().join("huge")).unwrap().set_len(MOST + 1).unwrap();
        let directory = Directory::open(dir.path().to_owned()).unwrap();
        assert!(told(&directory, "pipe").contains("no regular file"));
        assert!(told(&directory, "huge").contains("more than 1048576 bytes"));
        assert!(Directory::open(dir.path().join("huge")).is_err());
    }
}
