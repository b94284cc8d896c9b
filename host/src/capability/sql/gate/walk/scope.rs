//! The names that `WITH` makes.

use super::super::name::MAX_NAME;

/// Stands before the name of each CTE that is written. No table of a grant has
/// a `:` in its name, and none of `pg_catalog` does.
const PREFIX: &str = "with:";

/// The names of CTEs that can be seen, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes(Vec<String>);

/// Where the names stood before an inner scope was opened.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outside(usize);

impl Scopes {
    /// Opens a scope.
    pub(super) fn open(&self) -> Outside {
        Outside(self.0.len())
    }

    /// From here on the name can be seen.
    pub(super) fn add(&mut self, name: &str) {
        self.0.push(name.to_owned());
    }

    /// Closes a scope.
    pub(super) fn close(&mut self, outside: Outside) {
        self.0.truncate(outside.0);
    }

    /// Whether a name without a schema means a CTE here.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

/// The name of a CTE as it is written, if it fits.
pub(super) fn written(name: &str) -> Option<String> {
    let written = format!("{PREFIX}{name}");
    (written.len() <= MAX_NAME).then_some(written)
}
