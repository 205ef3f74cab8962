//! From a few lines of WebAssembly text to a plugin.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What a good plugin's memory holds: `describe` answers with 64, `validate` with 128 (right), `evaluate` with 192 (met,
/// for the reason at 1040). The texts stand from 1024 on.
const DATA: &str = r#"
    (data (i32.const 64) "\00\04\00\00\03\00\00\00\04\04\00\00\05\00\00\00\00\04\00\00\03\00\00\00\0c\04\00\00\02\00\00\00")
    (data (i32.const 200) "\10\04\00\00\03\00\00\00")
    (data (i32.const 1024) "wat\000.1.0\00\00\00{}\00\00Met\00")"#;

/// Gives a borrowed pod back.
const IMPORTS: &str = r#"(import "gatehost:check/pod@0.1.1" "[resource-drop]pod" (func $drop (param i32)))"#;

/// What a good plugin does: each part stands unless the guest has one that begins so.
const PARTS: [(&str, &str); 5] = [
    ("(memory (export", r#"(memory (export "memory") 1)"#),
    ("(func $describe", "(func $describe (result i32) (i32.const 64))"),
    ("(func $validate", "(func $validate (param i32 i32) (result i32) (i32.const 128))"),
    (
        "(func $evaluate",
        "(func $evaluate (param $pod i32) (param i32 i32) (result i32) (call $drop (local.get $pod)) (i32.const 192))",
    ),
    (
        "(func $realloc",
        "(global $at (mut i32) (i32.const 4096))
         (func $realloc (param i32 i32 i32) (param $size i32) (result i32) (local $here i32)
           (local.set $here (i32.and (i32.add (global.get $at) (i32.const 7)) (i32.const -8)))
           (global.set $at (i32.add (local.get $here) (local.get $size)))
           (local.get $here))",
    ),
];

const EXPORTS: &str = r#"
    (export "gatehost:check/gate@0.1.1#describe" (func $describe))
    (export "gatehost:check/gate@0.1.1#validate" (func $validate))
    (export "gatehost:check/gate@0.1.1#evaluate" (func $evaluate))
    (export "cabi_realloc" (func $realloc))"#;

/// A component of a text: a whole one, or what its core module does otherwise than a good plugin's.
///
/// # Panics
/// The text is wrong.
pub fn component(text: &str) -> Vec<u8> {
    if text.contains("(component") {
        return wat::parse_str(text).unwrap();
    }
    let parts: Vec<_> = PARTS.iter().filter(|(begins, _)| !text.contains(begins)).map(|(_, part)| *part).collect();
    let module = format!("(module {DATA} {IMPORTS}\n{text}\n{}\n{EXPORTS})", parts.join("\n"));
    let mut module = wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{module}"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(crate::workspace().join("wit")).unwrap();
    let world = resolve.select_world(&[package], Some("plugin")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&module).unwrap();
    encoder.encode().unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}
