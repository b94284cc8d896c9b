//! Names as the grant writes them: of a table, of a function, of a type.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// PostgreSQL cuts names at 63 bytes, silently. A name that would be cut is
/// not a name here, so that what was checked and what is used are one.
pub(super) const MAX_NAME: usize = 63;

/// The schema of PostgreSQL's own functions and types.
pub(super) const CATALOG: &str = "pg_catalog";

/// A table, always with its schema: `public.invoices`. The letters are those
/// of the catalogue: `Invoices` and `invoices` are two tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    schema: String,
    table: String,
}

/// A function of the grant: `public.next_number`, or `nextval` for one of
/// PostgreSQL's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct FunctionName {
    schema: String,
    function: String,
}

/// A type of the database's own: `public.order_state`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypeName {
    schema: String,
    name: String,
}

/// The schema in which a name without one is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct SchemaName(String);

/// A text that is no such name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A table without its schema, or with more than that.
    #[error("a table is written with its schema, such as `public.invoices`")]
    Table,
    /// A function with too many parts.
    #[error("a function is written as `schema.function`, or bare if it is PostgreSQL's own")]
    Function,
    /// A type without its schema, or one of PostgreSQL's own.
    #[error(
        "a type of the database's own is written with its schema, such as `public.order_state`; \
         those of PostgreSQL itself cannot be granted"
    )]
    Type,
    /// A part with other characters, or too long.
    #[error("a name is 1 to 63 of `A-Z a-z 0-9 _ $`, the first no digit and no `$`")]
    Part,
}

impl TableName {
    /// From what the gate resolved.
    pub(super) fn resolved(schema: &str, table: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            table: table.to_owned(),
        }
    }

    /// The schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table within it.
    pub fn table(&self) -> &str {
        &self.table
    }
}

impl FunctionName {
    /// From what the gate resolved.
    pub(super) fn resolved(schema: &str, function: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            function: function.to_owned(),
        }
    }

    /// The schema; `pg_catalog` for PostgreSQL's own.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The function within it.
    pub fn function(&self) -> &str {
        &self.function
    }
}

impl TypeName {
    /// From what the gate resolved.
    pub(super) fn resolved(schema: &str, name: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            name: name.to_owned(),
        }
    }

    /// The schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }
}

impl SchemaName {
    /// As in the catalogue.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SchemaName {
    /// PostgreSQL's own default.
    fn default() -> Self {
        Self("public".to_owned())
    }
}

impl FromStr for TableName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (schema, table) = text.split_once('.').ok_or(NameError::Table)?;
        if table.contains('.') {
            return Err(NameError::Table);
        }
        Ok(Self {
            schema: part(schema)?,
            table: part(table)?,
        })
    }
}

impl FromStr for FunctionName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (schema, function) = text.split_once('.').unwrap_or((CATALOG, text));
        if function.contains('.') {
            return Err(NameError::Function);
        }
        Ok(Self {
            schema: part(schema)?,
            function: part(function)?,
        })
    }
}

impl FromStr for TypeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (schema, name) = text.split_once('.').ok_or(NameError::Type)?;
        // Those of PostgreSQL that the gate refuses ask the catalogue.
        if name.contains('.') || schema == CATALOG {
            return Err(NameError::Type);
        }
        Ok(Self {
            schema: part(schema)?,
            name: part(name)?,
        })
    }
}

impl FromStr for SchemaName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        part(text).map(Self)
    }
}

fn part(text: &str) -> Result<String, NameError> {
    let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'$';
    if starts && text.len() <= MAX_NAME && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(NameError::Part)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl fmt::Display for FunctionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.function)
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.to_string()
            }
        }
    )*};
}

as_text!(TableName, FunctionName, TypeName, SchemaName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        let long = "x".repeat(MAX_NAME);
        for good in ["public.invoices", "s.T$1", "_a._b", &format!("a.{long}")] {
            assert_eq!(good.parse::<TableName>().unwrap().to_string(), good);
        }
        for bad in [
            "", ".", "a", "a.", ".b", "a.b.c", "a b.c", "a.\"b\"", "1a.b", "$a.b", "a.*", "ä.b",
        ] {
            assert!(bad.parse::<TableName>().is_err(), "{bad:?}");
        }
        assert!(format!("a.x{long}").parse::<TableName>().is_err());
        let function = |text: &str| text.parse::<FunctionName>().map(|f| f.to_string());
        assert_eq!(function("nextval").unwrap(), "pg_catalog.nextval");
        assert_eq!(function("a.b").unwrap(), "a.b");
        assert!(function("a.b.c").is_err());
        assert!("a.b".parse::<SchemaName>().is_err());
        assert_eq!("a.b".parse::<TypeName>().unwrap().to_string(), "a.b");
        for bad in ["b", "a.b.c", "pg_catalog.regclass", "a.b[]"] {
            assert!(bad.parse::<TypeName>().is_err(), "{bad:?}");
        }
    }
}
