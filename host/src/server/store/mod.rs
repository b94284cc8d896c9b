//! What became of runs, kept for a while: an embedded database (redb), one file
//! `results.redb` in the state folder, written by one thread.
//!
//! A run is written down twice: before it starts, so that a service that comes
//! back knows what it lost and a repeated submission is not run again, and when
//! it is over, before anybody is told. Writers that wait at the same time share
//! one commit, and with it one sync. Runs are kept under their id, which sorts by
//! time: writes touch the end of the file's tree and nothing else.

mod error;
mod keeper;
mod record;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

pub use error::StoreError;
pub(super) use record::{KeyHash, Record};

use crate::api::RunView;
use keeper::{Keeper, RESTS, RUNS, Write};
use record::Stored;

/// A table of the file.
type Table = TableDefinition<'static, u128, &'static [u8]>;

/// The file below the state folder.
const FILE: &str = "results.redb";

/// The kept runs. Dropping the last clone ends the writing thread.
#[derive(Clone)]
pub(super) struct Store {
    writes: mpsc::UnboundedSender<Write>,
    open: Arc<Open>,
}

/// The database, unless it has failed and could not be opened again yet.
struct Open {
    path: PathBuf,
    database: ArcSwapOption<Database>,
}

impl Store {
    /// Opens the file, or makes it (0600).
    ///
    /// # Errors
    /// When it cannot be opened, is damaged, or another service has it open.
    pub(super) fn open(state: &Path) -> Result<Self, StoreError> {
        let path = state.join(FILE);
        let database = keeper::open(&path)?;
        let open = Arc::new(Open {
            path,
            database: ArcSwapOption::from_pointee(database),
        });
        let (writes, received) = mpsc::unbounded_channel();
        Keeper::start(received, Arc::clone(&open))?;
        Ok(Self { writes, open })
    }

    /// Writes down one run; returns when it is on the disk.
    ///
    /// # Errors
    /// When the disk does not take it. The next write tries anew.
    pub(super) async fn put(&self, run: Uuid, record: &Record) -> Result<(), StoreError> {
        let stored = record.store().map_err(|_| StoreError::Unreadable { run })?;
        self.write(vec![(run, Some(stored))]).await
    }

    /// Forgets runs; returns when they are gone.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn forget(&self, runs: Vec<Uuid>) -> Result<(), StoreError> {
        self.write(runs.into_iter().map(|run| (run, None)).collect())
            .await
    }

    /// Tries whether the disk takes something.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let (head, rest) = (Vec::new(), None);
        let nothing = Stored { head, rest };
        self.write(vec![(Uuid::nil(), Some(nothing)), (Uuid::nil(), None)])
            .await
    }

    async fn write(&self, changes: Vec<(Uuid, Option<Stored>)>) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let sent = self.writes.send(Write { changes, done });
        match sent {
            Ok(()) => answer.await.unwrap_or(Err(StoreError::Stopped)),
            Err(_) => Err(StoreError::Stopped),
        }
    }

    /// What is known of a run. Reads a few pages, nearly always from memory.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn get(&self, run: Uuid) -> Result<Option<Record>, StoreError> {
        let unreadable = |_| StoreError::Unreadable { run };
        let Some(record) = self.head(run)? else {
            return Ok(None);
        };
        match record.is_apart {
            false => Ok(Some(record)),
            true => match self.read(RESTS, run)? {
                Some(rest) => record.with(&rest).map(Some).map_err(unreadable),
                // Forgotten between the two.
                None => Ok(None),
            },
        }
    }

    /// How a run stands, without its report, however large that is.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn view(&self, run: Uuid) -> Result<Option<RunView>, StoreError> {
        let head = self.head(run)?;
        Ok(head.map(|record| RunView {
            report: None,
            ..record.view
        }))
    }

    fn head(&self, run: Uuid) -> Result<Option<Record>, StoreError> {
        let head = self.read(RUNS, run)?;
        head.map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .map_err(|_| StoreError::Unreadable { run })
    }

    fn read(&self, table: Table, run: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        let database = self.open.database.load_full().ok_or(StoreError::Stopped)?;
        let read = || -> Result<_, redb::Error> {
            let table = database.begin_read()?.open_table(table)?;
            let value = table.get(run.as_u128())?;
            Ok(value.map(|value| value.value().to_vec()))
        };
        read().map_err(|error| self.open.failed(error))
    }

    /// Goes through all runs, the oldest first; of those that have much to tell,
    /// only the head. One that cannot be read is
    /// passed over, with a line in the host's log.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn each(&self, mut visit: impl FnMut(Uuid, Record)) -> Result<(), StoreError> {
        let database = self.open.database.load_full().ok_or(StoreError::Stopped)?;
        let mut read = || -> Result<_, redb::Error> {
            let table = database.begin_read()?.open_table(RUNS)?;
            for entry in table.iter()? {
                let (run, value) = entry?;
                let run = Uuid::from_u128(run.value());
                match serde_json::from_slice(value.value()) {
                    Ok(record) => visit(run, record),
                    Err(_) => tracing::warn!(%run, "a kept run cannot be read; it is passed over"),
                }
            }
            Ok(())
        };
        read().map_err(|error| self.open.failed(error))
    }
}

impl Open {
    fn failed(&self, error: redb::Error) -> StoreError {
        StoreError::database(&self.path, error)
    }
}

#[cfg(test)]
mod tests;
