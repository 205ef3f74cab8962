//! Components and modules that wasm-smith makes, valid and odd. With `COMPONENT=FILE` in the environment the component of
//! an input is written to that file, to be kept under corpus/load.
#![no_main]

use std::{env, fs};

use arbitrary::{Result, Unstructured};
use libfuzzer_sys::{Corpus, fuzz_target};
use wasm_smith::{Component, Config, Module};

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let Ok(component) = component(&mut Unstructured::new(bytes)) else { return Corpus::Reject };
    if let Some(file) = env::var_os("COMPONENT") {
        fs::write(file, &component).expect("the component cannot be written");
    }
    gatehost_fuzz::load::load(&component);
    Corpus::Keep
});

/// A component of its own making, or a module of its own making in something that looks like a plugin, so that it is
/// compiled, linked and started.
fn component(from: &mut Unstructured) -> Result<Vec<u8>> {
    let whole = from.arbitrary()?;
    let config = config(from.arbitrary()?);
    if whole { Ok(Component::new(config, from)?.to_bytes()) } else { Ok(shell(&module(config, from)?)) }
}

/// One that comes to an end: what does not is the limits' to find, in seconds.
fn module(config: Config, from: &mut Unstructured) -> Result<Vec<u8>> {
    let mut module = Module::new(Config { max_imports: 0, min_imports: 0, ..config }, from)?;
    module.ensure_termination(10_000).map_err(|_| arbitrary::Error::IncorrectFormat)?;
    Ok(module.to_bytes())
}

/// Mostly what the host's engine takes, so that most of what is made gets past the first look.
fn config(strange: Option<Config>) -> Config {
    strange.unwrap_or(Config {
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        compact_imports_enabled: false,
        max_memory32_bytes: 64 << 20,
        max_table_elements: 1000,
        ..Config::default()
    })
}

fn shell(module: &[u8]) -> Vec<u8> {
    let shell = wat::parse_str(
        r#"(component
            (core module)
            (core instance (instantiate 0))
            (core module (func (export "f")))
            (core instance (instantiate 1))
            (func (canon lift (core func 1 "f")))
            (instance (export "describe" (func 0)) (export "validate" (func 0)) (export "evaluate" (func 0)))
            (export "gatehost:check/gate@0.1.1" (instance 0)))"#,
    );
    let shell = shell.expect("the shell is a component");
    // Behind the eight bytes of a component's begin stands the section of the module that does nothing.
    let (begin, nothing, rest) = (&shell[..8], &shell[8..18], &shell[18..]);
    assert_eq!(nothing, b"\x01\x08\0asm\x01\0\0\0");
    let size = [0, 7, 14, 21].map(|shift| 0x80 | (module.len() >> shift) as u8 & 0x7f);
    [begin, &[1], &size, &[0], module, rest].concat()
}
