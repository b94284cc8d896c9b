//! Writes the statement that is sent.
//!
//! Every piece stands apart from its neighbours by a space, so that no two can
//! grow together into a comment or another operator. Names are always quoted,
//! so that none is taken for a keyword. Keywords and operators come from the
//! source of this module's callers, never from the task.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::{Location, Span};

use super::checked::Mark;
use super::name::MAX_NAME;
use super::rejected::{Position, Reason, Rejected};

/// The statement as far as it is written.
#[derive(Debug, Default)]
pub(super) struct Pen {
    text: String,
    chars: u32,
    marks: Vec<Mark>,
}

impl Pen {
    /// A keyword, an operator or a bracket.
    pub(super) fn word(&mut self, word: &'static str) {
        self.put(word);
    }

    /// A name, quoted.
    pub(super) fn name(&mut self, name: &str, span: Span) {
        self.mark(span);
        self.put(&quoted(name));
    }

    /// A name in its schema.
    pub(super) fn qualified(&mut self, schema: &str, name: &str, span: Span) {
        self.mark(span);
        self.put(&format!("{}.{}", quoted(schema), quoted(name)));
    }

    /// A string. A backslash is escaped, so that the text means the same
    /// whatever `standard_conforming_strings` says.
    pub(super) fn string(&mut self, value: &str, span: Span) -> Result<(), Rejected> {
        if value.contains('\0') {
            return Err(refused(Reason::LiteralNotAllowed, span));
        }
        self.mark(span);
        let value = value.replace('\'', "''");
        if value.contains('\\') {
            self.put(&format!("E'{}'", value.replace('\\', "\\\\")));
        } else {
            self.put(&format!("'{value}'"));
        }
        Ok(())
    }

    /// A number: digits, a point and an exponent.
    pub(super) fn number(&mut self, number: &str, span: Span) -> Result<(), Rejected> {
        let starts = number.starts_with(|c: char| c.is_ascii_digit() || c == '.');
        let fits = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
        if !starts || !number.bytes().all(fits) {
            return Err(refused(Reason::LiteralNotAllowed, span));
        }
        self.mark(span);
        self.put(number);
        Ok(())
    }

    /// A count within a type, such as the length of a varchar.
    pub(super) fn count(&mut self, count: i64) {
        self.put(&count.to_string());
    }

    /// A parameter; its number.
    pub(super) fn parameter(&mut self, text: &str, span: Span) -> Result<u16, Rejected> {
        let number = text
            .strip_prefix('$')
            .filter(|digits| !digits.starts_with(['0', '+']))
            .and_then(|digits| digits.parse::<u16>().ok())
            .ok_or_else(|| refused(Reason::LiteralNotAllowed, span))?;
        self.mark(span);
        self.put(&format!("${number}"));
        Ok(number)
    }

    /// The text and where its pieces came from.
    pub(super) fn done(self) -> (String, Vec<Mark>) {
        (self.text, self.marks)
    }

    fn put(&mut self, piece: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
            self.chars = self.chars.saturating_add(1);
        }
        self.text.push_str(piece);
        let added = u32::try_from(piece.chars().count()).unwrap_or(u32::MAX);
        self.chars = self.chars.saturating_add(added);
    }

    /// The next piece comes from there.
    fn mark(&mut self, span: Span) {
        if let Some(from) = position(span.start) {
            let space = u32::from(!self.text.is_empty());
            let at = self.chars.saturating_add(space).saturating_add(1);
            self.marks.push(Mark { at, from });
        }
    }
}

/// What PostgreSQL takes a name for: letters outside quotes are folded, but only
/// those of ASCII.
pub(super) fn folded(name: &Ident) -> Result<String, Rejected> {
    let value = match name.quote_style {
        None => name.value.to_ascii_lowercase(),
        Some('"') => name.value.clone(),
        Some(_) => return Err(refused(Reason::NameNotAllowed, name.span)),
    };
    if value.is_empty() || value.len() > MAX_NAME || value.contains('\0') {
        return Err(refused(Reason::NameNotAllowed, name.span));
    }
    Ok(value)
}

/// Refused at the start of a span.
pub(super) fn refused(reason: Reason, span: Span) -> Rejected {
    Rejected {
        reason,
        position: position(span.start),
    }
}

/// The parser's place, if it has one: it writes 0 for none.
pub(super) fn position(location: Location) -> Option<Position> {
    if location.line == 0 {
        return None;
    }
    Some(Position {
        line: u32::try_from(location.line).ok()?,
        column: u32::try_from(location.column).ok()?,
    })
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
