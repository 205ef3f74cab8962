//! One file of the cache: an artifact, and behind it what tells that it is whole and whose it is.

use std::{
    fs::File,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
};

use crc32fast::Hasher;

use crate::sandbox::load::Digest;

/// What a file ends with: its kind and the version of this layout.
const MAGIC: &[u8; 16] = b"gatehost cwasm 1";

/// Behind the artifact stand its checksum, the component's digest, and the magic.
const TRAILER: usize = 4 + 32 + MAGIC.len();

/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 20;

/// Copies an artifact into a new file, with the trailer.
pub(super) fn write(artifact: &File, to: &mut File, component: &Digest) -> io::Result<()> {
    let length = artifact.metadata()?.len();
    let checksum = each_chunk(artifact, length, |chunk| to.write_all(chunk))?;
    to.write_all(&trailer(checksum, component))
}

/// Whether a file holds a whole artifact of this component; else what is wrong with it.
pub(super) fn verify(file: &File, component: &Digest) -> Result<(), String> {
    let read = || -> io::Result<bool> {
        let Some(length) = file.metadata()?.len().checked_sub(TRAILER as u64) else { return Ok(false) };
        let mut told = [0; TRAILER];
        file.read_exact_at(&mut told, length)?;
        // What does not even look like one is not read.
        Ok(told.ends_with(MAGIC) && told == trailer(each_chunk(file, length, |_| Ok(()))?, component))
    };
    match read() {
        Ok(true) => Ok(()),
        Ok(false) => Err("it is damaged".to_owned()),
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}

fn trailer(checksum: u32, component: &Digest) -> [u8; TRAILER] {
    let mut trailer = [0; TRAILER];
    trailer[..4].copy_from_slice(&checksum.to_le_bytes());
    trailer[4..36].copy_from_slice(component.bytes());
    trailer[36..].copy_from_slice(MAGIC);
    trailer
}

/// Reads the first `length` bytes; their checksum. It finds accidents: who could write here is no adversary.
fn each_chunk(file: &File, length: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<u32> {
    let (mut hasher, mut chunk, mut at) = (Hasher::new(), vec![0; CHUNK], 0);
    while at < length {
        let size = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
        let chunk = &mut chunk[..size];
        file.read_exact_at(chunk, at)?;
        hasher.update(chunk);
        take(chunk)?;
        at += size as u64;
    }
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: &[u8], component: &Digest) -> File {
        let (from, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.write_all_at(bytes, 0).unwrap();
        write(&from, &mut to, component).unwrap();
        to
    }

    #[test]
    fn a_whole_artifact_of_the_component_is_told_from_all_else() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1] {
            let file = entry(&vec![7; length], &one);
            assert_eq!(verify(&file, &one), Ok(()), "{length}");
            assert!(verify(&file, &other).is_err());
            // Each byte of the end, and the first and the last of the artifact.
            let whole = file.metadata().unwrap().len();
            for at in (length as u64..whole).chain((length > 0).then_some(0)) {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[!byte[0]], at).unwrap();
                assert_eq!(verify(&file, &one), Err("it is damaged".to_owned()), "{length}: {at}");
                file.write_all_at(&byte, at).unwrap();
            }
            for cut in [whole - 1, whole - 16, 51, 0] {
                file.set_len(cut).unwrap();
                assert!(verify(&file, &one).is_err(), "{length}: {cut}");
            }
        }
    }
}
