//! What a grant allows.

use std::collections::BTreeSet;

use super::functions::is_harmless;
use super::name::{CATALOG, FunctionName, SchemaName, TableName, TypeName};
use super::verb::Verb;

/// What the statements of one grant may do.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Kinds of statements.
    pub allow: BTreeSet<Verb>,
    /// Tables and views, each by its full name. A system catalogue is one like
    /// any other: it is refused unless it is named.
    pub tables: BTreeSet<TableName>,
    /// Where a table, type or function without a schema is looked for. The host
    /// pins `search_path` to the same.
    pub schema: SchemaName,
    /// Functions beyond the harmless ones of PostgreSQL.
    pub functions: BTreeSet<FunctionName>,
    /// Types of the database's own, beyond the row types of the tables.
    pub types: BTreeSet<TypeName>,
}

impl Rules {
    /// The full name of a table of this grant.
    pub(super) fn table(&self, schema: Option<&str>, table: &str) -> Option<TableName> {
        let schema = schema.unwrap_or(self.schema.as_str());
        let name = TableName::resolved(schema, table);
        self.tables.contains(&name).then_some(name)
    }

    /// The schema of a function that may be called. A name without one means
    /// PostgreSQL's own function before any other, as in PostgreSQL itself.
    pub(super) fn function<'a>(&'a self, schema: Option<&'a str>, name: &str) -> Option<&'a str> {
        let own = schema.is_none_or(|schema| schema == CATALOG);
        if own && (is_harmless(name) || self.grants(CATALOG, name)) {
            return Some(CATALOG);
        }
        let schema = schema.unwrap_or(self.schema.as_str());
        self.grants(schema, name).then_some(schema)
    }

    fn grants(&self, schema: &str, function: &str) -> bool {
        let name = FunctionName::resolved(schema, function);
        self.functions.contains(&name)
    }

    /// Whether a type may be named that is none of PostgreSQL's own: one that the
    /// grant names, or the row type of a granted table. That of another table
    /// tells of its columns, and from its name nobody knows a row type from an
    /// enum.
    pub(super) fn names_type(&self, schema: &str, name: &str) -> bool {
        let is_row = || self.tables.contains(&TableName::resolved(schema, name));
        let is_granted = || self.types.contains(&TypeName::resolved(schema, name));
        schema != CATALOG && (is_row() || is_granted())
    }
}
