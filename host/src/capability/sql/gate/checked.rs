//! A statement that may be run.

use std::collections::BTreeSet;

use super::name::TableName;
use super::rejected::Position;
use super::verb::Verb;

/// A statement that the gate let through, in the gate's own words.
///
/// Only [`Checked::text`] may be sent to the server, never the text that the
/// task gave: what was checked is what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub(super) kind: Verb,
    pub(super) verbs: BTreeSet<Verb>,
    pub(super) tables: BTreeSet<TableName>,
    pub(super) parameters: u16,
    pub(super) rows: bool,
    pub(super) text: String,
    pub(super) marks: Vec<Mark>,
}

/// Where a piece of the written text came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// First character in the written text, counted from 1 as PostgreSQL does.
    pub(super) at: u32,
    /// The place in the task's text.
    pub(super) from: Position,
}

impl Checked {
    /// What the statement is, at its top.
    pub fn kind(&self) -> Verb {
        self.kind
    }

    /// All that it does, also in its CTEs.
    pub fn verbs(&self) -> &BTreeSet<Verb> {
        &self.verbs
    }

    /// Every table that it names.
    pub fn tables(&self) -> &BTreeSet<TableName> {
        &self.tables
    }

    /// The highest parameter: 3 for `$1 … $3`.
    pub fn parameters(&self) -> u16 {
        self.parameters
    }

    /// Whether it returns rows. COPY does not.
    pub fn returns_rows(&self) -> bool {
        self.rows
    }

    /// The statement to send.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The place in the task's text for a place in the sent text, as
    /// PostgreSQL counts it: characters from 1. Exact for names and literals,
    /// else the name or literal before it.
    pub fn locate(&self, position: u32) -> Option<Position> {
        let after = self.marks.partition_point(|mark| mark.at <= position);
        let mark = self.marks.get(after.checked_sub(1)?)?;
        Some(mark.from)
    }
}
