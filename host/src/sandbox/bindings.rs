//! The WIT world `plugin` in Rust, generated.

#![allow(missing_docs, unreachable_pub, clippy::pedantic, reason = "generated")]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: {
        "gatehost:check/http.send": async | trappable,
        "gatehost:check/tcp.connect": async | trappable,
        "gatehost:check/dns.resolve": async | trappable,
        "gatehost:check/objects.find-one": async | trappable,
        "gatehost:check/objects.find-all": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: { "gatehost:check/pod.pod": crate::pod::Pod },
    require_store_data_send: true,
});
