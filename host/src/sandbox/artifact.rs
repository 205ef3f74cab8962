//! Compiled code in a file that nobody changes any more.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
    time::Duration,
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep},
};
use wasmtime::{Engine, component::Component};

/// How long a page of a file may be in use before the file is given up. The kernel itself uses one for a moment, as when
/// it compacts memory, and for longer on a busy machine.
const BUSY: Duration = Duration::from_secs(10);

/// The pause between two attempts, each of which waits for the pages as well, for a tenth of a second or so.
const AGAIN: Duration = Duration::from_millis(20);

/// A compiled component: in memory, or in the cache.
#[derive(Debug)]
pub(super) struct Artifact(File);

impl Artifact {
    /// A file in memory, without a name, for the compiler to write to.
    pub(super) fn blank() -> io::Result<File> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        Ok(memfd_create("gatehost artifact", flags)?.into())
    }

    /// The same when the compiler has ended: from here on nobody can change it.
    ///
    /// # Errors
    /// `EBUSY` if something else has its pages in use for 10 s: `fcntl(2)` refuses to seal them while they could still be
    /// written to.
    pub(super) async fn sealed(mut file: File) -> io::Result<Self> {
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        let end = Instant::now() + BUSY;
        loop {
            let answer = spawn_blocking(move || (fcntl_add_seals(&file, seals), file)).await;
            let (sealed, same) = answer.map_err(io::Error::other)?;
            file = same;
            match sealed {
                Err(Errno::BUSY) if Instant::now() < end => sleep(AGAIN).await,
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(Self(file)),
            }
        }
    }

    /// A file of the cache that was verified.
    pub(super) fn cached(file: File) -> Self {
        Self(file)
    }

    pub(super) fn file(&self) -> &File {
        &self.0
    }

    /// Maps it as code. The engine checks that it was compiled for such an engine and such a processor.
    #[expect(unsafe_code, reason = "the engine cannot check that what it runs came from a compiler")]
    pub(super) fn map(&self, engine: &Engine) -> wasmtime::Result<Component> {
        let path = format!("/proc/self/fd/{}", self.0.as_raw_fd());
        // SAFETY: what is mapped must come from the compiler and must not change as long as it is mapped.
        //
        // A sealed file holds what the compiler wrote, a function of this program that ran in this process or in one that
        // it started; the seals keep everybody, the compiler included, from changing it.
        //
        // A file of the cache was opened in a directory that this user or root owns and nobody else can write to, and is
        // itself such a file. Hosts write such files under another name and rename them when they are complete: none is
        // changed under its name, and removing one does not touch what is mapped. Its checksum, verified before, tells
        // what a disk or a crash did to it. Whoever can still change it is this user or root, who can change this
        // process as well.
        //
        // The path is that of the descriptor that is held here, and not a name that could have come to mean another file.
        let mapped = unsafe { Component::deserialize_file(engine, path) };
        if mapped.is_ok() {
            return mapped;
        }
        // Without /proc, or on a file system that is mounted noexec, it is copied into memory of this process.
        let bytes = self.read()?;
        // SAFETY: as above; and a copy cannot change.
        unsafe { Component::deserialize(engine, bytes) }
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.0.metadata()?.len()).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.0.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::io::{Read as _, Write as _, pipe};

    use rustix::pipe::{SpliceFlags, splice};

    use super::*;

    /// A file whose only page is in use for as long as nobody reads what is in the pipe.
    fn in_use() -> (File, io::PipeReader) {
        let (reader, writer) = pipe().unwrap();
        let mut file = Artifact::blank().unwrap();
        file.write_all(b"code").unwrap();
        assert_eq!(splice(&file, Some(&mut 0), &writer, None, 4, SpliceFlags::empty()), Ok(4));
        (file, reader)
    }

    #[tokio::test]
    async fn a_file_whose_pages_are_in_use_is_sealed_when_they_are_free() {
        let (file, mut reader) = in_use();
        let mut other = file.try_clone().unwrap();
        let seals = SealFlags::WRITE;
        assert_eq!(fcntl_add_seals(&file, seals), Err(Errno::BUSY), "or this test tests nothing");
        let sealed = tokio::spawn(Artifact::sealed(file));
        sleep(AGAIN).await;
        assert!(!sealed.is_finished());
        other.write_all(b"more").unwrap();
        reader.read_exact(&mut [0; 4]).unwrap();
        sealed.await.unwrap().unwrap();
        assert!(other.write_all(b"x").is_err());
    }

    #[tokio::test]
    async fn a_file_whose_pages_stay_in_use_is_given_up() {
        let (file, _reader) = in_use();
        assert_eq!(Artifact::sealed(file).await.unwrap_err().raw_os_error(), Some(Errno::BUSY.raw_os_error()));
    }
}
