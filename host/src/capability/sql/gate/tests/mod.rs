//! The gate against a catalogue of statements.

mod bounds;
mod catalogue;
mod properties;
mod server;
mod written;

use std::collections::BTreeSet;

use super::*;

/// The grant of the catalogue, with these verbs.
fn rules(verbs: &[Verb]) -> Rules {
    let table = |name: &str| name.parse().unwrap();
    Rules {
        allow: verbs.iter().copied().collect(),
        tables: ["public.orders", "public.lines", "stage.orders"]
            .map(table)
            .into(),
        schema: SchemaName::default(),
        functions: ["public.allowed".parse().unwrap()].into(),
        types: BTreeSet::new(),
    }
}

const ALL: [Verb; 7] = [
    Verb::Select,
    Verb::Insert,
    Verb::Update,
    Verb::Delete,
    Verb::Merge,
    Verb::CopyIn,
    Verb::CopyOut,
];
