//! A task's log as it is streamed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RunState;
use crate::capability::LogLevel;

/// One event of a log's stream, as it stands between two blank lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogStreamEvent {
    /// `line` or `end`.
    pub event: String,
    /// The number of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// JSON: a [`LogEntry`] or a [`LogEnd`].
    pub data: String,
}

/// One line; the `data` of an event `line`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Counted from 1, without gaps; the event's `id` too.
    pub sequence: u64,
    /// When it was written.
    pub time: Timestamp,
    /// How serious it is.
    pub level: LogLevel,
    /// Where in the task it comes from; `stdout` or `stderr` for what it printed.
    pub target: String,
    /// The text: scrubbed, on one line, control characters escaped.
    pub message: String,
}

/// The `data` of the last event, `end`: there are no more lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEnd {
    /// `ended` or `lost`.
    pub state: RunState,
}
