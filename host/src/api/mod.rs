//! What a caller and the service say to each other: the documents of the API,
//! used by both sides and described in its OpenAPI document.
//!
//! Every type that goes over the wire stands here, or in [`crate::run`] when it
//! is a part of the report.

mod health;
mod log;
mod problem;
mod record;
mod run;
mod task;

pub use health::{Check, Health, Readiness, VaultHealth, VaultNode, Version};
pub use log::{LogEnd, LogEntry, LogStreamEvent};
pub use problem::{Problem, ProblemKind};
pub use record::Record;
pub use run::{Attempt, CancelledBy, RunList, RunState, RunView, Submission, Terms};
pub use task::{TaskList, TaskView};

/// The media type of a [`Problem`] (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The request header that names a submission, so that it can be repeated.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The response header of a submission whose key was known already.
pub const REPLAYED: &str = "idempotency-replayed";

/// Longest key in bytes. Visible ASCII only.
pub const MAX_KEY: usize = 255;

/// The longest that one request waits for the end of a run, in seconds. Ask
/// again for more.
pub const MAX_WAIT: u64 = 60;
