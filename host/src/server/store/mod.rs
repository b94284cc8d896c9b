//! What became of runs, kept for a while: an embedded database (SQLite), one file
//! `results.db` in the state folder with its log beside it, written by one thread.
//!
//! A run is written down twice: before it can do anything, so that a service that comes back
//! knows what it lost and a repeated submission is not run again, and when it is over,
//! before anybody is told. Writers that wait at the same time share one commit and
//! with it one sync, and before it one sync of the audit.

mod checkpoint;
mod database;
mod error;
mod keeper;
mod record;

use std::path::Path;
use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;
use uuid::Uuid;

pub use error::StoreError;
pub(super) use error::Unkept;
pub(super) use record::{KeyHash, Record};

use crate::api::RunView;
use crate::audit::Unsynced;
use database::{Database, Part};
use keeper::{Change, Keeper, Write};
use record::Stored;

/// The file below the state folder.
const FILE: &str = "results.db";

/// The kept runs. Dropping the last clone ends the writing thread.
#[derive(Clone)]
pub(super) struct Store {
    writes: mpsc::Sender<Write>,
    database: Arc<Database>,
}

impl Store {
    /// Opens the file, or makes it (0600).
    ///
    /// # Errors
    /// When it cannot be opened, is damaged, or another service has it open.
    pub(super) fn open(state: &Path) -> Result<Self, StoreError> {
        let (database, writer) = Database::open(&state.join(FILE))?;
        let database = Arc::new(database);
        let (writes, received) = mpsc::channel();
        Keeper::start(received, Arc::clone(&database), writer)?;
        Ok(Self { writes, database })
    }

    /// Writes down one run; returns when it is on the disk.
    ///
    /// # Errors
    /// When the disk does not take it. The next write tries anew.
    pub(super) async fn put(&self, run: Uuid, record: &Record) -> Result<(), StoreError> {
        self.write(vec![Change::Put(run, store(run, record)?)])
            .await
    }

    /// Writes down one run once its audit is on the disk; returns when both are.
    ///
    /// # Errors
    /// When the disk does not take one of them. The next write tries anew.
    pub(super) async fn put_after(
        &self,
        audit: Unsynced,
        run: Uuid,
        record: &Record,
    ) -> Result<(), Unkept> {
        let changes = vec![Change::Put(run, store(run, record).map_err(Unkept::Store)?)];
        self.send(changes, Some(audit)).await
    }

    /// Writes down that a run began, unless more is known of it already; returns when
    /// one of both is on the disk.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn begin(&self, run: Uuid, record: &Record) -> Result<(), StoreError> {
        self.write(vec![Change::Begin(run, store(run, record)?)])
            .await
    }

    /// Forgets runs; returns when they are gone.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn forget(&self, runs: Vec<Uuid>) -> Result<(), StoreError> {
        self.write(runs.into_iter().map(Change::Forget).collect())
            .await
    }

    /// Tries whether the disk takes something.
    ///
    /// # Errors
    /// As [`Store::put`].
    pub(super) async fn probe(&self) -> Result<(), StoreError> {
        let (head, rest) = (Vec::new(), None);
        let nothing = Stored { head, rest };
        let run = Uuid::nil();
        self.write(vec![Change::Put(run, nothing), Change::Forget(run)])
            .await
    }

    async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let written = self.send(changes, None).await;
        written.map_err(|unkept| match unkept {
            Unkept::Store(error) => error,
            // There was none to sync.
            Unkept::Audit(_) => StoreError::Stopped,
        })
    }

    async fn send(&self, changes: Vec<Change>, audit: Option<Unsynced>) -> Result<(), Unkept> {
        let (done, answer) = oneshot::channel();
        let sent = self.writes.send(Write {
            changes,
            audit,
            done,
        });
        match sent {
            Ok(()) => answer
                .await
                .unwrap_or(Err(Unkept::Store(StoreError::Stopped))),
            Err(_) => Err(Unkept::Store(StoreError::Stopped)),
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
            true => match self.database.read(&Part::Rest, run)? {
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
        let head = self.database.read(&Part::Head, run)?;
        head.map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .map_err(|_| StoreError::Unreadable { run })
    }

    /// Goes through all runs, the oldest first; of those that have much to tell,
    /// only the head. One that cannot be read is
    /// passed over, with a line in the host's log.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn each(&self, mut visit: impl FnMut(Uuid, Record)) -> Result<(), StoreError> {
        self.database
            .each(|run, head| match serde_json::from_slice(head) {
                Ok(record) => visit(run, record),
                Err(_) => tracing::warn!(%run, "a kept run cannot be read; it is passed over"),
            })
    }
}

fn store(run: Uuid, record: &Record) -> Result<Stored, StoreError> {
    record.store().map_err(|_| StoreError::Unreadable { run })
}

#[cfg(test)]
mod tests;
