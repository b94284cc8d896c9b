//! What a statement is and touches, decided before it is sent.

mod checked;
#[expect(dead_code, reason = "for the walk over a statement, which comes next")]
mod name;
mod rejected;
mod verb;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use checked::Checked;
pub use name::{FunctionName, NameError, SchemaName, TableName};
pub use rejected::{Position, Reason, Rejected};
pub use verb::Verb;

/// What the statements of one grant may do.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Kinds of statements.
    pub allow: BTreeSet<Verb>,
    /// Tables and views, each by its full name.
    pub tables: BTreeSet<TableName>,
    /// Where a table, type or function without a schema is looked for.
    pub schema: SchemaName,
    /// Functions beyond the harmless ones of PostgreSQL.
    pub functions: BTreeSet<FunctionName>,
}

/// Decides on the statements of one grant. For now it refuses them all.
#[derive(Debug)]
pub struct Gate(Rules);

impl Gate {
    /// A gate for these rules.
    pub fn new(rules: Rules) -> Self {
        Self(rules)
    }

    /// Checks one text. What comes back is what may be sent.
    pub fn check(&self, _text: &str) -> Result<Arc<Checked>, Rejected> {
        let _ = &self.0;
        Err(Rejected::new(Reason::Internal))
    }
}
