//! What turns a C program into a plugin: the bindings that `wit-bindgen c` writes and the component that `wasm-tools
//! component new` makes, by the libraries that those commands are made of.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use wit_bindgen_core::Files;
use wit_component::ComponentEncoder;
use wit_parser::Resolve;

/// Writes the C bindings of the package in `wit` (plugin.h, plugin.c and an object that holds the types) into `out`.
///
/// # Errors
/// The package does not parse, or `out` cannot be written.
pub fn c_bindings(wit: &Path, out: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).with_context(|| wit.display().to_string())?;
    let world = resolve.select_world(&[package], Some("plugin"))?;
    // Without `autodrop_borrows` a plugin that forgets to drop the pod traps.
    let options = wit_bindgen_c::Opts { autodrop_borrows: wit_bindgen_c::Enabled::Yes, ..Default::default() };
    let mut files = Files::default();
    options.build().generate(&mut resolve, world, &mut files)?;
    for (name, bytes) in files.iter() {
        let file = out.join(name);
        fs::write(&file, bytes).with_context(|| file.display().to_string())?;
    }
    Ok(())
}

/// The component of a core module that was linked with those bindings, as a reactor, and imports nothing of WASI.
///
/// # Errors
/// The module lacks what the world wants, imports anything else, or is none.
pub fn encode(module: &[u8]) -> Result<Vec<u8>> {
    ComponentEncoder::default().validate(true).module(module)?.encode()
}
