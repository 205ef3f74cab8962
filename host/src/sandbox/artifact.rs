//! Compiled code in a file that nobody changes any more.

use std::{
    fs::File,
    io,
    os::{fd::AsRawFd as _, unix::fs::FileExt as _},
};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use wasmtime::{Engine, component::Component};

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
    pub(super) fn sealed(file: File) -> io::Result<Self> {
        fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
        Ok(Self(file))
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
