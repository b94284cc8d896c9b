//! How long an examination may go on.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// The time for everything, and the wish to stop. Asked between two steps: a
/// step that makes a token is never broken off, so that what it made is known.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    deadline: Instant,
    stop: CancellationToken,
}

impl Budget {
    pub(super) fn new(time: Duration, stop: CancellationToken) -> Self {
        Self {
            deadline: Instant::now() + time,
            stop,
        }
    }

    /// What is left of the time.
    pub(super) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Whether somebody asked us to stop.
    pub(super) fn interrupted(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Why nothing more is asked, when that is so.
    pub(super) fn over(&self) -> Option<&'static str> {
        if self.interrupted() {
            Some("the examination was interrupted")
        } else if self.left().is_zero() {
            Some("the time for the examination was over")
        } else {
            None
        }
    }
}
