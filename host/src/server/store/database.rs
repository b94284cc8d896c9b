//! The file as SQLite has it: two tables, written through a write-ahead log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, params};
use uuid::Uuid;

use super::StoreError;
use super::checkpoint::Checkpoints;
use super::keeper::Change;
use super::record::Stored;

/// The form of the tables, as `user_version` of the file; 0 is a new file.
const FORM: u32 = 1;

/// Runs by id, and what those have to tell that have much.
const TABLES: &str = "
    create table if not exists runs (run blob primary key, head blob not null) strict;
    create table if not exists rests (run blob primary key, rest blob not null) strict;
";

/// Pages of the log, of 4 KiB, after which a commit takes them over itself because
/// nobody else does.
const LOG_PAGES: u32 = 16_000;

/// How long a connection waits for the lock that another one holds: as long as a
/// slow disk takes to take over the log.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// The file while this process has it, for readers.
pub(super) struct Database {
    reader: Mutex<Connection>,
    path: PathBuf,
    /// Keeps a second service out. Closed last: closing any descriptor of a file lets
    /// go of the locks that SQLite holds there.
    _lock: File,
}

/// What is read of a run.
pub(super) enum Part {
    /// How it stands, and all of it if that is little.
    Head,
    /// The rest of one that has much to tell.
    Rest,
}

impl Database {
    /// Opens the file, or makes it (0600), and finishes what an earlier process had
    /// written to its log. The one that may write comes with it.
    ///
    /// # Errors
    /// When it cannot be opened, is damaged, or another service has it open.
    pub(super) fn open(path: &Path) -> Result<(Self, Writer), StoreError> {
        let lock = lock(path)?;
        let writer = Writer::open(path)?;
        let failed = |error| StoreError::database(path, error);
        writer.check(path)?;
        let database = Self {
            reader: Mutex::new(connect(path).map_err(failed)?),
            path: path.to_owned(),
            _lock: lock,
        };
        Ok((database, writer))
    }

    /// One who writes in place of one that failed.
    pub(super) fn writer(&self) -> Result<Writer, StoreError> {
        Writer::open(&self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A part of a run, if it is there.
    pub(super) fn read(&self, part: &Part, run: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = match part {
            Part::Head => "select head from runs where run = ?",
            Part::Rest => "select rest from rests where run = ?",
        };
        let reader = self.reader.lock();
        let read = || {
            let mut statement = reader.prepare_cached(sql)?;
            let found = statement.query_row([run.as_bytes()], |row| row.get(0));
            found.optional()
        };
        read().map_err(|error| StoreError::database(&self.path, error))
    }

    /// All heads, the oldest run first.
    pub(super) fn each(&self, mut visit: impl FnMut(Uuid, &[u8])) -> Result<(), StoreError> {
        let reader = self.reader.lock();
        let mut read = || {
            let mut statement = reader.prepare("select run, head from runs order by run")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let run = Uuid::from_bytes(row.get(0)?);
                let head = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
                visit(run, head);
            }
            Ok(())
        };
        read().map_err(|error| StoreError::database(&self.path, error))
    }
}

/// The one connection that writes.
pub(super) struct Writer {
    connection: Connection,
    checkpoints: Checkpoints,
}

impl Writer {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::database(path, error);
        let open = || {
            let connection = connect(path)?;
            connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
            // What is in the log may be there for the system only, and not on the disk:
            // written anew and synced it is both.
            connection.query_row("pragma wal_checkpoint(truncate)", [], |_| Ok(()))?;
            connection.execute_batch(TABLES)?;
            connection.pragma_update(None, "user_version", FORM)?;
            Ok((connection, connect(path)?))
        };
        let (connection, other) = open().map_err(failed)?;
        Ok(Self {
            connection,
            checkpoints: Checkpoints::start(other)?,
        })
    }

    /// Looks at every page.
    fn check(&self, path: &Path) -> Result<(), StoreError> {
        let check = "pragma quick_check(1)";
        let said = (self.connection).query_row(check, [], |row| row.get::<_, String>(0));
        match said.map_err(|error| StoreError::database(path, error))? {
            said if said == "ok" => Ok(()),
            said => Err(StoreError::file(path, io::Error::other(said))),
        }
    }

    /// Makes changes, all or none; they are on the disk afterwards.
    pub(super) fn write<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a Change>,
    ) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        let mut bytes = 0;
        for change in changes {
            make(&transaction, change)?;
            bytes += change.size();
        }
        transaction.commit()?;
        self.checkpoints.committed(bytes, &self.connection);
        Ok(())
    }
}

fn make(transaction: &Transaction<'_>, change: &Change) -> rusqlite::Result<()> {
    let execute = |sql, parameters: &[&dyn ToSql]| -> rusqlite::Result<()> {
        let mut statement = transaction.prepare_cached(sql)?;
        statement.execute(parameters).map(drop)
    };
    match change {
        Change::Begin(run, Stored { head, .. }) => execute(
            "insert into runs values (?, ?) on conflict (run) do nothing",
            params![run.as_bytes(), head],
        ),
        Change::Put(run, Stored { head, rest }) => {
            execute(
                "insert into runs values (?, ?) on conflict (run) do update set head = excluded.head",
                params![run.as_bytes(), head],
            )?;
            let Some(rest) = rest else {
                return Ok(());
            };
            execute(
                "insert into rests values (?, ?) on conflict (run) do update set rest = excluded.rest",
                params![run.as_bytes(), rest],
            )
        }
        Change::Forget(run) => {
            execute("delete from runs where run = ?", params![run.as_bytes()])?;
            execute("delete from rests where run = ?", params![run.as_bytes()])
        }
    }
}

/// Opens or makes the file, for this process alone.
fn lock(path: &Path) -> Result<File, StoreError> {
    let failed = |error: io::Error| StoreError::file(path, error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Busy {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    Ok(connection)
}
