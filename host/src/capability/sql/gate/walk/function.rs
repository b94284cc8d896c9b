//! Calls.

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArgumentClause, FunctionArgumentList, FunctionArguments, Ident, Spanned,
};

use super::super::pen::refused;
use super::super::rejected::{Reason, Rejected};
use super::clause::without;
use super::{Name, Walk, Written, name, unknown};

/// What looks like a call and is syntax of PostgreSQL's, with brackets.
const WITH_BRACKETS: [(&str, &str); 7] = [
    ("coalesce", "COALESCE"),
    ("nullif", "NULLIF"),
    ("greatest", "GREATEST"),
    ("least", "LEAST"),
    ("grouping", "GROUPING"),
    ("row", "ROW"),
    ("array", "ARRAY"),
];

/// The clock, with or without a precision in brackets.
const CLOCK: [(&str, &str); 5] = [
    ("current_date", "CURRENT_DATE"),
    ("current_time", "CURRENT_TIME"),
    ("current_timestamp", "CURRENT_TIMESTAMP"),
    ("localtime", "LOCALTIME"),
    ("localtimestamp", "LOCALTIMESTAMP"),
];

impl Walk<'_> {
    pub(super) fn function(&mut self, function: &Function) -> Written {
        let Function {
            name: called,
            uses_odbc_syntax,
            parameters,
            args,
            within_group,
            filter,
            null_treatment,
            over,
        } = function;
        without(called, &[uses_odbc_syntax, null_treatment])?;
        let FunctionArguments::None = parameters else {
            return Err(unknown(called));
        };
        let called = name(called)?;
        let syntax = called.bare.then(|| syntax(&called.last)).flatten();
        match (syntax, args) {
            (Some((word, Brackets::Maybe)), FunctionArguments::None) => {
                self.pen.word(word);
            }
            (Some((word, Brackets::Always)), FunctionArguments::Subquery(query))
                if word == "ARRAY" =>
            {
                self.pen.word(word);
                self.subquery(query)?;
            }
            (Some((word, _)), FunctionArguments::List(list)) if word != "ARRAY" => {
                self.pen.word(word);
                self.arguments(list, &called)?;
            }
            (None, FunctionArguments::List(list)) => {
                self.function_name(&called)?;
                self.arguments(list, &called)?;
            }
            _ => return Err(refused(Reason::FunctionNotGranted, called.span)),
        }
        if !within_group.is_empty() {
            self.pen.word("WITHIN GROUP");
            self.bracketed(|walk| walk.ordered(within_group))?;
        }
        if let Some(filter) = filter {
            self.pen.word("FILTER");
            self.bracketed(|walk| walk.filter("WHERE", Some(filter)))?;
        }
        match over {
            Some(over) => self.windowed(over),
            None => Ok(()),
        }
    }

    /// The function that is called, in its schema.
    pub(super) fn function_name(&mut self, name: &Name) -> Written {
        let schema = self
            .rules
            .function(name.schema.as_deref(), &name.last)
            .ok_or(refused(Reason::FunctionNotGranted, name.span))?;
        self.pen.qualified(schema, &name.last, name.span);
        Ok(())
    }

    fn arguments(&mut self, list: &FunctionArgumentList, called: &Name) -> Written {
        let FunctionArgumentList {
            duplicate_treatment,
            args,
            clauses,
        } = list;
        self.bracketed(|walk| {
            match duplicate_treatment {
                None => {}
                Some(DuplicateTreatment::Distinct) => walk.pen.word("DISTINCT"),
                Some(DuplicateTreatment::All) => walk.pen.word("ALL"),
            }
            walk.list(args, Self::argument)?;
            for clause in clauses {
                match clause {
                    FunctionArgumentClause::OrderBy(exprs) => walk.ordered(exprs)?,
                    _ => return Err(refused(Reason::ClauseNotAllowed, called.span)),
                }
            }
            Ok(())
        })
    }

    pub(super) fn argument(&mut self, argument: &FunctionArg) -> Written {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => self.expr(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {
                self.pen.word("*");
                Ok(())
            }
            FunctionArg::Named {
                name,
                arg: FunctionArgExpr::Expr(expr),
                operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
            } => self.named_argument(name, expr),
            FunctionArg::ExprNamed {
                name: Expr::Identifier(name),
                arg: FunctionArgExpr::Expr(expr),
                operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
            } => self.named_argument(name, expr),
            FunctionArg::Unnamed(_) | FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => {
                Err(unknown_argument(argument))
            }
        }
    }

    fn named_argument(&mut self, name: &Ident, expr: &Expr) -> Written {
        self.ident(name)?;
        self.pen.word("=>");
        self.expr(expr)
    }
}

fn unknown_argument(argument: &FunctionArg) -> Rejected {
    refused(Reason::ClauseNotAllowed, argument.span())
}

/// Whether brackets must follow.
enum Brackets {
    Always,
    Maybe,
}

fn syntax(name: &str) -> Option<(&'static str, Brackets)> {
    let find = |list: &[(&str, &'static str)]| {
        let found = list.iter().find(|(known, _)| *known == name);
        found.map(|(_, word)| *word)
    };
    find(&WITH_BRACKETS)
        .map(|word| (word, Brackets::Always))
        .or_else(|| find(&CLOCK).map(|word| (word, Brackets::Maybe)))
}
