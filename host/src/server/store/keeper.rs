//! The thread that writes.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use redb::backends::FileBackend;
use redb::{Builder, Database, TableDefinition};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::record::Stored;
use super::{Open, StoreError};
use crate::disk::GATHER;

/// Runs by id.
pub(super) const RUNS: TableDefinition<'static, u128, &[u8]> = TableDefinition::new("runs");

/// What runs have to tell that have much, by id.
pub(super) const RESTS: TableDefinition<'static, u128, &[u8]> = TableDefinition::new("rests");

/// Pages that are kept in memory, in bytes. What is written is the end of the
/// tree; what is read is mostly what was just written.
const CACHE: usize = 16 << 20;

/// Writes that share one commit at most.
const BATCH: usize = 4_096;

/// Changes that belong together.
pub(super) struct Write {
    pub(super) changes: Vec<(Uuid, Option<Stored>)>,
    pub(super) done: oneshot::Sender<Result<(), StoreError>>,
}

/// The state of the thread.
pub(super) struct Keeper {
    writes: mpsc::UnboundedReceiver<Write>,
    open: Arc<Open>,
}

impl Keeper {
    pub(super) fn start(
        writes: mpsc::UnboundedReceiver<Write>,
        open: Arc<Open>,
    ) -> Result<(), StoreError> {
        let keeper = Self { writes, open };
        thread::Builder::new()
            .name("results".to_owned())
            .spawn(move || keeper.keep())
            .map(drop)
            .map_err(|error| StoreError::Thread(Arc::new(error)))
    }

    /// Ends when nobody is left who could write.
    fn keep(mut self) {
        let mut batch = Vec::new();
        let mut were_many = false;
        while let Some(first) = self.writes.blocking_recv() {
            batch.push(first);
            if were_many {
                thread::sleep(GATHER);
            }
            while batch.len() < BATCH
                && let Ok(next) = self.writes.try_recv()
            {
                batch.push(next);
            }
            were_many = batch.len() > 1;
            let result = self.commit(&batch);
            for write in batch.drain(..) {
                // Who does not wait any more need not know.
                let _ = write.done.send(result.clone());
            }
        }
    }

    fn commit(&self, batch: &[Write]) -> Result<(), StoreError> {
        let database = match self.open.database.load_full() {
            Some(database) => database,
            None => {
                let database = Arc::new(open(&self.open.path)?);
                self.open.database.store(Some(Arc::clone(&database)));
                database
            }
        };
        let written = write(&database, batch);
        if written.is_err() {
            // redb takes nothing more after a failure of the disk: the next
            // write opens the file again, as it was after the last commit.
            self.open.database.store(None);
        }
        written.map_err(|error| self.open.failed(error))
    }
}

fn write(database: &Database, batch: &[Write]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut runs = transaction.open_table(RUNS)?;
        let mut rests = transaction.open_table(RESTS)?;
        for (run, stored) in batch.iter().flat_map(|write| &write.changes) {
            let run = run.as_u128();
            match stored {
                Some(Stored { head, rest }) => {
                    runs.insert(run, head.as_slice())?;
                    if let Some(rest) = rest {
                        rests.insert(run, rest.as_slice())?;
                    }
                }
                None => {
                    runs.remove(run)?;
                    rests.remove(run)?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Opens the file, with all its pages checked, or makes it.
pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    let failed = |error| StoreError::database(path, error);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed(redb::Error::Io(error)))?;
    let backend = FileBackend::new(file).map_err(|error| failed(error.into()))?;
    let database = Builder::new()
        .set_cache_size(CACHE)
        .set_check_integrity_on_open(true)
        .create_with_backend(backend)
        .map_err(|error| failed(error.into()))?;
    // The tables must be there for the first reader.
    let write = || -> Result<_, redb::Error> {
        let transaction = database.begin_write()?;
        transaction.open_table(RUNS)?;
        transaction.open_table(RESTS)?;
        transaction.commit()?;
        Ok(())
    };
    write().map_err(failed)?;
    Ok(database)
}
