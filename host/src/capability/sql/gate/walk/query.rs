//! A query: `WITH`, its body, order, limit and locks.

use sqlparser::ast::{
    Cte, CteAsMaterialized, Fetch, LimitClause, LockClause, LockType, NonBlock, Offset, OffsetRows,
    OrderBy, OrderByExpr, OrderByKind, OrderByOptions, OrderBySort, Query, SetExpr, SetOperator,
    SetQuantifier, Table, Values, With,
};

use super::super::pen::{folded, refused};
use super::super::rejected::{Reason, Rejected};
use super::super::verb::Verb;
use super::clause::without;
use super::scope::written;
use super::{Walk, Written, named, single, unknown};

impl Walk<'_> {
    /// A whole query, without brackets.
    pub(super) fn query(&mut self, query: &Query) -> Written {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        without(
            query,
            &[for_clause, settings, format_clause, pipe_operators],
        )?;
        let outside = self.scopes.open();
        if let Some(with) = with {
            self.with(with)?;
        }
        self.body(body)?;
        if let Some(order_by) = order_by {
            self.order_by(order_by, query)?;
        }
        if let Some(limit) = limit_clause {
            self.limit(limit, query)?;
        }
        if let Some(fetch) = fetch {
            self.fetch(fetch, query)?;
        }
        for lock in locks {
            self.lock(lock, query)?;
        }
        self.scopes.close(outside);
        Ok(())
    }

    /// A query in brackets.
    pub(super) fn subquery(&mut self, query: &Query) -> Written {
        self.bracketed(|walk| walk.query(query))
    }

    /// Of a list that is not recursive, each sees only those before it.
    fn with(&mut self, with: &With) -> Written {
        let With {
            with_token: _,
            recursive,
            cte_tables,
        } = with;
        self.pen.word("WITH");
        if *recursive {
            self.pen.word("RECURSIVE");
            for cte in cte_tables {
                self.scopes.add(&folded(&cte.alias.name)?);
            }
        }
        for (index, cte) in cte_tables.iter().enumerate() {
            if index > 0 {
                self.pen.word(",");
            }
            self.cte(cte)?;
            if !recursive {
                self.scopes.add(&folded(&cte.alias.name)?);
            }
        }
        Ok(())
    }

    fn cte(&mut self, cte: &Cte) -> Written {
        let Cte {
            alias,
            query,
            from,
            materialized,
            closing_paren_token: _,
        } = cte;
        without(cte, &[from, &alias.at])?;
        let name = &alias.name;
        let shown = written(&folded(name)?).ok_or(refused(Reason::NameNotAllowed, name.span))?;
        self.pen.name(&shown, name.span);
        if !alias.columns.is_empty() {
            self.tuple(&alias.columns, |walk, column| {
                without(column, &[&column.data_type])?;
                walk.ident(&column.name)
            })?;
        }
        self.pen.word("AS");
        match materialized {
            None => {}
            Some(CteAsMaterialized::Materialized) => self.pen.word("MATERIALIZED"),
            Some(CteAsMaterialized::NotMaterialized) => self.pen.word("NOT MATERIALIZED"),
        }
        self.subquery(query)
    }

    fn body(&mut self, body: &SetExpr) -> Written {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.subquery(query),
            SetExpr::SetOperation {
                left,
                op,
                set_quantifier,
                right,
            } => {
                self.body(left)?;
                self.pen.word(match op {
                    SetOperator::Union => "UNION",
                    SetOperator::Except => "EXCEPT",
                    SetOperator::Intersect => "INTERSECT",
                    SetOperator::Minus => return Err(unknown(body)),
                });
                match set_quantifier {
                    SetQuantifier::None => {}
                    SetQuantifier::All => self.pen.word("ALL"),
                    SetQuantifier::Distinct => self.pen.word("DISTINCT"),
                    SetQuantifier::ByName
                    | SetQuantifier::AllByName
                    | SetQuantifier::DistinctByName => return Err(unknown(body)),
                }
                self.body(right)
            }
            SetExpr::Values(values) => self.values(values),
            SetExpr::Insert(statement)
            | SetExpr::Update(statement)
            | SetExpr::Delete(statement)
            | SetExpr::Merge(statement) => self.change(statement).map(|_| ()),
            SetExpr::Table(table) => self.whole_table(table),
        }
    }

    pub(super) fn values(&mut self, values: &Values) -> Written {
        let Values {
            explicit_row,
            value_keyword,
            rows,
        } = values;
        without(values, &[explicit_row, value_keyword])?;
        self.pen.word("VALUES");
        self.list(rows, |walk, row| walk.tuple(&row.content, Self::expr))
    }

    /// `TABLE name`.
    fn whole_table(&mut self, table: &Table) -> Written {
        let Table {
            table_name,
            schema_name,
        } = table;
        let Some(table) = table_name else {
            return Err(Rejected::new(Reason::NameNotAllowed));
        };
        let name = named(schema_name.as_ref(), table)?;
        self.pen.word("TABLE");
        self.read(&name)
    }

    fn order_by(&mut self, order_by: &OrderBy, query: &Query) -> Written {
        let OrderBy { kind, interpolate } = order_by;
        without(query, &[interpolate])?;
        match kind {
            OrderByKind::Expressions(exprs) => self.ordered(exprs),
            OrderByKind::All(_) => Err(unknown(query)),
        }
    }

    /// `ORDER BY` and its list.
    pub(super) fn ordered(&mut self, exprs: &[OrderByExpr]) -> Written {
        self.pen.word("ORDER BY");
        self.list(exprs, |walk, expr| {
            let OrderByExpr {
                expr: by,
                options,
                with_fill,
            } = expr;
            let OrderByOptions { sort, nulls_first } = options;
            without(by, &[with_fill])?;
            walk.expr(by)?;
            match sort {
                None => {}
                Some(OrderBySort::Asc) => walk.pen.word("ASC"),
                Some(OrderBySort::Desc) => walk.pen.word("DESC"),
                Some(OrderBySort::Using(_)) => return Err(unknown(by)),
            }
            match nulls_first {
                None => {}
                Some(true) => walk.pen.word("NULLS FIRST"),
                Some(false) => walk.pen.word("NULLS LAST"),
            }
            Ok(())
        })
    }

    fn limit(&mut self, limit: &LimitClause, query: &Query) -> Written {
        let LimitClause::LimitOffset {
            limit,
            offset,
            limit_by,
        } = limit
        else {
            return Err(unknown(query));
        };
        without(query, &[limit_by])?;
        if let Some(limit) = limit {
            self.pen.word("LIMIT");
            self.expr(limit)?;
        }
        match offset {
            None => Ok(()),
            Some(Offset {
                value,
                rows: OffsetRows::None | OffsetRows::Row | OffsetRows::Rows,
            }) => {
                self.pen.word("OFFSET");
                self.expr(value)
            }
        }
    }

    fn fetch(&mut self, fetch: &Fetch, query: &Query) -> Written {
        let Fetch {
            with_ties,
            percent,
            quantity,
        } = fetch;
        without(query, &[percent])?;
        self.pen.word("FETCH FIRST");
        if let Some(quantity) = quantity {
            self.expr(quantity)?;
        }
        self.pen.word("ROWS");
        self.pen.word(if *with_ties { "WITH TIES" } else { "ONLY" });
        Ok(())
    }

    /// A lock keeps others from writing: it needs `update`, whatever its strength.
    fn lock(&mut self, lock: &LockClause, query: &Query) -> Written {
        let LockClause {
            lock_type,
            of,
            nonblock,
        } = lock;
        self.does(Verb::Update, query)?;
        self.pen.word(match lock_type {
            LockType::Share => "FOR SHARE",
            LockType::Update => "FOR UPDATE",
        });
        if let Some(of) = of {
            self.pen.word("OF");
            self.ident(single(of)?)?;
        }
        match nonblock {
            None => {}
            Some(NonBlock::Nowait) => self.pen.word("NOWAIT"),
            Some(NonBlock::SkipLocked) => self.pen.word("SKIP LOCKED"),
        }
        Ok(())
    }
}
