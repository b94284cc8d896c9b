//! `UPDATE` and `DELETE`.

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, ObjectName, TableWithJoins, Update,
    UpdateTableFromKind,
};

use super::clause::without;
use super::{Walk, Written, single, unknown};

impl Walk<'_> {
    pub(super) fn update(&mut self, update: &Update) -> Written {
        let Update {
            update_token: _,
            optimizer_hints: _, // a comment, and no comment is written
            table,
            on_cluster,
            assignments,
            from,
            selection,
            returning,
            output,
            or,
            order_by,
            limit,
            settings,
        } = update;
        without(
            update,
            &[
                on_cluster,
                output,
                or,
                order_by,
                limit,
                settings,
                &table.joins,
            ],
        )?;
        self.pen.word("UPDATE");
        self.target(&table.relation)?;
        self.assignments(assignments)?;
        match from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(from)) => {
                self.pen.word("FROM");
                self.list(from, Self::joined)?;
            }
            Some(UpdateTableFromKind::BeforeSet(_)) => return Err(unknown(update)),
        }
        self.filter("WHERE", selection.as_ref())?;
        self.returning(returning.as_deref())
    }

    pub(super) fn delete(&mut self, delete: &Delete) -> Written {
        let Delete {
            delete_token: _,
            optimizer_hints: _, // a comment, and no comment is written
            tables,
            from,
            on_cluster,
            using,
            selection,
            returning,
            output,
            order_by,
            limit,
            settings,
        } = delete;
        without(
            delete,
            &[tables, on_cluster, output, order_by, limit, settings],
        )?;
        let FromTable::WithFromKeyword(from) = from else {
            return Err(unknown(delete));
        };
        let [TableWithJoins { relation, joins }] = from.as_slice() else {
            return Err(unknown(delete));
        };
        without(delete, &[joins])?;
        self.pen.word("DELETE FROM");
        self.target(relation)?;
        if let Some(using) = using {
            self.pen.word("USING");
            self.list(using, Self::joined)?;
        }
        self.filter("WHERE", selection.as_ref())?;
        self.returning(returning.as_deref())
    }

    /// `SET` and its list.
    pub(super) fn assignments(&mut self, assignments: &[Assignment]) -> Written {
        self.pen.word("SET");
        self.list(assignments, |walk, assignment| {
            let Assignment { target, value } = assignment;
            match target {
                AssignmentTarget::ColumnName(column) => walk.column(column)?,
                AssignmentTarget::Tuple(columns) => walk.tuple(columns, Self::column)?,
            }
            walk.pen.word("=");
            walk.expr(value)
        })
    }

    /// A column that is written to.
    pub(super) fn column(&mut self, column: &ObjectName) -> Written {
        self.ident(single(column)?)
    }

    /// `WHERE` or `HAVING`, if there is one.
    pub(super) fn filter(&mut self, word: &'static str, filter: Option<&Expr>) -> Written {
        match filter {
            Some(filter) => {
                self.pen.word(word);
                self.expr(filter)
            }
            None => Ok(()),
        }
    }
}
