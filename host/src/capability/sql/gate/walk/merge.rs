//! `MERGE`.

use sqlparser::ast::{
    Merge, MergeAction, MergeClause, MergeClauseKind, MergeInsertExpr, MergeInsertKind,
    MergeUpdateExpr, MergeUpdateKind, OutputClause,
};

use super::super::verb::Verb;
use super::clause::without;
use super::{Walk, Written, unknown};

impl Walk<'_> {
    pub(super) fn merge(&mut self, merge: &Merge) -> Written {
        let Merge {
            merge_token: _,
            optimizer_hints: _, // a comment, and no comment is written
            into,
            table,
            source,
            on,
            clauses,
            output,
        } = merge;
        if !into {
            return Err(unknown(merge));
        }
        self.pen.word("MERGE INTO");
        self.target(table)?;
        self.pen.word("USING");
        self.factor(source)?;
        self.pen.word("ON");
        self.expr(on)?;
        for clause in clauses {
            self.branch(clause)?;
        }
        match output {
            None => Ok(()),
            Some(OutputClause::Returning {
                returning_token: _,
                select_items,
            }) => self.returning(Some(select_items)),
            Some(OutputClause::Output { .. }) => Err(unknown(merge)),
        }
    }

    fn branch(&mut self, clause: &MergeClause) -> Written {
        let MergeClause {
            when_token: _,
            clause_kind,
            predicate,
            action,
        } = clause;
        self.pen.word(match clause_kind {
            MergeClauseKind::Matched => "WHEN MATCHED",
            MergeClauseKind::NotMatched => "WHEN NOT MATCHED",
            MergeClauseKind::NotMatchedByTarget => "WHEN NOT MATCHED BY TARGET",
            MergeClauseKind::NotMatchedBySource => "WHEN NOT MATCHED BY SOURCE",
        });
        self.filter("AND", predicate.as_ref())?;
        self.pen.word("THEN");
        match action {
            MergeAction::Insert(insert) => {
                self.does(Verb::Insert, clause)?;
                self.merge_insert(insert, clause)
            }
            MergeAction::Update(update) => {
                self.does(Verb::Update, clause)?;
                self.merge_update(update, clause)
            }
            MergeAction::Delete { delete_token: _ } => {
                self.does(Verb::Delete, clause)?;
                self.pen.word("DELETE");
                Ok(())
            }
            MergeAction::DoNothing {
                do_token: _,
                nothing_token: _,
            } => {
                self.pen.word("DO NOTHING");
                Ok(())
            }
        }
    }

    fn merge_insert(&mut self, insert: &MergeInsertExpr, clause: &MergeClause) -> Written {
        let MergeInsertExpr {
            insert_token: _,
            columns,
            kind_token: _,
            kind,
            insert_predicate,
        } = insert;
        without(clause, &[insert_predicate])?;
        self.pen.word("INSERT");
        if !columns.is_empty() {
            self.tuple(columns, Self::column)?;
        }
        match kind {
            MergeInsertKind::Values(values) if values.rows.len() == 1 => self.values(values),
            _ => Err(unknown(clause)),
        }
    }

    fn merge_update(&mut self, update: &MergeUpdateExpr, clause: &MergeClause) -> Written {
        let MergeUpdateExpr {
            update_token: _,
            kind,
            update_predicate,
            delete_predicate,
        } = update;
        without(clause, &[update_predicate, delete_predicate])?;
        let MergeUpdateKind::Set(assignments) = kind else {
            return Err(unknown(clause));
        };
        self.pen.word("UPDATE");
        self.assignments(assignments)
    }
}
