//! Where rows come from: tables, CTEs, functions, subqueries, joins.

use sqlparser::ast::{
    FunctionArg, Ident, Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor,
    TableFunctionArgs, TableInheritance, TableWithJoins,
};

use super::super::pen::refused;
use super::super::rejected::Reason;
use super::super::verb::Verb;
use super::clause::without;
use super::scope::written;
use super::{Name, Walk, Written, name, single, unknown};

impl Walk<'_> {
    /// A table and its joins.
    pub(super) fn joined(&mut self, relation: &TableWithJoins) -> Written {
        let TableWithJoins { relation, joins } = relation;
        self.factor(relation)?;
        for join in joins {
            self.join(join)?;
        }
        Ok(())
    }

    /// A table that is read, or a CTE. Both are written so that they cannot be
    /// anything else.
    pub(super) fn read(&mut self, name: &Name) -> Written {
        if name.schema.is_none() && self.scopes.knows(&name.last) {
            let shown = written(&name.last).ok_or(refused(Reason::NameNotAllowed, name.span))?;
            self.pen.name(&shown, name.span);
            return Ok(());
        }
        if !self.rules.allow.contains(&Verb::Select) {
            return Err(refused(Reason::VerbNotGranted, name.span));
        }
        self.verbs.insert(Verb::Select);
        self.table(name)
    }

    /// A table that is written to. It is never a CTE.
    pub(super) fn table(&mut self, name: &Name) -> Written {
        let table = self
            .rules
            .table(name.schema.as_deref(), &name.last)
            .ok_or(refused(Reason::TableNotGranted, name.span))?;
        self.pen.qualified(table.schema(), table.table(), name.span);
        self.tables.insert(table);
        Ok(())
    }

    /// The table of an `UPDATE`, `DELETE` or `MERGE`.
    pub(super) fn target(&mut self, target: &TableFactor) -> Written {
        let TableFactor::Table {
            name: table,
            alias,
            args,
            with_hints,
            version,
            with_ordinality,
            partitions,
            json_path,
            sample,
            index_directives,
            inheritance,
        } = target
        else {
            return Err(unknown(target));
        };
        without(
            target,
            &[
                args,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_directives,
            ],
        )?;
        self.only(inheritance.as_ref());
        self.table(&name(table)?)?;
        if let Some(alias) = alias {
            without(target, &[&alias.columns, &alias.at])?;
            self.pen.word("AS");
            self.ident(&alias.name)?;
        }
        Ok(())
    }

    pub(super) fn factor(&mut self, factor: &TableFactor) -> Written {
        match factor {
            TableFactor::Table {
                name: table,
                alias,
                args: None,
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_directives,
                inheritance,
            } => {
                without(
                    factor,
                    &[
                        with_hints,
                        version,
                        with_ordinality,
                        partitions,
                        json_path,
                        sample,
                        index_directives,
                    ],
                )?;
                let name = name(table)?;
                let cte = name.schema.is_none() && self.scopes.knows(&name.last);
                if cte {
                    // `ONLY` is for tables.
                    without(factor, &[inheritance])?;
                }
                self.only(inheritance.as_ref());
                self.read(&name)?;
                match alias {
                    Some(alias) => self.alias(alias),
                    // The task calls its columns by the name it gave.
                    None if cte => {
                        self.pen.word("AS");
                        self.pen.name(&name.last, name.span);
                        Ok(())
                    }
                    None => Ok(()),
                }
            }
            TableFactor::Table {
                name: function,
                alias,
                args: Some(TableFunctionArgs { args, settings }),
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_directives,
                inheritance,
            } => {
                without(
                    factor,
                    &[
                        settings,
                        with_hints,
                        version,
                        partitions,
                        json_path,
                        sample,
                        index_directives,
                        inheritance,
                    ],
                )?;
                self.table_function(function, args, *with_ordinality, alias.as_ref())
            }
            TableFactor::Function {
                lateral,
                name,
                args,
                with_ordinality,
                alias,
            } => {
                if *lateral {
                    self.pen.word("LATERAL");
                }
                self.table_function(name, args, *with_ordinality, alias.as_ref())
            }
            TableFactor::UNNEST {
                alias,
                array_exprs,
                with_offset,
                with_offset_alias,
                with_ordinality,
            } => {
                without(factor, &[with_offset, with_offset_alias])?;
                // With several arrays it is syntax of PostgreSQL's, which
                // binds it to `pg_catalog` itself.
                self.pen.word(match array_exprs.len() {
                    1 => "pg_catalog.unnest",
                    _ => "unnest",
                });
                self.tuple(array_exprs, Self::expr)?;
                if array_exprs.len() == 1 && !with_ordinality {
                    self.in_from(&Name::own("unnest"), alias.as_ref())?;
                }
                self.table_function_end(*with_ordinality, alias.as_ref())
            }
            TableFactor::Derived {
                lateral,
                subquery,
                alias,
                sample,
            } => {
                without(factor, &[sample])?;
                if *lateral {
                    self.pen.word("LATERAL");
                }
                self.subquery(subquery)?;
                self.optional_alias(alias.as_ref())
            }
            TableFactor::NestedJoin {
                table_with_joins,
                alias,
            } => {
                self.bracketed(|walk| walk.joined(table_with_joins))?;
                self.optional_alias(alias.as_ref())
            }
            _ => Err(unknown(factor)),
        }
    }

    fn table_function(
        &mut self,
        function: &ObjectName,
        args: &[FunctionArg],
        with_ordinality: bool,
        alias: Option<&TableAlias>,
    ) -> Written {
        let name = name(function)?;
        self.function_name(&name)?;
        self.tuple(args, Self::argument)?;
        if !with_ordinality {
            // With the number of each row, it is a row.
            self.in_from(&name, alias)?;
        }
        self.table_function_end(with_ordinality, alias)
    }

    fn table_function_end(&mut self, ordinality: bool, alias: Option<&TableAlias>) -> Written {
        if ordinality {
            self.pen.word("WITH ORDINALITY");
        }
        self.optional_alias(alias)
    }

    fn optional_alias(&mut self, alias: Option<&TableAlias>) -> Written {
        alias.map_or(Ok(()), |alias| self.alias(alias))
    }

    fn alias(&mut self, alias: &TableAlias) -> Written {
        let TableAlias {
            explicit: _,
            name,
            columns,
            at,
        } = alias;
        if at.is_some() {
            return Err(refused(Reason::ClauseNotAllowed, name.span));
        }
        self.pen.word("AS");
        self.ident(name)?;
        if columns.is_empty() {
            return Ok(());
        }
        self.tuple(columns, |walk, column| {
            walk.ident(&column.name)?;
            match &column.data_type {
                Some(data_type) => walk.data_type(data_type, column.name.span),
                None => Ok(()),
            }
        })
    }

    fn only(&mut self, inheritance: Option<&TableInheritance>) {
        match inheritance {
            Some(TableInheritance::Only { parenthesized: _ }) => self.pen.word("ONLY"),
            // The default, with or without its `*`.
            Some(TableInheritance::IncludeDescendants) | None => {}
        }
    }

    fn join(&mut self, join: &Join) -> Written {
        let Join {
            relation,
            global,
            join_operator,
        } = join;
        without(relation, &[global])?;
        let (word, constraint) = match join_operator {
            JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => {
                ("JOIN", constraint)
            }
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                ("LEFT JOIN", constraint)
            }
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                ("RIGHT JOIN", constraint)
            }
            JoinOperator::FullOuter(constraint) => ("FULL JOIN", constraint),
            JoinOperator::CrossJoin(constraint) => ("CROSS JOIN", constraint),
            _ => return Err(unknown(relation)),
        };
        if matches!(constraint, JoinConstraint::Natural) {
            self.pen.word("NATURAL");
        }
        self.pen.word(word);
        self.factor(relation)?;
        match constraint {
            JoinConstraint::On(on) => {
                self.pen.word("ON");
                self.expr(on)
            }
            JoinConstraint::Using(columns) => self.using(columns, None),
            JoinConstraint::UsingAlias(columns, alias) => self.using(columns, Some(alias)),
            JoinConstraint::Natural | JoinConstraint::None => Ok(()),
        }
    }

    fn using(&mut self, columns: &[ObjectName], alias: Option<&Ident>) -> Written {
        self.pen.word("USING");
        self.tuple(columns, |walk, column| walk.ident(single(column)?))?;
        match alias {
            Some(alias) => {
                self.pen.word("AS");
                self.ident(alias)
            }
            None => Ok(()),
        }
    }
}
