//! Why a statement is refused.

use std::fmt;

/// A refused statement: a closed word, and where in the task's own text.
/// It holds none of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    /// Why.
    pub reason: Reason,
    /// Where, if that is known.
    pub position: Option<Position>,
}

/// A place in the task's text. Both count from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The character within it.
    pub column: u32,
}

/// Why a statement is refused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// Longer than [`super::MAX_TEXT`], or of more parts than can be looked at.
    TooLong,
    /// Nested deeper than can be looked at, or a chain of too many operators.
    TooDeep,
    /// It cannot be read as SQL of PostgreSQL.
    NotRead,
    /// No statement, or more than one.
    NotOneStatement,
    /// A statement that is never allowed: it defines, grants, sets, calls,
    /// locks, begins, prepares, explains …
    StatementNotAllowed,
    /// A kind of statement that the grant does not allow, here or further in.
    VerbNotGranted,
    /// A table that the grant does not name.
    TableNotGranted,
    /// A function that is neither harmless nor named by the grant.
    FunctionNotGranted,
    /// A type whose values the task may not make, such as `regclass`.
    TypeNotAllowed,
    /// An operator that is not PostgreSQL's own.
    OperatorNotAllowed,
    /// A literal in a spelling that is not read, such as `U&'…'`.
    LiteralNotAllowed,
    /// A name that is empty, too long, or has too many parts.
    NameNotAllowed,
    /// A clause that the gate does not know.
    ClauseNotAllowed,
    /// The gate itself failed.
    Internal,
}

impl Rejected {
    /// Without a place.
    pub(super) fn new(reason: Reason) -> Self {
        Self {
            reason,
            position: None,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason)?;
        match self.position {
            Some(position) => write!(f, " at {position}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}
