#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
use std::{io::Write as _, path::Path};

use wasmtime::{Config, Engine};

use super::*;
use crate::sandbox::{Options, Origin, Sandbox};

/// A plugin.
const COMPONENT: &[u8] = include_bytes!("../../../../tests/fixtures/plugin-0.1.0.wasm");

fn sandbox(cache: &Path) -> Sandbox {
    let caches = Caches { directories: vec![cache.to_owned()], ..Caches::default() };
    Sandbox::with(Options { caches, ..Options::default() }).unwrap()
}

#[tokio::test]
async fn what_another_engine_compiled_is_refused_by_this_one_and_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    // Such an engine neither ends a guest in time nor finds its own settings here.
    let other = Engine::new(&Config::new()).unwrap().precompile_component(COMPONENT).unwrap();
    let mut file = Artifact::blank().unwrap();
    file.write_all(&other).unwrap();
    let artifact = Artifact::sealed(file).await.unwrap();
    let digest = Digest::of(COMPONENT);
    let first = sandbox(directory.path());
    assert!(first.shared.cache.store(&digest, &artifact).is_some());
    assert!(first.shared.cache.find(&digest).is_some(), "whole, and called as what this host would look for");
    assert_eq!(first.load(COMPONENT.to_vec()).await.unwrap().origin(), Origin::Stored);
    assert_eq!(sandbox(directory.path()).load(COMPONENT.to_vec()).await.unwrap().origin(), Origin::Cache);
}

#[test]
fn a_directory_that_cannot_be_a_cache_is_named_with_the_mend() {
    let directory = tempfile::tempdir().unwrap();
    let (missing, file) = (directory.path().join("missing"), directory.path().join("file"));
    std::fs::write(&file, "").unwrap();
    for (path, mend) in [
        (&missing, "no such directory; create it or name another"),
        (&file, "not a directory; name the directory that the cache is to be made in"),
    ] {
        for fill in [false, true] {
            assert_eq!(Layer::open(path, fill).unwrap_err(), format!("{}: {mend}", path.display()));
        }
    }
}

#[tokio::test]
async fn an_artifact_in_memory_cannot_be_changed() {
    let mut file = Artifact::blank().unwrap();
    file.write_all(b"code").unwrap();
    let mut other = file.try_clone().unwrap();
    let artifact = Artifact::sealed(file).await.unwrap();
    assert!(other.write_all(b"x").is_err());
    assert!(other.set_len(0).is_err());
    assert_eq!(artifact.file().metadata().unwrap().len(), 4);
}
