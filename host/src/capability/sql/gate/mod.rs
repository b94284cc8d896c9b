//! The statement gate: which SQL a task may run.
//!
//! A gate that reads a statement, nods and passes the text on is only as good
//! as the likeness of two parsers: where PostgreSQL reads another statement
//! than the gate did, the gate is open. So this one passes nothing on. It reads
//! the text, walks the tree by allow-lists, and *writes a statement of its own*
//! from what it understood: every name quoted, every table with its schema,
//! every function and type in `pg_catalog` unless the grant names it, no
//! comment, no spelling of a literal but one. A text that is read wrongly
//! becomes a statement that does what was read and checked, not what was meant
//! to slip by. `search_path` cannot redirect it, and a CTE is renamed to what no
//! table can be called, so that a mistake about scopes finds nothing.
//!
//! Operators are not bound to a schema (that would break the types of
//! extensions), and brackets are written where the task wrote them, so that
//! PostgreSQL's own precedence holds.
//!
//! # Which parser
//!
//! `sqlparser` and not `pg_query`, PostgreSQL's own grammar as a C library,
//! although the second reads all of PostgreSQL and the first only most of it.
//! Both were tried on the catalogue in `tests/`; docs/SQL.md says how they
//! differ. With rewriting, a fault of the first costs a refusal, never a way
//! round. The second would put 136,000 lines of C, on data from a guest, into
//! the process that holds the log-in to Vault (in a debug build a failed
//! assertion there ends the process), and needs libclang wherever the host is
//! built. Its tree comes through a decoder that stops at fifty nested operators.
//!
//! # Bounds
//!
//! Text, tokens, brackets, chains of operators and the parser's depth are
//! limited before anything recurses ([`MAX_TEXT`], `lexed.rs`), and the reading
//! has a stack of its own.

mod checked;
mod engine;
mod functions;
mod lexed;
mod name;
mod pen;
mod rejected;
mod rules;
mod verb;
mod walk;

pub use checked::Checked;
pub use engine::Gate;
pub use lexed::MAX_TEXT;
pub use name::{FunctionName, NameError, SchemaName, TableName, TypeName};
pub use rejected::{Position, Reason, Rejected};
pub use rules::Rules;
pub use verb::Verb;

#[cfg(test)]
mod tests;
