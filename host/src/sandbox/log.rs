//! The import `log`: lines for the operator, within the budget of the call's output.

use super::{
    bindings::gatehost::check::log::{Host, Level},
    state::State,
};

impl Host for State {
    fn write(&mut self, level: Level, line: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Debug => tracing::Level::DEBUG,
            Level::Info => tracing::Level::INFO,
            Level::Warn => tracing::Level::WARN,
            Level::Severe => tracing::Level::ERROR,
        };
        self.output.line(level, line);
        Ok(())
    }
}
