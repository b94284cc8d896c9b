//! The statement at the top.

use sqlparser::ast::{Query, SetExpr, Spanned, Statement};

use super::super::pen::refused;
use super::super::rejected::{Reason, Rejected};
use super::super::verb::Verb;
use super::Walk;

impl Walk<'_> {
    /// Writes it; what it is, and whether it returns rows.
    pub(super) fn statement(&mut self, statement: &Statement) -> Result<(Verb, bool), Rejected> {
        match statement {
            Statement::Query(query) => self.top_query(query),
            Statement::Copy { .. } => Ok((self.copy(statement)?, false)),
            _ => self.change(statement),
        }
    }

    /// `SELECT`, or any other statement behind a `WITH`.
    fn top_query(&mut self, query: &Query) -> Result<(Verb, bool), Rejected> {
        let (kind, rows) = match query.body.as_ref() {
            SetExpr::Insert(inner)
            | SetExpr::Update(inner)
            | SetExpr::Delete(inner)
            | SetExpr::Merge(inner) => changes(inner)?,
            _ => {
                self.does(Verb::Select, query)?;
                (Verb::Select, true)
            }
        };
        self.query(query)?;
        Ok((kind, rows))
    }

    /// A statement that changes rows; also as a CTE.
    pub(super) fn change(&mut self, statement: &Statement) -> Result<(Verb, bool), Rejected> {
        let (kind, rows) = changes(statement)?;
        self.does(kind, statement)?;
        match statement {
            Statement::Insert(insert) => self.insert(insert)?,
            Statement::Update(update) => self.update(update)?,
            Statement::Delete(delete) => self.delete(delete)?,
            Statement::Merge(merge) => self.merge(merge)?,
            _ => return Err(refused(Reason::StatementNotAllowed, statement.span())),
        }
        Ok((kind, rows))
    }
}

/// What a statement that changes rows is, and whether it returns any.
fn changes(statement: &Statement) -> Result<(Verb, bool), Rejected> {
    match statement {
        Statement::Insert(insert) => Ok((Verb::Insert, insert.returning.is_some())),
        Statement::Update(update) => Ok((Verb::Update, update.returning.is_some())),
        Statement::Delete(delete) => Ok((Verb::Delete, delete.returning.is_some())),
        Statement::Merge(merge) => Ok((Verb::Merge, merge.output.is_some())),
        _ => Err(refused(Reason::StatementNotAllowed, statement.span())),
    }
}
