//! Strict TOML: every error names file, line, column and field.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::value::bounded;
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// One thing that is wrong in a file that people write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// Characters, counted from 1.
    pub column: usize,
    /// The field with the tables around it, such as `http.billing.base`; none
    /// for a file that is not TOML.
    pub field: Option<String>,
    /// What is wrong, on one line.
    pub problem: String,
    /// The cure.
    pub hint: Option<String>,
}

/// Parses a whole document.
///
/// # Errors
/// The first thing that is not TOML or not a `T`.
pub(crate) fn parse<T: DeserializeOwned>(text: &str, file: &Path) -> Result<T, DocumentError> {
    let at = |span, field, message: &str| DocumentError::at(text, file, span, field, message);
    let document = toml::Deserializer::parse(text).map_err(|error| {
        let key = error.span().and_then(|span| text.get(span));
        match (error.message(), key) {
            ("duplicate key", Some(key)) => {
                let message = format!("`{}` stands here twice\nkeep one of the two", bounded(key));
                at(error.span(), None, &message)
            }
            (message, _) => at(error.span(), None, message),
        }
    })?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let field = field_name(error.path());
        let error = error.into_inner();
        match missing_field(error.message()) {
            Some(missing) => {
                let field = [field.as_str(), missing].join(".");
                let field = field.trim_start_matches('.').to_owned();
                at(error.span(), Some(field), "this field is missing")
            }
            None => at(error.span(), Some(field), error.message()),
        }
    })
}

/// Where a key stands in a document that parsed: the place for what is found
/// wrong only once the whole is known.
pub(crate) fn span_of(text: &str, keys: &[&str]) -> Option<Range<usize>> {
    let (last, tables) = keys.split_last()?;
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    for key in tables {
        table = table.get(*key)?.get_ref().as_table()?;
    }
    let (key, _) = table.get_key_value(*last)?;
    Some(key.span())
}

impl DocumentError {
    /// An error at a byte range of the text. What follows a line break in the
    /// message is its cure.
    pub(crate) fn at(
        text: &str,
        file: &Path,
        span: Option<Range<usize>>,
        field: Option<String>,
        message: &str,
    ) -> Self {
        let start = span.map_or(0, |span| span.start);
        let before = text.get(..start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let (problem, hint) = message
            .split_once('\n')
            .map_or((message, None), |(problem, hint)| (problem, Some(hint)));
        Self {
            file: file.to_owned(),
            line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
            column: before.get(line_start..).unwrap_or("").chars().count() + 1,
            field: field.filter(|field| !field.is_empty()).map(one_line),
            problem: one_line(without_value(problem)),
            hint: hint.map(one_line),
        }
    }

    /// The same error with this cure, unless it has one.
    pub(crate) fn or_hint(mut self, hint: Option<&str>) -> Self {
        self.hint = self.hint.or_else(|| hint.map(str::to_owned));
        self
    }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = one_line(self.file.display());
        write!(f, "{file}:{}:{}: ", self.line, self.column)?;
        if let Some(field) = &self.field {
            write!(f, "`{field}`: ")?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for DocumentError {}

impl Diagnostic for DocumentError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }
}

fn field_name(path: &serde_path_to_error::Path) -> String {
    let mut name = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => name.push_str(&format!("[{index}]")),
            Segment::Map { key } => {
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(key);
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    name
}

/// The name in serde's message for a field that is not there.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// Serde prints a text of the wrong type. It may be a credential that someone
/// put into the wrong field: leave it out.
fn without_value(message: &str) -> String {
    match (message.find(" string \""), message.rfind("\", expected ")) {
        (Some(start), Some(end)) if message.starts_with("invalid ") && start < end => {
            let (before, _) = message.split_at(start);
            let (_, after) = message.split_at(end + 1);
            format!("{before} text{after}")
        }
        _ => message.to_owned(),
    }
}

/// Text from a file on one line, with nothing that a terminal obeys.
pub(crate) fn one_line(text: impl fmt::Display) -> String {
    let mut line = String::new();
    for character in text.to_string().chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}
