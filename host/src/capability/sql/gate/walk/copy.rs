//! `COPY … FROM STDIN` and `COPY … TO STDOUT`.

use sqlparser::ast::{CopyOption, CopySource, CopyTarget, Ident, Statement};
use sqlparser::tokenizer::Span;

use super::super::pen::refused;
use super::super::rejected::{Reason, Rejected};
use super::super::verb::Verb;
use super::clause::without;
use super::{Walk, Written, name, unknown};

/// The forms in which rows travel.
const FORMATS: [&str; 3] = ["text", "csv", "binary"];

impl Walk<'_> {
    /// Writes it; which of the two it is.
    pub(super) fn copy(&mut self, statement: &Statement) -> Result<Verb, Rejected> {
        let Statement::Copy {
            source,
            to,
            target,
            options,
            legacy_options,
            payload,
        } = statement
        else {
            return Err(refused(Reason::StatementNotAllowed, Span::empty()));
        };
        without(statement, &[legacy_options, payload])?;
        let verb = if *to { Verb::CopyOut } else { Verb::CopyIn };
        // A file or a program is the server's, not the task's.
        match (verb, target) {
            (Verb::CopyIn, CopyTarget::Stdin) | (Verb::CopyOut, CopyTarget::Stdout) => {}
            _ => return Err(refused(Reason::StatementNotAllowed, Span::empty())),
        }
        self.does(verb, statement)?;
        self.pen.word("COPY");
        match (source, verb) {
            (
                CopySource::Table {
                    table_name,
                    columns,
                },
                _,
            ) => {
                self.table(&name(table_name)?)?;
                if !columns.is_empty() {
                    self.tuple(columns, Self::ident)?;
                }
            }
            (CopySource::Query(query), Verb::CopyOut) => {
                self.does(Verb::Select, query.as_ref())?;
                self.subquery(query)?;
            }
            (CopySource::Query(_), _) => return Err(unknown(statement)),
        }
        self.pen.word(match verb {
            Verb::CopyIn => "FROM STDIN",
            _ => "TO STDOUT",
        });
        if !options.is_empty() {
            self.pen.word("WITH");
            self.tuple(options, Self::copy_option)?;
        }
        Ok(verb)
    }

    fn copy_option(&mut self, option: &CopyOption) -> Written {
        match option {
            CopyOption::Format(format) => self.copy_format(format),
            CopyOption::Delimiter(delimiter) => self.copy_char("DELIMITER", *delimiter),
            CopyOption::Quote(quote) => self.copy_char("QUOTE", *quote),
            CopyOption::Escape(escape) => self.copy_char("ESCAPE", *escape),
            CopyOption::Null(null) => {
                self.pen.word("NULL");
                self.pen.string(null, Span::empty())
            }
            CopyOption::Header(header) => {
                self.pen
                    .word(if *header { "HEADER" } else { "HEADER FALSE" });
                Ok(())
            }
            CopyOption::ForceQuote(columns) => self.copy_columns("FORCE_QUOTE", columns),
            CopyOption::ForceNotNull(columns) => self.copy_columns("FORCE_NOT_NULL", columns),
            CopyOption::ForceNull(columns) => self.copy_columns("FORCE_NULL", columns),
            // `FREEZE` breaks the rules of visibility, and the encoding is
            // always the connection's.
            CopyOption::Freeze(_) | CopyOption::Encoding(_) => {
                Err(Rejected::new(Reason::ClauseNotAllowed))
            }
        }
    }

    fn copy_format(&mut self, format: &Ident) -> Written {
        let known = FORMATS
            .iter()
            .find(|known| format.value.eq_ignore_ascii_case(known));
        let known = known.ok_or(refused(Reason::ClauseNotAllowed, format.span))?;
        self.pen.word("FORMAT");
        self.pen.word(known);
        Ok(())
    }

    fn copy_char(&mut self, word: &'static str, value: char) -> Written {
        self.pen.word(word);
        self.pen
            .string(value.encode_utf8(&mut [0; 4]), Span::empty())
    }

    fn copy_columns(&mut self, word: &'static str, columns: &[Ident]) -> Written {
        self.pen.word(word);
        self.tuple(columns, Self::ident)
    }
}
