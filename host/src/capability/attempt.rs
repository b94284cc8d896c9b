//! What the capabilities of one attempt share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::audit::Recorder;
use crate::grants::Grants;
use crate::identity::Identity;
use crate::scrub::SecretSet;
use crate::vault::SessionHandle;

/// One attempt, as its capabilities see it.
pub struct Attempt {
    parts: AttemptParts,
    cancelled: AtomicBool,
}

/// The parts of an [`Attempt`].
pub struct AttemptParts {
    /// What the task may do.
    pub grants: Arc<Grants>,
    /// Who runs it.
    pub identity: Identity,
    /// The audit of this run.
    pub recorder: Arc<Recorder>,
    /// The authority; none when no grant needs Vault.
    pub session: Option<SessionHandle>,
    /// The secrets in use.
    pub secrets: SecretSet,
    /// When the attempt ends.
    pub deadline: Instant,
    /// Where log lines go.
    pub log: Arc<dyn LogSink>,
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::Display)]
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
}

/// One line of a task's log: scrubbed, control characters escaped.
#[derive(Debug, Clone)]
pub struct LogLine {
    /// How serious it is.
    pub level: LogLevel,
    /// Where it comes from: a target of the `log` crate, `stdout`, `stderr`.
    pub target: String,
    /// The text.
    pub message: String,
}

/// Where a task's log lines go.
pub trait LogSink: Send + Sync {
    /// Takes one line; must not block for long.
    fn line(&self, line: LogLine);
}

impl Attempt {
    /// Puts an attempt together.
    pub fn new(parts: AttemptParts) -> Self {
        Self {
            parts,
            cancelled: AtomicBool::new(false),
        }
    }

    /// The parts.
    pub fn parts(&self) -> &AttemptParts {
        &self.parts
    }

    /// Whether somebody asked the attempt to stop.
    pub fn cancelled(&self) -> &AtomicBool {
        &self.cancelled
    }
}
