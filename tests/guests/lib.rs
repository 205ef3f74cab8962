//! What the faulty plugins share: the bindings, and a trait in which only the fault needs writing. They stand on the
//! bindings and not on the SDK, so that no help of the SDK hides a fault from the host.

/// The WIT world `plugin`, generated.
#[allow(missing_docs, clippy::pedantic, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "plugin",
        pub_export_macro: true,
        default_bindings_module: "guests::bindings",
    });
}

pub use bindings::gatehost::check::{
    clock,
    log::{self, Level},
    pod::Pod,
    types::{ConfigError, Description, Fault, FaultKind, Status, Verdict},
};

/// A plugin whose config is a number: how much of a thing it does.
pub trait Plugin {
    /// A good description.
    fn describe() -> Description {
        Description {
            name: "guest".into(),
            version: "0.1.0".into(),
            help: "True if nothing went wrong".into(),
            config_schema: r#"{"type":"integer"}"#.into(),
            extra: Vec::new(),
        }
    }

    /// Accepts any config.
    ///
    /// # Errors
    /// None unless a guest has some.
    fn validate(_config: &str) -> Result<(), Vec<ConfigError>> {
        Ok(())
    }

    /// Answers.
    ///
    /// # Errors
    /// Where a guest has some.
    fn evaluate(_pod: &Pod, _config: &str) -> Result<Verdict, Fault> {
        met("")
    }
}

/// A verdict.
///
/// # Errors
/// Never: it is what `evaluate` returns.
pub fn met(message: impl Into<String>) -> Result<Verdict, Fault> {
    Ok(Verdict {
        status: Status::Met,
        reason: "Met".into(),
        message: message.into(),
        recheck_after_ms: None,
        extra: Vec::new(),
    })
}

/// The number in the config, such as `7` or `{"times":7}`; 0 where there is none.
pub fn number(config: &str) -> u64 {
    let digits: String = config.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Computes and never ends.
pub fn spin() -> ! {
    loop {
        std::hint::black_box(0);
    }
}

/// Exports a [`Plugin`] as the component's `gate`.
#[macro_export]
macro_rules! plugin {
    ($plugin:ty) => {
        struct Export;

        impl $crate::bindings::exports::gatehost::check::gate::Guest for Export {
            fn describe() -> $crate::Description {
                <$plugin as $crate::Plugin>::describe()
            }

            fn validate(config: String) -> Result<(), Vec<$crate::ConfigError>> {
                <$plugin as $crate::Plugin>::validate(&config)
            }

            fn evaluate(pod: &$crate::Pod, config: String) -> Result<$crate::Verdict, $crate::Fault> {
                <$plugin as $crate::Plugin>::evaluate(pod, &config)
            }
        }

        $crate::bindings::export!(Export);
    };
}
