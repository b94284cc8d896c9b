//! `INSERT`.

use sqlparser::ast::{
    ConflictTarget, DoUpdate, Insert, InsertOverriding, OnConflict, OnConflictAction, OnInsert,
    TableObject,
};

use super::super::verb::Verb;
use super::clause::without;
use super::{Walk, Written, name, single, unknown};

impl Walk<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> Written {
        let Insert {
            insert_token: _,
            optimizer_hints: _, // a comment, and no comment is written
            or,
            ignore,
            into,
            table,
            table_alias,
            columns,
            by_name,
            overwrite,
            source,
            assignments,
            partitioned,
            after_columns,
            overriding,
            has_table_keyword,
            on,
            returning,
            output,
            replace_into,
            priority,
            insert_alias,
            settings,
            format_clause,
            multi_table_insert_type,
            multi_table_into_clauses,
            multi_table_when_clauses,
            multi_table_else_clause,
        } = insert;
        without(
            insert,
            &[
                or,
                ignore,
                by_name,
                overwrite,
                assignments,
                partitioned,
                after_columns,
                has_table_keyword,
                output,
                replace_into,
                priority,
                insert_alias,
                settings,
                format_clause,
                multi_table_insert_type,
                multi_table_into_clauses,
                multi_table_when_clauses,
                multi_table_else_clause,
            ],
        )?;
        let (TableObject::TableName(table), true) = (table, *into) else {
            return Err(unknown(insert));
        };
        self.pen.word("INSERT INTO");
        self.table(&name(table)?)?;
        if let Some(alias) = table_alias {
            self.pen.word("AS");
            self.ident(&alias.alias)?;
        }
        if !columns.is_empty() {
            self.tuple(columns, Self::column)?;
        }
        match overriding {
            None => {}
            Some(InsertOverriding::System) => self.pen.word("OVERRIDING SYSTEM VALUE"),
            Some(InsertOverriding::User) => self.pen.word("OVERRIDING USER VALUE"),
        }
        match source {
            Some(source) => self.query(source)?,
            None => self.pen.word("DEFAULT VALUES"),
        }
        match on {
            None => {}
            Some(OnInsert::OnConflict(conflict)) => self.on_conflict(conflict, insert)?,
            Some(_) => return Err(unknown(insert)),
        }
        self.returning(returning.as_deref())
    }

    fn on_conflict(&mut self, conflict: &OnConflict, insert: &Insert) -> Written {
        let OnConflict {
            conflict_target,
            action,
        } = conflict;
        self.pen.word("ON CONFLICT");
        match conflict_target {
            None => {}
            Some(ConflictTarget::Columns { columns, predicate }) => {
                self.tuple(columns, Self::ident)?;
                self.filter("WHERE", predicate.as_ref())?;
            }
            Some(ConflictTarget::OnConstraint(constraint)) => {
                self.pen.word("ON CONSTRAINT");
                self.ident(single(constraint)?)?;
            }
        }
        match action {
            OnConflictAction::DoNothing => self.pen.word("DO NOTHING"),
            OnConflictAction::DoUpdate(DoUpdate {
                assignments,
                selection,
            }) => {
                self.does(Verb::Update, insert)?;
                self.pen.word("DO UPDATE");
                self.assignments(assignments)?;
                self.filter("WHERE", selection.as_ref())?;
            }
        }
        Ok(())
    }
}
