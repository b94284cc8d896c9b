//! Expressions. Brackets stand where the task wrote them, so PostgreSQL's own
//! precedence decides.

use sqlparser::ast::{
    AccessExpr, Array, CaseWhen, CastKind, CeilFloorKind, DateTimeField, Expr, ExtractSyntax,
    Ident, InTarget, Interval, Spanned, Subscript, TrimWhereField, TypedString,
};
use sqlparser::tokenizer::Span;

use super::super::pen::refused;
use super::super::rejected::Reason;
use super::clause::without;
use super::operator::{infix, prefix};
use super::{Walk, Written, unknown};

impl Walk<'_> {
    pub(super) fn expr(&mut self, expr: &Expr) -> Written {
        match expr {
            Expr::Identifier(ident) => self.reference(ident),
            Expr::CompoundIdentifier(idents) => self.path(idents, expr),
            Expr::CompoundFieldAccess { root, access_chain } => {
                self.expr(root)?;
                access_chain
                    .iter()
                    .try_for_each(|access| self.access(access, expr))
            }
            Expr::Value(value) => self.literal(value),
            Expr::Nested(inner) => self.bracketed(|walk| walk.expr(inner)),
            Expr::Tuple(items) => self.tuple(items, Self::expr),
            Expr::Array(Array { elem, named: true }) => {
                self.pen.word("ARRAY");
                self.elements(elem)
            }
            Expr::Function(function) => self.function(function),
            Expr::Subquery(query) => self.subquery(query),
            Expr::Exists { subquery, negated } => {
                self.not(*negated);
                self.pen.word("EXISTS");
                self.subquery(subquery)
            }
            Expr::Case {
                case_token: _,
                end_token: _,
                operand,
                conditions,
                else_result,
            } => self.case(operand.as_deref(), conditions, else_result.as_deref()),

            Expr::BinaryOp { left, op, right } => {
                let word =
                    infix(op).ok_or_else(|| refused(Reason::OperatorNotAllowed, expr.span()))?;
                self.expr(left)?;
                self.pen.word(word);
                self.expr(right)
            }
            Expr::UnaryOp { op, expr: inner } => {
                let word =
                    prefix(*op).ok_or_else(|| refused(Reason::OperatorNotAllowed, expr.span()))?;
                self.pen.word(word);
                self.expr(inner)
            }
            Expr::AnyOp {
                left,
                compare_op,
                right,
                is_some: _,
            } => {
                let word = infix(compare_op)
                    .ok_or_else(|| refused(Reason::OperatorNotAllowed, expr.span()))?;
                self.quantified(left, word, "ANY", right)
            }
            Expr::AllOp {
                left,
                compare_op,
                right,
            } => {
                let word = infix(compare_op)
                    .ok_or_else(|| refused(Reason::OperatorNotAllowed, expr.span()))?;
                self.quantified(left, word, "ALL", right)
            }

            Expr::IsTrue(inner) => self.postfix(inner, "IS TRUE"),
            Expr::IsNotTrue(inner) => self.postfix(inner, "IS NOT TRUE"),
            Expr::IsFalse(inner) => self.postfix(inner, "IS FALSE"),
            Expr::IsNotFalse(inner) => self.postfix(inner, "IS NOT FALSE"),
            Expr::IsNull(inner) => self.postfix(inner, "IS NULL"),
            Expr::IsNotNull(inner) => self.postfix(inner, "IS NOT NULL"),
            Expr::IsUnknown(inner) => self.postfix(inner, "IS UNKNOWN"),
            Expr::IsNotUnknown(inner) => self.postfix(inner, "IS NOT UNKNOWN"),
            Expr::IsDistinctFrom(left, right) => {
                self.postfix(left, "IS DISTINCT FROM")?;
                self.expr(right)
            }
            Expr::IsNotDistinctFrom(left, right) => {
                self.postfix(left, "IS NOT DISTINCT FROM")?;
                self.expr(right)
            }
            Expr::Between {
                expr: inner,
                negated,
                low,
                high,
            } => {
                self.expr(inner)?;
                self.not(*negated);
                self.pen.word("BETWEEN");
                self.expr(low)?;
                self.pen.word("AND");
                self.expr(high)
            }
            Expr::In {
                expr: inner,
                target,
                negated,
                global,
            } => {
                without(expr, &[global])?;
                self.expr(inner)?;
                self.not(*negated);
                self.pen.word("IN");
                match target {
                    InTarget::List(items) => self.tuple(items, Self::expr),
                    InTarget::Subquery(query) => self.subquery(query),
                    InTarget::Unnest(_) | InTarget::Table { .. } => Err(unknown(expr)),
                }
            }
            Expr::Like {
                negated,
                any,
                expr: inner,
                pattern,
                escape_char,
            } => {
                without(expr, &[any])?;
                self.like("LIKE", *negated, inner, pattern, escape_char.as_deref())
            }
            Expr::ILike {
                negated,
                any,
                expr: inner,
                pattern,
                escape_char,
            } => {
                without(expr, &[any])?;
                self.like("ILIKE", *negated, inner, pattern, escape_char.as_deref())
            }
            Expr::SimilarTo {
                negated,
                expr: inner,
                pattern,
                escape_char,
            } => self.like(
                "SIMILAR TO",
                *negated,
                inner,
                pattern,
                escape_char.as_deref(),
            ),

            Expr::Cast {
                kind,
                expr: inner,
                data_type,
                format,
            } => {
                without(expr, &[format])?;
                match kind {
                    CastKind::Cast => {
                        self.pen.word("CAST");
                        self.bracketed(|walk| {
                            walk.postfix(inner, "AS")?;
                            walk.data_type(data_type, start(expr))
                        })
                    }
                    CastKind::DoubleColon => {
                        self.postfix(inner, "::")?;
                        self.data_type(data_type, start(expr))
                    }
                    CastKind::TryCast | CastKind::SafeCast => Err(unknown(expr)),
                }
            }
            Expr::TypedString(TypedString {
                data_type,
                value,
                uses_odbc_syntax,
            }) => {
                without(expr, &[uses_odbc_syntax])?;
                self.pen.word("CAST");
                self.bracketed(|walk| {
                    walk.literal(value)?;
                    walk.pen.word("AS");
                    walk.data_type(data_type, value.span)
                })
            }
            Expr::Interval(interval) => self.interval(interval, expr),
            Expr::AtTimeZone {
                timestamp,
                time_zone,
            } => {
                self.postfix(timestamp, "AT TIME ZONE")?;
                self.expr(time_zone)
            }
            Expr::Collate {
                expr: inner,
                collation,
            } => {
                self.postfix(inner, "COLLATE")?;
                let name = super::name(collation)?;
                if name
                    .schema
                    .as_deref()
                    .is_some_and(|s| s != super::super::name::CATALOG)
                {
                    return Err(refused(Reason::NameNotAllowed, name.span));
                }
                self.pen
                    .qualified(super::super::name::CATALOG, &name.last, name.span);
                Ok(())
            }

            Expr::Extract {
                field,
                syntax: ExtractSyntax::From,
                expr: inner,
            } => self.extract(field, inner, expr),
            Expr::Position { expr: inner, r#in } => {
                self.pen.word("POSITION");
                self.bracketed(|walk| {
                    walk.postfix(inner, "IN")?;
                    walk.expr(r#in)
                })
            }
            Expr::Ceil { expr: inner, field } => {
                self.rounded("pg_catalog.ceil", inner, field, expr)
            }
            Expr::Floor { expr: inner, field } => {
                self.rounded("pg_catalog.floor", inner, field, expr)
            }
            Expr::Substring {
                expr: inner,
                substring_from,
                substring_for,
                special,
                shorthand,
            } => {
                // Without FROM and FOR it is a call like any other, of whatever
                // `search_path` leads to.
                let is_call = *special || (substring_from.is_none() && substring_for.is_none());
                let (word, from, length) = match (is_call, shorthand) {
                    (true, true) => ("pg_catalog.substr", ",", ","),
                    (true, false) => ("pg_catalog.substring", ",", ","),
                    (false, _) => ("SUBSTRING", "FROM", "FOR"),
                };
                self.pen.word(word);
                self.bracketed(|walk| {
                    walk.expr(inner)?;
                    walk.then(from, substring_from.as_deref())?;
                    walk.then(length, substring_for.as_deref())
                })
            }
            Expr::Overlay {
                expr: inner,
                overlay_what,
                overlay_from,
                overlay_for,
            } => {
                self.pen.word("OVERLAY");
                self.bracketed(|walk| {
                    walk.expr(inner)?;
                    walk.then("PLACING", Some(overlay_what))?;
                    walk.then("FROM", Some(overlay_from))?;
                    walk.then("FOR", overlay_for.as_deref())
                })
            }
            Expr::Trim {
                trim_where,
                trim_what,
                expr: inner,
                trim_characters,
            } => {
                self.pen.word("TRIM");
                self.bracketed(|walk| {
                    match trim_where {
                        None => {}
                        Some(TrimWhereField::Both) => walk.pen.word("BOTH"),
                        Some(TrimWhereField::Leading) => walk.pen.word("LEADING"),
                        Some(TrimWhereField::Trailing) => walk.pen.word("TRAILING"),
                    }
                    if let Some(what) = trim_what {
                        walk.postfix(what, "FROM")?;
                    }
                    walk.expr(inner)?;
                    for characters in trim_characters.iter().flatten() {
                        walk.then(",", Some(characters))?;
                    }
                    Ok(())
                })
            }

            Expr::GroupingSets(sets) => self.grouping("GROUPING SETS", sets),
            Expr::Cube(sets) => self.grouping("CUBE", sets),
            Expr::Rollup(sets) => self.grouping("ROLLUP", sets),
            _ => Err(unknown(expr)),
        }
    }

    /// A column, or `DEFAULT` where a value is expected.
    fn reference(&mut self, ident: &Ident) -> Written {
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default") {
            self.pen.word("DEFAULT");
            return Ok(());
        }
        self.ident(ident)
    }

    /// `column`, `table.column`, `schema.table.column`.
    fn path(&mut self, idents: &[Ident], expr: &Expr) -> Written {
        if idents.len() > 3 {
            return Err(refused(Reason::NameNotAllowed, expr.span()));
        }
        for (index, ident) in idents.iter().enumerate() {
            if index > 0 {
                self.pen.word(".");
            }
            self.ident(ident)?;
        }
        match idents.split_last() {
            Some((last, before)) => self.attribute(before, last),
            None => Ok(()),
        }
    }

    fn access(&mut self, access: &AccessExpr, expr: &Expr) -> Written {
        match access {
            // A call as much as a field: see `attribute.rs`.
            AccessExpr::Dot(Expr::Identifier(field)) => {
                Err(refused(Reason::FunctionNotGranted, field.span))
            }
            AccessExpr::Dot(_) => Err(unknown(expr)),
            AccessExpr::Subscript(Subscript::Index { index }) => {
                self.pen.word("[");
                self.expr(index)?;
                self.pen.word("]");
                Ok(())
            }
            AccessExpr::Subscript(Subscript::Slice {
                lower_bound,
                upper_bound,
                stride,
            }) => {
                without(expr, &[stride])?;
                self.pen.word("[");
                if let Some(lower) = lower_bound {
                    self.expr(lower)?;
                }
                self.then(":", upper_bound.as_ref())?;
                if upper_bound.is_none() {
                    self.pen.word(":");
                }
                self.pen.word("]");
                Ok(())
            }
        }
    }

    /// Elements of an array; those within may be arrays without the word.
    fn elements(&mut self, elements: &[Expr]) -> Written {
        self.pen.word("[");
        self.list(elements, |walk, element| match element {
            Expr::Array(Array { elem, named: false }) => walk.elements(elem),
            _ => walk.expr(element),
        })?;
        self.pen.word("]");
        Ok(())
    }

    fn case(
        &mut self,
        operand: Option<&Expr>,
        conditions: &[CaseWhen],
        else_result: Option<&Expr>,
    ) -> Written {
        self.pen.word("CASE");
        if let Some(operand) = operand {
            self.expr(operand)?;
        }
        for CaseWhen { condition, result } in conditions {
            self.then("WHEN", Some(condition))?;
            self.then("THEN", Some(result))?;
        }
        self.then("ELSE", else_result)?;
        self.pen.word("END");
        Ok(())
    }

    fn quantified(
        &mut self,
        left: &Expr,
        op: &'static str,
        word: &'static str,
        right: &Expr,
    ) -> Written {
        self.postfix(left, op)?;
        self.pen.word(word);
        match right {
            Expr::Subquery(query) => self.subquery(query),
            _ => self.bracketed(|walk| walk.expr(right)),
        }
    }

    fn like(
        &mut self,
        word: &'static str,
        negated: bool,
        expr: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
    ) -> Written {
        self.expr(expr)?;
        self.not(negated);
        self.then(word, Some(pattern))?;
        self.then("ESCAPE", escape)
    }

    /// PostgreSQL takes the field as a string too, so no word of the task's is
    /// written as a keyword.
    fn extract(&mut self, field: &DateTimeField, from: &Expr, expr: &Expr) -> Written {
        let field = match field {
            DateTimeField::Custom(ident) => ident.value.to_ascii_lowercase(),
            DateTimeField::Week(None) => "week".to_owned(),
            DateTimeField::Week(Some(_)) | DateTimeField::NoDateTime => return Err(unknown(expr)),
            known => known.to_string().to_ascii_lowercase(),
        };
        self.pen.word("EXTRACT");
        self.bracketed(|walk| {
            walk.pen.string(&field, start(expr))?;
            walk.then("FROM", Some(from))
        })
    }

    fn rounded(
        &mut self,
        word: &'static str,
        inner: &Expr,
        field: &CeilFloorKind,
        expr: &Expr,
    ) -> Written {
        let CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) = field else {
            return Err(unknown(expr));
        };
        self.pen.word(word);
        self.bracketed(|walk| walk.expr(inner))
    }

    fn interval(&mut self, interval: &Interval, expr: &Expr) -> Written {
        let Interval {
            value,
            leading_field,
            leading_precision,
            last_field,
            fractional_seconds_precision,
        } = interval;
        without(expr, &[leading_precision, fractional_seconds_precision])?;
        let Expr::Value(value) = value.as_ref() else {
            return Err(unknown(expr));
        };
        self.pen.word("INTERVAL");
        self.string_only(value)?;
        let Some(leading) = leading_field else {
            return Ok(());
        };
        self.pen.word(unit(leading).ok_or_else(|| unknown(expr))?);
        if let Some(last) = last_field {
            self.pen.word("TO");
            self.pen.word(unit(last).ok_or_else(|| unknown(expr))?);
        }
        Ok(())
    }

    fn grouping(&mut self, word: &'static str, sets: &[Vec<Expr>]) -> Written {
        self.pen.word(word);
        self.tuple(sets, |walk, set| walk.tuple(set, Self::expr))
    }

    /// An expression and a word behind it.
    fn postfix(&mut self, expr: &Expr, word: &'static str) -> Written {
        self.expr(expr)?;
        self.pen.word(word);
        Ok(())
    }

    /// A word and an expression behind it, if there is one.
    fn then(&mut self, word: &'static str, expr: Option<&Expr>) -> Written {
        if let Some(expr) = expr {
            self.pen.word(word);
            self.expr(expr)?;
        }
        Ok(())
    }

    fn not(&mut self, negated: bool) {
        if negated {
            self.pen.word("NOT");
        }
    }
}

/// A field that an interval may be limited to.
fn unit(field: &DateTimeField) -> Option<&'static str> {
    Some(match field {
        DateTimeField::Year => "YEAR",
        DateTimeField::Month => "MONTH",
        DateTimeField::Day => "DAY",
        DateTimeField::Hour => "HOUR",
        DateTimeField::Minute => "MINUTE",
        DateTimeField::Second => "SECOND",
        _ => return None,
    })
}

/// The place of an expression's first name or literal, found without a look at
/// the rest of it.
fn start(expr: &Expr) -> Span {
    match expr {
        Expr::Cast { expr, .. } | Expr::Nested(expr) | Expr::UnaryOp { expr, .. } => start(expr),
        Expr::Extract { expr, .. } | Expr::BinaryOp { left: expr, .. } => start(expr),
        Expr::Identifier(ident) => ident.span,
        Expr::CompoundIdentifier(idents) => idents.first().map_or(Span::empty(), |i| i.span),
        Expr::Value(value) => value.span,
        Expr::Function(function) => function.name.span(),
        _ => Span::empty(),
    }
}
