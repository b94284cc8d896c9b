//! The `log` interface.

use crate::capability::bindings::cofferdam::task::log;
use crate::capability::{LogLevel, LogLine, View};

impl log::Host for View<'_> {
    async fn write(
        &mut self,
        level: log::Level,
        target: String,
        message: String,
    ) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => LogLevel::Trace,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.attempt.parts().log.line(LogLine {
            level,
            target,
            message,
        });
        Ok(())
    }
}
