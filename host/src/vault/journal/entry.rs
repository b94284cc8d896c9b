//! One token in the journal.

use std::sync::Arc;

use super::JournalError;
use super::file::LockedFile;
use super::record::{self, Intent, Record};
use super::shelf::Shelf;
use super::slot::Slot;
use crate::vault::accessor::Accessor;
use crate::vault::lease::LeaseId;

/// One token. No sweep takes it for as long as this value lives; dropping it
/// leaves it for the sweep.
pub(in crate::vault) struct Entry {
    pub(super) shelf: Arc<Shelf>,
    /// None once it is done with.
    pub(super) slot: Option<Slot>,
    pub(super) record: Record,
}

/// What a record has to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vault) enum Keep {
    /// A power loss: nothing else would tell of the token.
    OnDisk,
    /// A killed process. After a power loss the record may be gone or torn. The
    /// token is a child of a log-in whose own file is on the disk: the sweep
    /// revokes that one, and Vault its children with it.
    WithLogin,
}

/// What is in the kernel, so that a kill does not lose it.
#[must_use = "a power loss may take it until it is synced"]
pub(in crate::vault) struct Written {
    /// What is to be synced.
    file: Result<Option<Arc<LockedFile>>, JournalError>,
    shelf: Arc<Shelf>,
}

impl Entry {
    /// What was written before the token was asked for.
    pub(in crate::vault) fn intent(&self) -> &Intent {
        &self.record.intent
    }

    /// The token's accessor, once it is known.
    pub(in crate::vault) fn accessor(&self) -> Option<&Accessor> {
        self.record.accessor.as_ref()
    }

    /// The leases that were noted.
    pub(in crate::vault) fn leases(&self) -> &[LeaseId] {
        &self.record.leases
    }

    /// Adds the accessor. For [`Keep::OnDisk`] the token may be used once this is
    /// [`Written::synced`], and else once that is no error.
    pub(in crate::vault) fn made(&mut self, accessor: Accessor, keep: Keep) -> Written {
        let line = record::made_line(&accessor);
        self.record.accessor = Some(accessor);
        if keep == Keep::OnDisk {
            self.record.keep = keep;
        }
        let file = self.write(&line);
        self.written(file.map(|file| (keep == Keep::OnDisk).then_some(file)))
    }

    /// Adds a lease. When this returns it is in the kernel; its credential may be
    /// used once this is [`Written::synced`].
    pub(in crate::vault) fn leased(&mut self, lease: &LeaseId) -> Written {
        self.record.leases.push(lease.clone());
        self.record.keep = Keep::OnDisk;
        let file = self.write(&record::lease_line(lease));
        self.written(file.map(Some))
    }

    fn written(&self, file: Result<Option<Arc<LockedFile>>, JournalError>) -> Written {
        let shelf = Arc::clone(&self.shelf);
        Written { file, shelf }
    }

    /// Forgets the token: it is dead, or was never made. Inline: it takes
    /// microseconds.
    pub(in crate::vault) fn done(mut self) {
        if let Some(slot) = self.slot.take() {
            self.shelf.left.settle(|| slot.place());
            slot.done();
        }
    }

    /// Adds a line whose content the record has already; what is to be synced.
    ///
    /// Where a block has no room for it, a sync failed, or somebody removed the
    /// file, the record moves to a file of its own. What it comes from stays
    /// until the disk has that one.
    fn write(&mut self, line: &[u8]) -> Result<Arc<LockedFile>, JournalError> {
        match &mut self.slot {
            Some(slot) if slot.takes(line) => {
                slot.write(line)?;
                Ok(Arc::clone(&slot.file))
            }
            slot => {
                let own = self.shelf.create_whole(&self.record)?;
                let file = Arc::clone(&own.file);
                if let Some(old) = slot.replace(own) {
                    replace(&file, old);
                }
                Ok(file)
            }
        }
    }
}

/// Has this file take the place of `old`. When that was to replace something and a sync
/// of it failed, nobody was told that its lines are on the disk: what it was to replace
/// is what counts there, and of many failures in a row two files are left.
fn replace(file: &LockedFile, old: Slot) {
    let older = old.file.has_failed().then(|| old.file.take_replaced());
    match older.flatten() {
        Some(older) => {
            file.replaces(older);
            old.done();
        }
        None => file.replaces(old),
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.shelf.leave(slot, &self.record);
        }
    }
}

impl Written {
    /// Waits until the disk has it too, if it has to. Whoever drops the future
    /// gives up the waiting; the line stays.
    pub(in crate::vault) async fn synced(self) -> Result<(), JournalError> {
        let synced = match self.file {
            Ok(Some(file)) => file.synced().await,
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        synced.inspect_err(|_| self.shelf.note_trouble())
    }
}
