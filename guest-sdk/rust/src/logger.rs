//! The `log` crate, written to the host.

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::bindings::cofferdam::task::log as host;

struct HostLog;

static LOGGER: HostLog = HostLog;

/// Sends what the `log` crate's macros write to the task's log. Called before
/// a task starts; a task that installed a logger of its own keeps it.
pub(crate) fn install() {
    if log::set_logger(&LOGGER).is_ok() {
        // What is kept, the host decides.
        log::set_max_level(LevelFilter::Trace);
    }
}

impl Log for HostLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let level = match record.level() {
            Level::Error => host::Level::Error,
            Level::Warn => host::Level::Warn,
            Level::Info => host::Level::Info,
            Level::Debug => host::Level::Debug,
            Level::Trace => host::Level::Trace,
        };
        host::write(level, record.target(), &record.args().to_string());
    }

    fn flush(&self) {}
}
