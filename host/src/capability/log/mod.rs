//! The `log` interface, and the one way by which a task's text reaches people.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::capability::View;
use crate::capability::bindings::cofferdam::task::log;
use crate::scrub::{SecretSet, escape_control};

/// How serious a line is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
    strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum LogLevel {
    /// Finest.
    Trace,
    /// For developers.
    Debug,
    /// Ordinary.
    Info,
    /// Attention.
    Warn,
    /// Failure.
    Error,
    /// A word that only a later version has: read, never said.
    #[serde(other)]
    Unknown,
}

/// One line of a task's log: scrubbed, control characters escaped.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// How serious it is.
    pub level: LogLevel,
    /// Where it comes from: a target of the `log` crate, `stdout`, `stderr`.
    pub target: String,
    /// The text, without line breaks.
    pub message: String,
}

/// Where a task's log lines go.
pub trait LogSink: Send + Sync {
    /// Takes one line; must not block for long.
    fn line(&self, line: LogLine);
}

/// Longest target that is kept; it is a module path.
const MAX_TARGET: usize = 128;

/// The log of one attempt: scrubs, escapes, counts.
pub struct TaskLog {
    sink: Arc<dyn LogSink>,
    secrets: SecretSet,
    left: AtomicUsize,
    truncated: AtomicBool,
}

impl TaskLog {
    /// A log that takes `limit` bytes of text and then says so and falls silent.
    pub fn new(sink: Arc<dyn LogSink>, secrets: SecretSet, limit: usize) -> Self {
        Self {
            sink,
            secrets,
            left: AtomicUsize::new(limit),
            truncated: AtomicBool::new(false),
        }
    }

    /// Writes a message, one line per line of it.
    pub fn write(&self, level: LogLevel, target: &str, message: &str) {
        let message = message.strip_suffix('\n').unwrap_or(message);
        // Scrubbed as a whole, so that a secret over a line break is found too.
        let message = self.secrets.scrub_text(message);
        let target: String = escape_control(&self.secrets.scrub_text(target))
            .chars()
            .take(MAX_TARGET)
            .collect();
        for line in message.split('\n') {
            // An empty line counts too, or a flood of them would be free.
            let cost = line.len() + target.len() + 1;
            let paid = self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(cost)
                });
            if paid.is_err() {
                self.truncate();
                return;
            }
            self.sink.line(LogLine {
                level,
                target: target.clone(),
                message: escape_control(line),
            });
        }
    }

    /// Whether lines were dropped.
    pub fn truncated(&self) -> bool {
        self.truncated.load(Ordering::Relaxed)
    }

    fn truncate(&self) {
        self.left.store(0, Ordering::Relaxed);
        if !self.truncated.swap(true, Ordering::Relaxed) {
            self.sink.line(LogLine {
                level: LogLevel::Warn,
                target: "cofferdam".to_owned(),
                message: "the task reached its log limit; further lines are dropped".to_owned(),
            });
        }
    }
}

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
        self.attempt.parts().log.write(level, &target, &message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Lines(Mutex<Vec<String>>);

    impl LogSink for Lines {
        fn line(&self, line: LogLine) {
            self.0.lock().push(line.message);
        }
    }

    #[test]
    fn a_flood_is_cut_with_one_notice() {
        let lines = Arc::new(Lines::default());
        let log = TaskLog::new(lines.clone(), SecretSet::default(), 100);
        for _ in 0..1000 {
            log.write(LogLevel::Info, "t", "0123456789");
        }
        let lines = lines.0.lock();
        assert_eq!(lines.len(), 100 / 12 + 1);
        assert!(lines.last().unwrap().contains("log limit"));
        assert!(log.truncated());
    }

    #[test]
    fn a_message_of_several_lines_becomes_several_lines() {
        let lines = Arc::new(Lines::default());
        let log = TaskLog::new(lines.clone(), SecretSet::default(), 1000);
        log.write(LogLevel::Info, "t", "a\n\u{1b}[31mb\n");
        let lines = lines.0.lock();
        assert_eq!(lines.len(), 2);
        assert!(!lines[1].contains('\u{1b}'), "{lines:?}");
    }
}
