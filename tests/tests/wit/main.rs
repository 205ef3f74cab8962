//! wit/ is the product's public face: everything in it is documented and versioned, no name in it is trouble in a
//! language that plugins are written in, and the bindings of those languages can be generated and used.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::path::PathBuf;

use wit_parser::{PackageId, Resolve};

mod bindings;
mod items;
mod rules;
mod words;

/// The repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The package in wit/.
fn package() -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(root().join("wit")).unwrap();
    (resolve, package)
}
