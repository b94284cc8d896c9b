//! The journal of one process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{Intent, Record};
use super::segment::Segment;
use super::shelf::Shelf;
use super::slot::Slot;
use super::{AuthorityKind, Entry, Found, JournalError, find};
use crate::lock::Mutex;

/// The folder `journal` below the state folder.
pub(in crate::vault) struct Journal {
    shelf: Arc<Shelf>,
    /// The one that attempts get blocks of.
    segment: Mutex<Option<Arc<Segment>>>,
}

impl Journal {
    /// The journal of this state folder; touches nothing yet.
    pub(in crate::vault) fn new(state: &Path) -> Self {
        Self {
            shelf: Arc::new(Shelf::new(state.join("journal"))),
            segment: Mutex::new(None),
        }
    }

    /// Notes a token that is about to be asked for.
    ///
    /// Inline, not on a thread for blocking work: writing into a block takes a
    /// microsecond, making a file tens of them, about what the switch to another
    /// thread takes.
    pub(in crate::vault) fn begin(&self, intent: Intent) -> Result<Entry, JournalError> {
        let begun = self.try_begin(intent);
        begun.inspect_err(|_| self.shelf.note_trouble())
    }

    fn try_begin(&self, intent: Intent) -> Result<Entry, JournalError> {
        self.shelf.check()?;
        // One each time: what is in the way may be there still.
        self.shelf.retry_one_stranded();
        let record = Record::new(intent);
        let block = match record.intent.kind {
            AuthorityKind::Attempt => self.block(&record.lines())?,
            // There is one at a time, and it lives long.
            AuthorityKind::Login => None,
        };
        let slot = match block {
            Some(block) => block,
            None => self.shelf.create_whole(&record)?,
        };
        Ok(Entry {
            shelf: Arc::clone(&self.shelf),
            slot: Some(slot),
            record,
        })
    }

    /// Whether something could not be written, and no probe has succeeded since.
    pub(in crate::vault) fn is_troubled(&self) -> bool {
        self.shelf.is_troubled()
    }

    /// Makes a file with a block, as the next attempt may have to, and removes it. It waits
    /// for the disk.
    pub(in crate::vault) fn probe(&self) -> Result<(), JournalError> {
        self.shelf.forget_trouble();
        let probed = self.try_probe();
        probed.inspect_err(|_| self.shelf.note_trouble())
    }

    fn try_probe(&self) -> Result<(), JournalError> {
        let segment = Segment::create(&self.shelf)?;
        let probed = segment.take(&[]).and_then(|slot| {
            slot.into_iter().for_each(Slot::done);
            segment.file.synced_here()
        });
        segment.retire();
        probed
    }

    /// A block of the segment with these lines, when it has one for them. A new
    /// segment is begun where a sync of the old one failed, which may be a disk
    /// that was full for a moment, and where somebody removed its file.
    fn block(&self, lines: &[u8]) -> Result<Option<Slot>, JournalError> {
        let current = self.segment.lock().clone();
        if let Some(segment) = current {
            if !segment.file.has_failed() && !segment.file.is_unlinked() {
                return segment.take(lines);
            }
            let mut current = self.segment.lock();
            // Whoever has a block of it keeps it.
            if let Some(old) = current.take_if(|it| Arc::ptr_eq(it, &segment)) {
                old.retire();
            }
        }
        let segment = {
            let mut current = self.segment.lock();
            match &*current {
                Some(segment) => Arc::clone(segment),
                None => Arc::clone(current.insert(Segment::create(&self.shelf)?)),
            }
        };
        segment.take(lines)
    }

    /// Waits for what has to be on the disk before a block is blank again, and
    /// removes the segment unless it says something. At the end of a process; one
    /// that is killed leaves it, and the next sweep removes it.
    pub(in crate::vault) fn tidy(&self) {
        self.shelf.end_all_moves();
        self.retire();
    }

    fn retire(&self) {
        if let Some(segment) = self.segment.lock().take() {
            segment.retire();
        }
    }

    /// How many records tell of something that may live, and belong to nobody who
    /// lives in this process, as far as it knows.
    pub(in crate::vault) fn left(&self) -> usize {
        self.shelf.left.count()
    }

    /// The names of all files. Empty when there is no folder yet.
    pub(in crate::vault) fn names(&self) -> Result<Vec<PathBuf>, JournalError> {
        self.shelf.retry_stranded();
        let left = self.shelf.left.all();
        let names = self.shelf.list()?;
        // Another process swept them, or somebody by hand.
        self.shelf.left.forget(
            left.iter()
                .filter(|place| names.binary_search(&place.path).is_err()),
        );
        Ok(names)
    }

    /// What a file tells, when nobody holds it.
    pub(in crate::vault) fn take(&self, path: &Path) -> Result<Vec<Found>, JournalError> {
        find::take(&self.shelf, path)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.retire();
    }
}

#[cfg(test)]
mod tests;
