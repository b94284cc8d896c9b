//! Clauses that have no business in PostgreSQL.

use sqlparser::ast::Spanned;

use super::{Rejected, unknown};

/// Whether a clause was written.
pub(super) trait Clause {
    /// True if the task wrote it.
    fn written(&self) -> bool;
}

impl<T> Clause for Option<T> {
    fn written(&self) -> bool {
        self.is_some()
    }
}

impl<T> Clause for Vec<T> {
    fn written(&self) -> bool {
        !self.is_empty()
    }
}

impl Clause for bool {
    fn written(&self) -> bool {
        *self
    }
}

/// Refuses a node if one of its clauses was written that the gate does not know.
pub(super) fn without(node: &impl Spanned, clauses: &[&dyn Clause]) -> Result<(), Rejected> {
    if clauses.iter().any(|clause| clause.written()) {
        return Err(unknown(node));
    }
    Ok(())
}
