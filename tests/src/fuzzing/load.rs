//! Loading a stranger's component, and calling it where it turns out to be a plugin.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use gatehost::sandbox::{LoadError, Plugin, Sandbox};
use tokio::{runtime::Runtime, time::timeout};

/// Far longer than anything that fits into a corpus takes: what takes longer hangs.
const HANGS: Duration = Duration::from_mins(1);

/// One sandbox for all: what one component leaves behind is there when the next is loaded.
static SANDBOX: LazyLock<(Runtime, Sandbox)> = LazyLock::new(|| (Runtime::new().unwrap(), Sandbox::new().unwrap()));

/// A file that is said to be a plugin: it is one, and answers within the rules, or there is one line that says why not.
///
/// # Panics
/// When the host panics over it, does not come to an end, or says something else.
pub fn load(bytes: &[u8]) {
    let (runtime, sandbox) = &*SANDBOX;
    let loaded = runtime.block_on(async { timeout(HANGS, sandbox.load(bytes.to_vec())).await });
    match loaded.expect("loading does not end") {
        Ok(plugin) => runtime.block_on(plugin_keeps_the_rules(&plugin)),
        Err(LoadError::Host(error)) => panic!("the host failed: {error}"),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
        }
    }
}

async fn plugin_keeps_the_rules(plugin: &Plugin) {
    let description = plugin.description();
    assert!(description.name.len() <= 63 && description.version.len() <= 63 && description.help.len() <= 256);
    assert!(description.config_schema.len() <= 64 << 10);
    let config: Arc<str> = "{}".into();
    let validated = timeout(HANGS, plugin.validate(config)).await.expect("validate does not end");
    if let Err(fault) = validated {
        super::pure::verdict(format!("{}\n{}", fault.reason, fault.message).as_bytes());
        assert!(fault.message.len() <= 1024, "{fault:?}");
    }
}
