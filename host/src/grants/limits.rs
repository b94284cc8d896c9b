//! The `[limits]` table.

use std::time::Duration;

/// What one attempt may use up. Every field has a default, and every one is
/// named in the report when it bites.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Wall time of the attempt. Default 60 s, at most 24 h.
    pub timeout: Duration,
    /// How long a task that was asked to stop may take. Default 500 ms, at most 4 s
    /// (Airflow kills 5 s after it asked).
    pub grace: Duration,
    /// Longest silence between two `control.heartbeat` calls; unlimited when `None`.
    pub heartbeat: Option<Duration>,
    /// Linear memory in bytes. Default 128 MiB, at most what the engine's pool holds.
    pub memory: usize,
    /// Elements of all tables. Default 20,000.
    pub table_elements: usize,
    /// Core instances. Default 100.
    pub instances: usize,
    /// Live handles. Default 1,000.
    pub handles: usize,
    /// Size of the result in bytes. Default 1 MiB.
    pub output: usize,
    /// Size of the input in bytes. Default 8 MiB.
    pub input: usize,
    /// Log text in bytes. Default 1 MiB.
    pub log: usize,
    /// Calls from the task into the host, WASI included. Default 1,000,000.
    pub host_calls: u64,
}
