//! Files that are no plugins: each gets an error of its own and a line that says what to do.

use gatehost::sandbox::{Digest, LoadError, Sandbox};

use crate::guest;

/// A component that exports `gate` in this version and imports what is given, in the text format.
fn component(version: &str, imports: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {imports}
            (core module $m (func (export "f")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "f")))
            (instance $gate (export "describe" (func $f)) (export "validate" (func $f)) (export "evaluate" (func $f)))
            (export "gatehost:check/gate@{version}" (instance $gate)))"#
    );
    wat::parse_str(text).unwrap()
}

async fn refused(bytes: Vec<u8>) -> LoadError {
    Sandbox::new().unwrap().load(bytes).await.unwrap_err()
}

#[tokio::test]
async fn a_good_plugin_loads_and_describes_itself() {
    let bytes = guest("good");
    let plugin = Sandbox::new().unwrap().load(bytes.clone()).await.unwrap();
    assert_eq!(plugin.digest(), Digest::of(&bytes));
    let description = plugin.description();
    assert_eq!((description.name.as_str(), description.version.as_str()), ("guest", "0.1.0"));
    assert_eq!(description.config_schema, r#"{"type":"integer"}"#);
}

#[tokio::test]
async fn what_is_no_webassembly_is_refused() {
    for bytes in [&b""[..], b"apiVersion: v1\n", b"\x7fELF....", b"\0asm\x09\0\0\0"] {
        let error = refused(bytes.to_vec()).await;
        assert!(matches!(error, LoadError::NotWasm), "{error:?}");
    }
}

#[tokio::test]
async fn a_core_module_is_refused() {
    let error = refused(wat::parse_str("(module)").unwrap()).await;
    assert!(matches!(error, LoadError::CoreModule), "{error:?}");
    assert_eq!(error.to_string(), "this is a core module, not a component; build for wasm32-wasip2");
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_never_a_plugin() {
    let bytes = guest("good");
    for end in [6, 9, 100, bytes.len() / 2, bytes.len() - 1] {
        let error = refused(bytes[..end].to_vec()).await;
        assert!(matches!(error, LoadError::Truncated), "{end}: {error:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_is_refused() {
    let mut bytes = guest("good");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    let error = refused(bytes).await;
    assert!(matches!(error, LoadError::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn a_file_of_100_mb_is_refused() {
    let mut bytes = guest("good");
    bytes.resize(100_000_000, 0);
    let error = refused(bytes).await;
    assert!(matches!(error, LoadError::TooLarge { size: 100_000_000 }), "{error:?}");
}

#[tokio::test]
async fn a_component_of_another_world_is_refused() {
    let error = refused(wat::parse_str("(component)").unwrap()).await;
    assert!(matches!(&error, LoadError::MissingExport { .. }), "{error:?}");
    let message = "this component is not a plugin: it does not export gatehost:check/gate@0.1.1";
    assert_eq!(error.to_string(), message);
}

#[tokio::test]
async fn a_component_that_lacks_a_function_is_refused() {
    let text = r#"(component (instance $gate) (export "gatehost:check/gate@0.1.0" (instance $gate)))"#;
    let error = refused(wat::parse_str(text).unwrap()).await;
    assert!(matches!(&error, LoadError::MissingExport { export } if export == "gate.describe"), "{error:?}");
}

#[tokio::test]
async fn a_component_with_other_types_is_refused() {
    let export = refused(component("0.1.0", "")).await;
    assert!(matches!(export, LoadError::Mismatch(_)), "{export:?}");
    let import = r#"(import "gatehost:check/clock@0.1.0" (instance (export "now-ms" (func (result string)))))"#;
    let import = refused(component("0.1.0", import)).await;
    assert!(matches!(import, LoadError::Mismatch(_)), "{import:?}");
}

#[tokio::test]
async fn a_plugin_for_a_newer_host_is_told_what_is_missing() {
    let function = r#"(import "gatehost:check/clock@0.1.5"
        (instance (export "now-ms" (func (result u64))) (export "now-ns" (func (result u64)))))"#;
    let error = refused(component("0.1.5", function)).await;
    assert!(matches!(&error, LoadError::Newer { .. }), "{error:?}");
    assert_eq!(error.to_string(), "built for gatehost:check 0.1.5, this host has 0.1.1: clock.now-ns is missing");
    let interface = r#"(import "gatehost:check/udp@0.1.5" (instance (export "open" (func))))"#;
    let error = refused(component("0.1.5", interface)).await;
    assert_eq!(error.to_string(), "built for gatehost:check 0.1.5, this host has 0.1.1: the import udp is missing");
}

#[tokio::test]
async fn a_plugin_for_an_incompatible_version_is_refused() {
    let error = refused(component("0.2.0", "")).await;
    assert!(matches!(&error, LoadError::OtherVersion { built_for } if built_for == "0.2.0"), "{error:?}");
    let import = r#"(import "gatehost:check/clock@1.0.0" (instance (export "now-ms" (func (result u64)))))"#;
    let error = refused(component("0.1.0", import)).await;
    assert!(matches!(&error, LoadError::OtherVersion { built_for } if built_for == "1.0.0"), "{error:?}");
}

#[tokio::test]
async fn imports_that_the_host_lacks_are_named() {
    for import in [
        "wasi:http/types@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
        "wasi:keyvalue/store@0.2.0",
        "wasi:cli/environment@0.3.0",
        "my:own/thing",
    ] {
        let error = refused(component("0.1.0", &format!(r#"(import "{import}" (instance))"#))).await;
        assert!(matches!(&error, LoadError::UnknownImport { import: named } if named == import), "{error:?}");
        assert_eq!(error.to_string().contains("disableFeatures"), import.starts_with("wasi:http"), "{error}");
    }
}
