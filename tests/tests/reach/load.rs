//! `describe` and `validate` reach nothing.

use gatehost::sandbox::Sandbox;

use crate::guest;

#[tokio::test]
async fn describe_and_validate_are_denied_everything() {
    let plugin = Sandbox::new().unwrap().load(guest("early")).await.unwrap();
    let imports = ["http", "http-pod", "http-address", "tcp", "tcp-pod", "dns", "object", "objects", "memory"];
    let denied = imports.map(|import| format!("{import}=denied")).join(" ");
    assert_eq!(plugin.description().help, denied);
    let told = plugin.validate("{}".into()).await.unwrap();
    assert_eq!(told[0].message, denied);
}
