//! The one connection to a file that writes, for the threads that do.

use std::sync::Arc;

use super::StoreError;
use super::database::{Database, Shape, Writer};
use crate::disk::Syncs;
use crate::lock::Mutex;

/// Writes, one thread at a time. Waiting for the disk is done without it, but for what a
/// thread of low priority left of the log, which a write now and then takes over itself.
pub(super) struct Pen<S: Shape> {
    /// None after a failure, until it could be opened again. Closed first.
    writer: Mutex<Option<Writer<S>>>,
    database: Arc<Database<S>>,
}

impl<S: Shape> Pen<S> {
    pub(super) fn new(database: Arc<Database<S>>, writer: Writer<S>) -> Self {
        Self {
            writer: Mutex::new(Some(writer)),
            database,
        }
    }

    /// Makes changes, all or none. They outlast this process afterwards, and are on the
    /// disk once what is returned is synced.
    ///
    /// # Errors
    /// When they cannot be made. The next ones are tried with another connection.
    pub(super) fn write<'a>(
        &self,
        changes: impl Iterator<Item = &'a S::Change>,
    ) -> Result<Syncs, StoreError> {
        let mut slot = self.writer.lock();
        let writer = match &mut *slot {
            Some(writer) => writer,
            none => none.insert(self.database.writer()?),
        };
        writer.write(changes).map_err(|error| {
            // What is on the disk is unknown: the next one opens the file again, and
            // has the whole log written anew.
            *slot = None;
            StoreError::database(self.database.path(), error)
        })
    }

    /// Makes changes, all or none; they and all before them are on the disk afterwards.
    ///
    /// # Errors
    /// As [`Pen::write`], and when the disk does not take them.
    pub(super) fn keep<'a>(
        &self,
        changes: impl Iterator<Item = &'a S::Change>,
    ) -> Result<(), StoreError> {
        let log = self.write(changes)?;
        log.sync_here().map_err(|error| {
            *self.writer.lock() = None;
            StoreError::file(self.database.path(), error)
        })
    }

    /// How often the disk was waited for, since the file was opened.
    #[cfg(test)]
    pub(super) fn syncs(&self) -> usize {
        let mut slot = self.writer.lock();
        slot.as_mut().map_or(0, |writer| writer.log().made())
    }

    /// Has the next sync fail, as that of a disk that is broken does.
    #[cfg(test)]
    pub(super) fn sync_nowhere(&self) {
        let nowhere = std::fs::File::open("/dev/null").unwrap();
        let mut slot = self.writer.lock();
        *slot.as_mut().unwrap().log() = Syncs::new(Arc::new(nowhere));
    }
}
