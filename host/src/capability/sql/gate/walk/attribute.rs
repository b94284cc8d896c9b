//! `x.f`, which PostgreSQL reads as a column first and then as the call `f(x)`.
//!
//! It does so for a value of any type: `('data_directory').current_setting` is
//! a call. So a dot after an expression is refused. Before a dot that is
//! written stands the name of what rows come from; to PostgreSQL that is a row,
//! and no function of its own that takes rows does more than compute. But a
//! function in `FROM` that returns one value *is* that value: of
//! `unnest(ARRAY['data_directory']) AS g`, `g.current_setting` is a call too.
//! There only columns that are known pass.

use std::collections::{BTreeSet, HashMap};

use sqlparser::ast::{Ident, TableAlias};
use sqlparser::tokenizer::Span;

use super::super::functions::{Shape, is_of_rows};
use super::super::name::CATALOG;
use super::super::pen::{folded, refused};
use super::super::rejected::{Reason, Rejected};
use super::{Name, Walk, Written};

/// What was written with a dot, and what may stand there.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// The functions in `FROM` by their names there, each with its columns, as
    /// far as they are known. Under one name in two places: what both have.
    functions: HashMap<String, BTreeSet<String>>,
    /// `x.f`: both parts, and where the second stands.
    written: Vec<(String, String, Span)>,
}

impl Attributes {
    /// Nothing that is written is a call. Names are seen before what they name,
    /// so this comes last; it looks at no scopes, and rather refuses.
    pub(super) fn check(&self) -> Result<(), Rejected> {
        for (of, attribute, span) in &self.written {
            let columns = self.functions.get(of);
            if columns.is_some_and(|columns| !columns.contains(attribute)) {
                return Err(refused(Reason::FunctionNotGranted, *span));
            }
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// The last part of `table.column` or `schema.table.column`.
    pub(super) fn attribute(&mut self, before: &[Ident], last: &Ident) -> Written {
        let attribute = folded(last)?;
        let called =
            is_of_rows(&attribute) && self.rules.function(Some(CATALOG), &attribute).is_none();
        if called {
            return Err(refused(Reason::FunctionNotGranted, last.span));
        }
        // With a schema before it, it is a table.
        if let [of] = before {
            let of = folded(of)?;
            self.attributes.written.push((of, attribute, last.span));
        }
        Ok(())
    }

    /// A function in `FROM` that may return one value.
    pub(super) fn in_from(&mut self, function: &Name, alias: Option<&TableAlias>) -> Written {
        let schema = function.schema.as_deref();
        let own = self.rules.function(schema, &function.last) == Some(CATALOG);
        let shape = own.then(|| Shape::of(&function.last)).flatten();
        let known_as = match alias {
            Some(alias) => folded(&alias.name)?,
            None => function.last.clone(),
        };
        let listed = alias.iter().flat_map(|alias| &alias.columns);
        let mut columns = listed
            .map(|column| folded(&column.name))
            .collect::<Result<BTreeSet<_>, _>>()?;
        if columns.is_empty() {
            match shape {
                Some(Shape::Rows) => return Ok(()),
                Some(Shape::Column(column)) => columns.extend([column.to_owned()]),
                Some(Shape::Plain) => columns.extend([known_as.clone()]),
                None => {}
            }
        }
        self.attributes
            .functions
            .entry(known_as)
            .and_modify(|known| known.retain(|column| columns.contains(column)))
            .or_insert(columns);
        Ok(())
    }
}
