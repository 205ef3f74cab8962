//! What `make examples` makes a plugin of a C program with, so that nothing has to be installed for it.
//!
//! ```sh
//! component bindings WIT OUT          # as wit-bindgen c --autodrop-borrows yes --out-dir OUT WIT
//! component new CORE.wasm OUT.wasm    # as wasm-tools component new CORE.wasm -o OUT.wasm
//! ```

use std::{env, fs, path::Path};

use anyhow::{Context as _, Result, bail};
use gatehost_tests::component;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bindings", wit, out] => component::c_bindings(Path::new(wit), Path::new(out)),
        ["new", core, out] => {
            let module = fs::read(core).with_context(|| core.to_owned())?;
            let plugin = component::encode(&module).with_context(|| core.to_owned())?;
            fs::write(out, plugin).with_context(|| out.to_owned())
        }
        _ => bail!("usage: component bindings WIT OUT, or component new CORE.wasm OUT.wasm"),
    }
}
