//! A file as SQLite has it, written through a write-ahead log.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, Transaction};
use tokio::sync::Semaphore;

use super::StoreError;
use super::checkpoint::Checkpoints;
use crate::disk::Syncs;
use crate::lock::Mutex;

/// What a file holds, and how that changes.
pub(super) trait Shape: Send + Sync + 'static {
    /// One change.
    type Change: Send;

    /// What makes its tables.
    const TABLES: &str;

    /// Whether its free pages can be given back to the disk.
    const GIVES_BACK: bool;

    /// Roughly what a change makes the log grow by, in bytes.
    fn size(change: &Self::Change) -> usize;

    /// Makes a change.
    fn make(transaction: &Transaction<'_>, change: &Self::Change) -> rusqlite::Result<()>;
}

/// The form of the tables of both files, as `user_version` of each; 0 is a new file.
const FORM: u32 = 2;

/// Pages of the log, of 4 KiB, after which a commit takes them over itself because
/// nobody else does.
const LOG_PAGES: u32 = 16_000;

/// What the log of a file that gives back keeps of the disk once it has been taken
/// over, in bytes.
const LOG_KEEPS: u32 = 16 << 20;

/// How long a connection waits for the lock that another one holds: as long as a
/// slow disk takes to take over the log.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// A file while this process has it, for readers.
pub(super) struct Database<S> {
    reader: Arc<Mutex<Connection>>,
    /// One reads, the others wait without a thread.
    turn: Semaphore,
    path: PathBuf,
    shape: PhantomData<S>,
    /// Keeps a second service out.
    _claim: Arc<File>,
}

impl<S: Shape> Database<S> {
    /// Opens the file, or makes it (0600), and finishes what an earlier process had
    /// written to its log. The one that may write comes with it.
    ///
    /// # Errors
    /// When it cannot be opened, is damaged, or of another version.
    pub(super) fn open(path: &Path, claim: Arc<File>) -> Result<(Self, Writer<S>), StoreError> {
        make_private(path).map_err(|error| StoreError::file(path, error))?;
        let writer = Writer::open(path)?;
        let failed = |error| StoreError::database(path, error);
        let database = Self {
            reader: Arc::new(Mutex::new(connect(path).map_err(failed)?)),
            turn: Semaphore::new(1),
            path: path.to_owned(),
            shape: PhantomData,
            _claim: claim,
        };
        Ok((database, writer))
    }

    /// One who writes in place of one that failed.
    pub(super) fn writer(&self) -> Result<Writer<S>, StoreError> {
        Writer::open(&self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads, on a thread that may wait for the disk.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Nobody closes it.
        let _turn = self.turn.acquire().await;
        let reader = Arc::clone(&self.reader);
        let done = tokio::task::spawn_blocking(move || read(&reader.lock()));
        match done.await {
            Ok(read) => read.map_err(|error| StoreError::database(&self.path, error)),
            Err(_) => Err(StoreError::Stopped),
        }
    }

    /// Looks at every page.
    ///
    /// # Errors
    /// When one is damaged.
    pub(super) async fn check(&self) -> Result<(), StoreError> {
        let said = self.read(|connection| {
            let check = "pragma quick_check(1)";
            connection.query_row(check, [], |row| row.get::<_, String>(0))
        });
        match said.await? {
            said if said == "ok" => Ok(()),
            said => Err(StoreError::file(&self.path, io::Error::other(said))),
        }
    }

    /// Takes over the log, after which what was given back is the disk's; false when
    /// somebody else was in the way.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) async fn take_over(&self) -> Result<bool, StoreError> {
        let taken = self.read(|connection| {
            connection.query_row("pragma wal_checkpoint(passive)", [], |row| {
                let (is_busy, pages, taken): (bool, i64, i64) =
                    (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(!is_busy && pages == taken)
            })
        });
        taken.await
    }
}

#[cfg(test)]
impl<S> Database<S> {
    /// What readers wait for.
    pub(super) fn reader(&self) -> Arc<Mutex<Connection>> {
        Arc::clone(&self.reader)
    }
}

/// The one connection that writes.
pub(super) struct Writer<S> {
    connection: Connection,
    /// The log, to be synced.
    log: Syncs,
    checkpoints: Checkpoints,
    shape: PhantomData<S>,
}

impl<S: Shape> Writer<S> {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::database(path, error);
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(PATIENCE).map_err(failed)?;
        // Before anything is written: a file of another version stays as it is.
        let form = (connection.pragma_query_value(None, "user_version", |row| row.get(0)))
            .map_err(failed)?;
        let is_new = match form {
            0 => true,
            FORM => false,
            form => {
                return Err(StoreError::Form {
                    path: path.to_owned(),
                    form,
                });
            }
        };
        let open = move || {
            if is_new && S::GIVES_BACK {
                // Nothing may be in the file yet.
                connection.pragma_update(None, "auto_vacuum", "incremental")?;
            }
            prepare(&connection)?;
            connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
            if S::GIVES_BACK {
                connection.pragma_update(None, "journal_size_limit", LOG_KEEPS)?;
            }
            // What is in the log may be there for the system only, and not on the disk:
            // written anew and synced it is both.
            let is_busy =
                connection.query_row("pragma wal_checkpoint(truncate)", [], |row| row.get(0))?;
            if is_busy {
                // Whoever takes it over is soon done: the next write tries again.
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                    None,
                ));
            }
            if is_new {
                let tables = S::TABLES;
                connection.execute_batch(&format!(
                    "begin; {tables} pragma user_version = {FORM}; commit;"
                ))?;
            }
            Ok((connection, connect(path)?))
        };
        let (connection, other) = open().map_err(failed)?;
        let log = log(path);
        // SQLite's locks are on the other two files: closing this one takes none away.
        let log = File::open(&log).map_err(|error| StoreError::file(&log, error))?;
        Ok(Self {
            connection,
            log: Syncs::new(Arc::new(log)),
            checkpoints: Checkpoints::start(other)?,
            shape: PhantomData,
        })
    }

    /// Makes changes, all or none; they and all before them are on the disk once it is
    /// synced.
    pub(super) fn write<'a>(
        &mut self,
        changes: impl Iterator<Item = &'a S::Change>,
    ) -> rusqlite::Result<Syncs> {
        let mut changes = changes.peekable();
        if changes.peek().is_none() {
            return Ok(self.log.clone());
        }
        let transaction = self.connection.transaction()?;
        let mut bytes = 0;
        for change in changes {
            S::make(&transaction, change)?;
            bytes += S::size(change);
        }
        transaction.commit()?;
        self.checkpoints.committed(bytes, &self.connection);
        Ok(self.log.clone())
    }

    /// What syncs the log.
    #[cfg(test)]
    pub(super) fn log(&mut self) -> &mut Syncs {
        &mut self.log
    }
}

/// The log of a file, which SQLite makes.
fn log(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Opens or makes the file of heads, for this process alone.
pub(super) fn claim(path: &Path) -> Result<File, StoreError> {
    let failed = |error: io::Error| StoreError::file(path, error);
    let file = make_private(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Busy {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// SQLite gives its log the mode of the file.
fn make_private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A commit does not wait for the disk: who has to syncs the log (`Writer::write`). Taking
    // it over does.
    connection.pragma_update(None, "synchronous", "normal")
}
