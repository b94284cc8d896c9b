//! What stands on stderr for machines.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{LogEntry, Terms};
use crate::capability::LogLevel;

/// One line of stderr under `--log-format json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Record {
    /// A run begins; before any line of its log.
    Started {
        /// Our id of the run, as the audit has it.
        run: Uuid,
        /// The task.
        task: String,
        /// What it may use; absent when its grants or its component cannot be
        /// used, which its report then tells, and when a service was asked for a
        /// run that was over before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        terms: Option<Terms>,
    },
    /// A line of the task's log.
    Line(LogEntry),
    /// A word of the host's own.
    Note {
        /// When it was written.
        time: Timestamp,
        /// How serious it is.
        level: LogLevel,
        /// The part of the host that says it.
        target: String,
        /// What it is about, from the outside in, such as `run{run=…}`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<String>,
        /// The text; may have several lines.
        message: String,
    },
}

impl Record {
    /// A word of a command's own, said now.
    pub fn note(level: LogLevel, target: &str, message: String) -> Self {
        Self::Note {
            time: Timestamp::now(),
            level,
            target: target.to_owned(),
            context: None,
            message,
        }
    }
}
