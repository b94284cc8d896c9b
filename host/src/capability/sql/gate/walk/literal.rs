//! Literals. Each is written in one spelling, whatever the task's was.

use sqlparser::ast::{Value, ValueWithSpan};

use super::super::pen::refused;
use super::super::rejected::Reason;
use super::{Walk, Written};

impl Walk<'_> {
    pub(super) fn literal(&mut self, literal: &ValueWithSpan) -> Written {
        let ValueWithSpan { value, span } = literal;
        match value {
            Value::Number(number, false) => self.pen.number(number, *span),
            Value::Boolean(true) => {
                self.pen.word("TRUE");
                Ok(())
            }
            Value::Boolean(false) => {
                self.pen.word("FALSE");
                Ok(())
            }
            Value::Null => {
                self.pen.word("NULL");
                Ok(())
            }
            Value::Placeholder(text) => {
                let number = self.pen.parameter(text, *span)?;
                self.parameters = self.parameters.max(number);
                Ok(())
            }
            _ => self.string_only(literal),
        }
    }

    /// `'…'`, `E'…'` and `$tag$…$tag$`.
    pub(super) fn string_only(&mut self, literal: &ValueWithSpan) -> Written {
        let ValueWithSpan { value, span } = literal;
        match value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => {
                self.pen.string(text, *span)
            }
            Value::DollarQuotedString(text) => self.pen.string(&text.value, *span),
            // `U&'…'`, `N'…'`, `B'…'`, `X'…'` and those of other databases.
            _ => Err(refused(Reason::LiteralNotAllowed, *span)),
        }
    }
}
