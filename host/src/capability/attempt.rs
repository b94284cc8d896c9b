//! What the capabilities of one attempt share.

use std::sync::Arc;
use std::time::Instant;

use super::{Pulse, TaskLog};
use crate::audit::Recorder;
use crate::grants::Grants;
use crate::identity::Identity;
use crate::scrub::SecretSet;
use crate::vault::SessionHandle;

/// One attempt, as its capabilities see it.
pub struct Attempt {
    parts: AttemptParts,
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
    /// The task's log.
    pub log: Arc<TaskLog>,
    /// Cancellation and heartbeat.
    pub pulse: Pulse,
}

/// A refused call.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Denial {}

impl std::fmt::Display for Denial {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

impl Attempt {
    /// Refused calls.
    pub fn denials(&self) -> Vec<Denial> {
        Vec::new()
    }

    /// Puts an attempt together.
    pub fn new(parts: AttemptParts) -> Self {
        Self { parts }
    }

    /// The parts.
    pub fn parts(&self) -> &AttemptParts {
        &self.parts
    }
}
