//! What is wrong with one field of a grant.

use std::fmt;

/// A field of a grant table that cannot be accepted. The message names the
/// field, what is wrong and the cure; the grants parser adds file and line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct FieldError {
    field: &'static str,
    problem: String,
}

impl FieldError {
    /// For one field; `problem` reads on from the field's name.
    pub(crate) fn new(field: &'static str, problem: impl fmt::Display) -> Self {
        Self {
            field,
            problem: problem.to_string(),
        }
    }
}

/// A text from the file as a message may show it: bounded and escaped.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}
