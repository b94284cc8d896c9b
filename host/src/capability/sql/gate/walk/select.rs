//! `SELECT` up to its `WINDOW`.

use sqlparser::ast::{
    Distinct, GroupByExpr, NamedWindowDefinition, NamedWindowExpr, Select, SelectFlavor,
    SelectItem, SelectItemQualifiedWildcardKind, Spanned, WildcardAdditionalOptions,
};

use super::super::pen::refused;
use super::super::rejected::Reason;
use super::super::verb::Verb;
use super::clause::without;
use super::{Walk, Written, idents, unknown};

impl Walk<'_> {
    pub(super) fn select(&mut self, select: &Select) -> Written {
        let Select {
            select_token: _,
            optimizer_hints: _, // a comment, and no comment is written
            distinct,
            select_modifiers,
            top,
            top_before_distinct,
            projection,
            exclude,
            into,
            from,
            lateral_views,
            prewhere,
            selection,
            connect_by,
            group_by,
            cluster_by,
            distribute_by,
            sort_by,
            having,
            named_window,
            qualify,
            window_before_qualify: _, // says nothing without `qualify`
            value_table_mode,
            flavor,
        } = select;
        without(
            select,
            &[
                select_modifiers,
                top,
                top_before_distinct,
                exclude,
                into,
                lateral_views,
                prewhere,
                connect_by,
                cluster_by,
                distribute_by,
                sort_by,
                qualify,
                value_table_mode,
            ],
        )?;
        if !matches!(flavor, SelectFlavor::Standard) {
            return Err(unknown(select));
        }
        self.pen.word("SELECT");
        match distinct {
            None => {}
            Some(Distinct::All) => self.pen.word("ALL"),
            Some(Distinct::Distinct) => self.pen.word("DISTINCT"),
            Some(Distinct::On(exprs)) => {
                self.pen.word("DISTINCT ON");
                self.tuple(exprs, Self::expr)?;
            }
        }
        self.items(projection)?;
        if !from.is_empty() {
            self.pen.word("FROM");
            self.list(from, Self::joined)?;
        }
        self.filter("WHERE", selection.as_ref())?;
        self.group_by(group_by, select)?;
        self.filter("HAVING", having.as_ref())?;
        if !named_window.is_empty() {
            self.pen.word("WINDOW");
            self.list(named_window, Self::named_window)?;
        }
        Ok(())
    }

    /// `RETURNING`, which reads.
    pub(super) fn returning(&mut self, items: Option<&[SelectItem]>) -> Written {
        let Some(items) = items else {
            return Ok(());
        };
        if let Some(first) = items.first() {
            self.does(Verb::Select, first)?;
        }
        self.pen.word("RETURNING");
        self.items(items)
    }

    fn items(&mut self, items: &[SelectItem]) -> Written {
        self.list(items, Self::item)
    }

    fn item(&mut self, item: &SelectItem) -> Written {
        match item {
            SelectItem::UnnamedExpr(expr) => self.expr(expr),
            SelectItem::ExprWithAlias { expr, alias } => {
                self.expr(expr)?;
                self.pen.word("AS");
                self.ident(alias)
            }
            SelectItem::ExprWithAliases { .. } => Err(unknown(item)),
            SelectItem::Wildcard(options) => {
                plain(options, item)?;
                self.pen.word("*");
                Ok(())
            }
            SelectItem::QualifiedWildcard(kind, options) => {
                plain(options, item)?;
                match kind {
                    SelectItemQualifiedWildcardKind::ObjectName(name) => {
                        let parts = idents(name)?;
                        if parts.len() > 2 {
                            return Err(refused(Reason::NameNotAllowed, name.span()));
                        }
                        for part in parts {
                            self.ident(part)?;
                            self.pen.word(".");
                        }
                    }
                    SelectItemQualifiedWildcardKind::Expr(expr) => {
                        self.expr(expr)?;
                        self.pen.word(".");
                    }
                }
                self.pen.word("*");
                Ok(())
            }
        }
    }

    fn group_by(&mut self, group_by: &GroupByExpr, select: &Select) -> Written {
        match group_by {
            GroupByExpr::Expressions(exprs, modifiers) if modifiers.is_empty() => {
                if exprs.is_empty() {
                    return Ok(());
                }
                self.pen.word("GROUP BY");
                self.list(exprs, Self::expr)
            }
            _ => Err(unknown(select)),
        }
    }

    fn named_window(&mut self, window: &NamedWindowDefinition) -> Written {
        let NamedWindowDefinition(name, window) = window;
        self.ident(name)?;
        self.pen.word("AS");
        match window {
            NamedWindowExpr::WindowSpec(spec) => self.window(spec),
            NamedWindowExpr::NamedWindow(name) => Err(refused(Reason::ClauseNotAllowed, name.span)),
        }
    }
}

/// A `*` with nothing behind it.
fn plain(options: &WildcardAdditionalOptions, item: &SelectItem) -> Written {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    without(
        item,
        &[
            opt_ilike,
            opt_exclude,
            opt_except,
            opt_replace,
            opt_rename,
            opt_alias,
        ],
    )
}
