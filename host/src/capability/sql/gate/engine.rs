//! The gate of one grant.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use sqlparser::parser::{Parser, ParserError};

use super::checked::Checked;
use super::lexed::{DIALECT, lexed};
use super::rejected::{Position, Reason, Rejected};
use super::rules::Rules;
use super::walk::Walk;
use crate::disk;
use crate::lock::Mutex;

/// Stack of the thread that parses and walks, in bytes. A guest's call runs on
/// a fiber whose own stack is smaller than what the deepest text that the
/// bounds let through may need; `tests::bounds` walks that text in a quarter of
/// this. What is not touched costs no memory.
const STACK: usize = 16 << 20;

/// How deep the parser may nest.
const MAX_DEPTH: usize = 100;

/// Statements that are remembered. A task repeats a few texts with other
/// parameters; one that makes a new text for each row gains nothing and loses
/// nothing.
const REMEMBERED: usize = 64;

/// Longest text that is remembered, in bytes.
const REMEMBERED_TEXT: usize = 16 * 1024;

/// Decides on the statements of one grant. Pure: the same text always gets the
/// same answer.
#[derive(Debug)]
pub struct Gate {
    rules: Rules,
    passed: Mutex<HashMap<String, Arc<Checked>>>,
}

impl Gate {
    /// A gate for these rules.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            passed: Mutex::default(),
        }
    }

    /// Checks one text. What comes back is what may be sent.
    pub fn check(&self, text: &str) -> Result<Arc<Checked>, Rejected> {
        if let Some(checked) = self.passed.lock().get(text) {
            return Ok(checked.clone());
        }
        let checked = Arc::new(on_own_stack(|| read(&self.rules, text))?);
        if text.len() <= REMEMBERED_TEXT {
            let mut passed = self.passed.lock();
            if passed.len() >= REMEMBERED {
                passed.clear();
            }
            passed.insert(text.to_owned(), checked.clone());
        }
        Ok(checked)
    }
}

/// Runs the reading where the stack is known. A panic of the parser ends there.
fn on_own_stack(
    read: impl FnOnce() -> Result<Checked, Rejected> + Send,
) -> Result<Checked, Rejected> {
    // The worst text takes seconds: meanwhile another thread does what else this
    // one had to do.
    disk::wait(|| {
        thread::scope(|scope| {
            let thread = thread::Builder::new()
                .name("sql-gate".to_owned())
                .stack_size(STACK)
                .spawn_scoped(scope, read);
            match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(Rejected::new(Reason::Internal)),
            }
        })
    })
}

/// Reads, checks and writes one text, on the stack it is called on.
pub(super) fn read(rules: &Rules, text: &str) -> Result<Checked, Rejected> {
    let tokens = lexed(text)?;
    let statements = Parser::new(&DIALECT)
        .with_recursion_limit(MAX_DEPTH)
        .with_tokens_with_locations(tokens)
        .parse_statements()
        .map_err(|error| not_read(&error))?;
    let [statement] = statements.as_slice() else {
        return Err(Rejected::new(Reason::NotOneStatement));
    };
    Walk::over(rules, statement)
}

fn not_read(error: &ParserError) -> Rejected {
    match error {
        ParserError::RecursionLimitExceeded => Rejected::new(Reason::TooDeep),
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => Rejected {
            reason: Reason::NotRead,
            position: place(text),
        },
    }
}

/// The parser names its place only in words: `… at Line: 1, Column: 8`.
fn place(text: &str) -> Option<Position> {
    let (_, place) = text.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    Some(Position {
        line: line.parse().ok()?,
        column: column.trim().parse().ok()?,
    })
}
