//! Who may run a task.

use crate::identity::{Assurance, Identity};

/// The `[caller]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerRule {
    /// The dag_ids that may run the task; exact names.
    pub dags: Vec<String>,
    /// The weakest assurance that is accepted.
    pub identity: Assurance,
}

impl CallerRule {
    /// Whether this identity may run the task.
    pub fn admits(&self, identity: &Identity) -> bool {
        let assured = match self.identity {
            Assurance::Claimed => true,
            Assurance::Attested => identity.assurance() == Assurance::Attested,
        };
        assured && self.dags.iter().any(|dag| dag == identity.dag_id())
    }
}
