//! `results-large.db`: what runs that have much to tell returned and logged.
//!
//! It is written before the head that names it, and forgotten after it. Its pages are
//! given back to the disk when it has many that it does not need.

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use uuid::Uuid;

use super::database::Shape;
use super::record::Parts;
use crate::server::log::Page;

/// The shape of the file.
pub(super) struct Large;

/// One change of it.
pub(super) enum Change {
    /// All of a run, in place of what was there of it.
    Put(Uuid, Parts),
    Forget(Uuid),
    /// So many free pages go back to the disk.
    GiveBack(u32),
}

/// A report is cut into parts of so many bytes: SQLite copies a value two times while
/// it is written, and reads a whole one to forget it.
const PART: usize = 1 << 20;

/// Free pages that the file keeps for what comes next, of 4 KiB.
const SPARE: u32 = 4 << 10;

/// And one for so many that are in use.
const SPARE_OF: u32 = 8;

/// What `auto_vacuum` says of a file that gives back.
const INCREMENTAL: u32 = 2;

/// How much is given back in one commit, in pages: 1 MiB.
const STEP: u32 = 256;

impl Shape for Large {
    type Change = Change;

    const TABLES: &str = "
        create table reports (run blob, part integer, text blob not null, primary key (run, part)) strict;
        create table logs (run blob, last integer, text blob not null, primary key (run, last)) strict;
    ";
    const GIVES_BACK: bool = true;

    fn size(change: &Change) -> usize {
        match change {
            Change::Put(_, parts) => parts.size(),
            Change::Forget(_) => size_of::<Uuid>(),
            Change::GiveBack(pages) => *pages as usize * 4_096,
        }
    }

    fn make(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
        match change {
            Change::Put(run, parts) => {
                // An earlier try may have got this far.
                forget(transaction, *run)?;
                put(transaction, *run, parts)
            }
            Change::Forget(run) => forget(transaction, *run),
            Change::GiveBack(pages) => give_back(transaction, *pages),
        }
    }
}

fn put(transaction: &Transaction<'_>, run: Uuid, parts: &Parts) -> rusqlite::Result<()> {
    if let Some(report) = &parts.report {
        let mut insert = transaction.prepare_cached("insert into reports values (?, ?, ?)")?;
        for (part, text) in (0i64..).zip(report.get().as_bytes().chunks(PART)) {
            insert.execute(params![run.as_bytes(), part, text])?;
        }
    }
    let mut insert = transaction.prepare_cached("insert into logs values (?, ?, ?)")?;
    for page in &parts.log {
        insert.execute(params![run.as_bytes(), integer(page.last), &*page.text])?;
    }
    Ok(())
}

/// As SQLite has it. No log has so many lines that it matters.
fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn forget(transaction: &Transaction<'_>, run: Uuid) -> rusqlite::Result<()> {
    for sql in [
        "delete from reports where run = ?",
        "delete from logs where run = ?",
    ] {
        transaction.prepare_cached(sql)?.execute([run.as_bytes()])?;
    }
    Ok(())
}

fn give_back(transaction: &Transaction<'_>, pages: u32) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare(&format!("pragma incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    // One row a page.
    while rows.next()?.is_some() {}
    Ok(())
}

/// The report of a run, if it is there.
pub(super) fn report(connection: &Connection, run: Uuid) -> rusqlite::Result<Option<Vec<u8>>> {
    let sql = "select text from reports where run = ? order by part";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([run.as_bytes()])?;
    let mut report = None;
    while let Some(row) = rows.next()? {
        let part = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        report.get_or_insert_with(Vec::new).extend_from_slice(part);
    }
    Ok(report)
}

/// The page of a run's log in which the line after this one is.
pub(super) fn page(
    connection: &Connection,
    run: Uuid,
    after: u64,
) -> rusqlite::Result<Option<Page>> {
    let sql = "select last, text from logs where run = ? and last > ? order by last limit 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![run.as_bytes(), integer(after)], |row| {
        Ok(Page {
            last: row.get::<_, i64>(0)?.unsigned_abs(),
            text: row.get::<_, Vec<u8>>(1)?.into(),
        })
    });
    found.optional()
}

/// All runs of which something is there.
pub(super) fn runs(connection: &Connection) -> rusqlite::Result<Vec<Uuid>> {
    let sql = "select run from reports union select run from logs";
    let mut statement = connection.prepare(sql)?;
    let runs = statement.query_map([], |row| Ok(Uuid::from_bytes(row.get(0)?)))?;
    runs.collect()
}

/// How many pages are to be given back next; 0 when the file has few to spare.
pub(super) fn to_give_back(connection: &Connection) -> rusqlite::Result<u32> {
    let count = |pragma: &str| {
        let sql = format!("pragma {pragma}");
        connection.query_row(&sql, [], |row| row.get::<_, u32>(0))
    };
    if count("auto_vacuum")? != INCREMENTAL {
        // Nothing can be: who asks again would ask for ever.
        return Ok(0);
    }
    let (all, free) = (count("page_count")?, count("freelist_count")?);
    let spare = SPARE.max(all.saturating_sub(free) / SPARE_OF);
    Ok(free.saturating_sub(spare).min(STEP))
}
