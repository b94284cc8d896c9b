//! `results.db`: how each run stands, and all of it when that is little.
//!
//! Nothing else is in this file: it is what every run is written to, what a start of
//! the service checks and reads, and what a list of runs looks at.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use uuid::Uuid;

use super::database::Shape;

/// The shape of the file.
pub(super) struct Heads;

/// One change of it.
pub(super) enum Change {
    /// That a run began; nothing when more is known of it.
    Begin(Uuid, Vec<u8>),
    /// A run, in place of what was there of it.
    Put(Uuid, Vec<u8>),
    Forget(Uuid),
}

impl Shape for Heads {
    type Change = Change;

    const TABLES: &str = "
        create table runs (run blob primary key, head blob not null) strict;
    ";
    // The map of pages that it takes costs every commit one or two pages more, and
    // what would be given back is little.
    const GIVES_BACK: bool = false;

    fn size(change: &Change) -> usize {
        match change {
            Change::Begin(_, head) | Change::Put(_, head) => head.len(),
            Change::Forget(_) => size_of::<Uuid>(),
        }
    }

    fn make(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
        match change {
            Change::Begin(run, head) => transaction
                .prepare_cached("insert into runs values (?, ?) on conflict (run) do nothing")?
                .execute(params![run.as_bytes(), head]),
            Change::Put(run, head) => transaction
                .prepare_cached(
                    "insert into runs values (?, ?) on conflict (run) do update set head = excluded.head",
                )?
                .execute(params![run.as_bytes(), head]),
            Change::Forget(run) => transaction
                .prepare_cached("delete from runs where run = ?")?
                .execute(params![run.as_bytes()]),
        }
        .map(drop)
    }
}

/// The head of a run, if it is there.
pub(super) fn head(connection: &Connection, run: Uuid) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut statement = connection.prepare_cached("select head from runs where run = ?")?;
    let found = statement.query_row([run.as_bytes()], |row| row.get(0));
    found.optional()
}

/// All heads, the oldest run first.
pub(super) fn each(
    connection: &Connection,
    mut visit: impl FnMut(Uuid, &[u8]),
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("select run, head from runs order by run")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let run = Uuid::from_bytes(row.get(0)?);
        let head = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        visit(run, head);
    }
    Ok(())
}
