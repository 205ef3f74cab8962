//! Never judges the config that says spin; finds one thing wrong with `bad`.

use guests::{ConfigError, Plugin, spin};

struct Spin;

impl Plugin for Spin {
    fn validate(config: &str) -> Result<(), Vec<ConfigError>> {
        match config {
            r#"{"do":"spin"}"# => spin(),
            "bad" => Err(vec![ConfigError { path: "/port".into(), message: "not a\nport".into() }]),
            _ => Ok(()),
        }
    }
}

guests::plugin!(Spin);
