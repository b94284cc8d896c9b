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

/// What a line costs beside its text, in bytes: number, time, level and the names of
/// its fields take about 100 wherever it is kept. A flood of empty lines would be
/// nearly free without it.
pub const LINE_COST: usize = 128;

/// The longest line, in bytes; what is longer goes on in the next one. Lines are kept
/// and sent whole.
pub const LONGEST_LINE: usize = 64 << 10;

/// The log of one attempt: scrubs, escapes, counts.
pub struct TaskLog {
    sink: Arc<dyn LogSink>,
    secrets: SecretSet,
    left: AtomicUsize,
    truncated: AtomicBool,
}

impl TaskLog {
    /// A log that takes `limit` bytes, each line's text and [`LINE_COST`] more, and then says
    /// so and falls silent.
    pub fn new(sink: Arc<dyn LogSink>, secrets: SecretSet, limit: usize) -> Self {
        Self {
            sink,
            secrets,
            left: AtomicUsize::new(limit),
            truncated: AtomicBool::new(false),
        }
    }

    /// Writes a message, one line per line of it, or several when that is very long.
    pub fn write(&self, level: LogLevel, target: &str, message: &str) {
        if self.truncated() {
            // What nobody will see is not worth looking through.
            return;
        }
        let message = message.strip_suffix('\n').unwrap_or(message);
        // Scrubbed as a whole, so that a secret over a line break is found too.
        let message = self.secrets.scrub_text(message);
        let target: String = escape_control(&self.secrets.scrub_text(target))
            .chars()
            .take(MAX_TARGET)
            .collect();
        for part in message.split('\n').flat_map(parts) {
            // An escape is longer than what it stands for, and counts as it is kept.
            for message in parts(&escape_control(part)) {
                if !self.pay(LINE_COST + target.len() + message.len()) {
                    self.truncate();
                    return;
                }
                self.sink.line(LogLine {
                    level,
                    target: target.clone(),
                    message: message.to_owned(),
                });
            }
        }
    }

    /// Takes so many bytes of what is left, if that is enough.
    fn pay(&self, bytes: usize) -> bool {
        let left = |left: usize| left.checked_sub(bytes);
        let paid = (self.left).fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
        paid.is_ok()
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

/// The parts of a line, none of them too long; one for an empty line.
fn parts(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest.take()?;
        let (part, more) = line.split_at(line.floor_char_boundary(LONGEST_LINE));
        rest = (!more.is_empty()).then_some(more);
        Some(part)
    })
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
        self.attempt
            .before_work_on(message.len().max(target.len()))
            .await;
        self.attempt.parts().log.write(level, &target, &message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::lock::Mutex;

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
        let log = TaskLog::new(lines.clone(), SecretSet::default(), 1_000);
        for _ in 0..1000 {
            log.write(LogLevel::Info, "t", "0123456789");
        }
        let lines = lines.0.lock();
        assert_eq!(lines.len(), 1_000 / (LINE_COST + 11) + 1);
        assert!(lines.last().unwrap().contains("log limit"));
        assert!(log.truncated());
    }

    #[test]
    fn a_line_of_nothing_is_not_free() {
        let lines = Arc::new(Lines::default());
        let log = TaskLog::new(lines.clone(), SecretSet::default(), 1 << 20);
        log.write(LogLevel::Info, "", &"\n".repeat(1 << 20));
        assert_eq!(lines.0.lock().len(), (1 << 20) / LINE_COST + 1);
    }

    #[test]
    fn an_escape_costs_what_it_takes() {
        let lines = Arc::new(Lines::default());
        let log = TaskLog::new(lines.clone(), SecretSet::default(), LINE_COST + 100);
        log.write(LogLevel::Info, "", &"\u{1}".repeat(50));
        assert!(log.truncated(), "{:?}", lines.0.lock());
    }

    #[test]
    fn a_very_long_line_goes_on_in_the_next() {
        let lines = Arc::new(Lines::default());
        let log = TaskLog::new(lines.clone(), SecretSet::default(), 1 << 20);
        // No boundary of a character where a line has to end.
        let text = "\u{e4}".repeat(LONGEST_LINE);
        log.write(LogLevel::Info, "", &format!("x{text}\n"));
        // Nor what becomes longer by its escapes.
        log.write(LogLevel::Info, "", &"\u{1}".repeat(LONGEST_LINE));
        let mut lines = lines.0.lock();
        assert!(lines.iter().all(|line| line.len() <= LONGEST_LINE));
        assert_eq!(
            lines.split_off(3).concat().len(),
            LONGEST_LINE * r"\u{1}".len()
        );
        assert_eq!(lines.len(), 3);
        assert_eq!(lines.concat(), format!("x{text}"));
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
