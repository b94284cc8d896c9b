//! Walks the tree by allow-lists and writes what it understood.
//!
//! Structs are taken apart without `..`: a parser that learns a new clause does
//! not compile here until somebody has decided on it. Of enums only the listed
//! variants pass.

mod attribute;
mod clause;
mod copy;
mod expr;
mod function;
mod insert;
mod literal;
mod merge;
mod operator;
mod query;
mod relation;
mod scope;
mod select;
mod statement;
mod types;
mod window;
mod write;

use std::collections::BTreeSet;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Spanned, Statement};
use sqlparser::tokenizer::Span;

use super::checked::Checked;
use super::name::{CATALOG, TableName};
use super::pen::{Pen, folded, refused};
use super::rejected::{Reason, Rejected};
use super::rules::Rules;
use super::verb::Verb;
use attribute::Attributes;
use scope::Scopes;

/// Written, or refused.
type Written = Result<(), Rejected>;

/// One walk over one statement.
pub(super) struct Walk<'r> {
    rules: &'r Rules,
    pen: Pen,
    scopes: Scopes,
    attributes: Attributes,
    verbs: BTreeSet<Verb>,
    tables: BTreeSet<TableName>,
    parameters: u16,
}

/// A name of one or two parts, folded.
struct Name {
    schema: Option<String>,
    last: String,
    /// One part and not quoted: it may be a keyword.
    bare: bool,
    span: Span,
}

impl Name {
    /// Of a function of PostgreSQL's own that the parser knows.
    fn own(last: &str) -> Self {
        Self {
            schema: Some(CATALOG.to_owned()),
            last: last.to_owned(),
            bare: false,
            span: Span::empty(),
        }
    }
}

impl<'r> Walk<'r> {
    /// Checks and writes a statement.
    pub(super) fn over(rules: &'r Rules, statement: &Statement) -> Result<Checked, Rejected> {
        let mut walk = Self {
            rules,
            pen: Pen::default(),
            scopes: Scopes::default(),
            attributes: Attributes::default(),
            verbs: BTreeSet::new(),
            tables: BTreeSet::new(),
            parameters: 0,
        };
        let (kind, rows) = walk.statement(statement)?;
        walk.attributes.check()?;
        let (text, marks) = walk.pen.done();
        Ok(Checked {
            kind,
            verbs: walk.verbs,
            tables: walk.tables,
            parameters: walk.parameters,
            rows,
            text,
            marks,
        })
    }

    /// The statement does this.
    fn does(&mut self, verb: Verb, node: &impl Spanned) -> Written {
        if !self.rules.allow.contains(&verb) {
            return Err(refused(Reason::VerbNotGranted, node.span()));
        }
        self.verbs.insert(verb);
        Ok(())
    }

    fn ident(&mut self, ident: &Ident) -> Written {
        self.pen.name(&folded(ident)?, ident.span);
        Ok(())
    }

    /// Items between commas.
    fn list<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T) -> Written) -> Written {
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.pen.word(",");
            }
            each(self, item)?;
        }
        Ok(())
    }

    /// Something in brackets.
    fn bracketed(&mut self, inner: impl FnOnce(&mut Self) -> Written) -> Written {
        self.pen.word("(");
        inner(self)?;
        self.pen.word(")");
        Ok(())
    }

    /// Items in brackets.
    fn tuple<T>(&mut self, items: &[T], each: impl Fn(&mut Self, &T) -> Written) -> Written {
        self.bracketed(|walk| walk.list(items, each))
    }
}

/// A clause that only other databases have.
fn unknown(node: &impl Spanned) -> Rejected {
    refused(Reason::ClauseNotAllowed, node.span())
}

/// The parts of a name as identifiers.
fn idents(name: &ObjectName) -> Result<Vec<&Ident>, Rejected> {
    name.0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Ok(ident),
            ObjectNamePart::Function(_) => Err(refused(Reason::NameNotAllowed, name.span())),
        })
        .collect()
}

/// A name of one or two parts.
fn name(name: &ObjectName) -> Result<Name, Rejected> {
    match idents(name)?.as_slice() {
        [last] => named(None, last),
        [schema, last] => named(Some(schema), last),
        _ => Err(refused(Reason::NameNotAllowed, name.span())),
    }
}

/// The same from its parts.
fn named(schema: Option<&Ident>, last: &Ident) -> Result<Name, Rejected> {
    Ok(Name {
        schema: schema.map(folded).transpose()?,
        last: folded(last)?,
        bare: schema.is_none() && last.quote_style.is_none(),
        span: schema.unwrap_or(last).span,
    })
}

/// A name of one part.
fn single(name: &ObjectName) -> Result<&Ident, Rejected> {
    match idents(name)?.as_slice() {
        [ident] => Ok(ident),
        _ => Err(refused(Reason::NameNotAllowed, name.span())),
    }
}
