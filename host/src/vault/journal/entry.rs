//! One token in the journal: its locked file, and what that says.

use std::sync::Arc;

use super::JournalError;
use super::left::Unsettled;
use super::record::{self, Intent};
use super::slot::{Slot, Spares};
use crate::disk;
use crate::vault::accessor::Accessor;
use crate::vault::lease::LeaseId;

/// One token. Its file is locked for as long as this value lives; dropping it
/// leaves the file for the sweep.
pub(in crate::vault) struct Entry {
    pub(super) slot: Slot,
    pub(super) unsettled: Unsettled,
    /// Where the file goes when the token is dead; else it is removed.
    pub(super) spares: Option<Arc<Spares>>,
    pub(super) intent: Intent,
    pub(super) accessor: Option<Accessor>,
    pub(super) leases: Vec<LeaseId>,
}

/// What a file has to outlive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::vault) enum Keep {
    /// A power loss: nothing else would tell of the token.
    OnDisk,
    /// A killed process. After a power loss the file may be gone or torn. The
    /// token is a child of a log-in whose own file is on the disk: the sweep
    /// revokes that one, and Vault its children with it.
    WithLogin,
}

impl Entry {
    /// What was written before the token was asked for.
    pub(in crate::vault) fn intent(&self) -> &Intent {
        &self.intent
    }

    /// The token's accessor, once it is known.
    pub(in crate::vault) fn accessor(&self) -> Option<&Accessor> {
        self.accessor.as_ref()
    }

    /// The leases that were noted.
    pub(in crate::vault) fn leases(&self) -> &[LeaseId] {
        &self.leases
    }

    /// Adds a lease and waits until the disk has it, as [`Entry::made`].
    pub(in crate::vault) fn leased(&mut self, lease: &LeaseId) -> Result<(), JournalError> {
        self.leases.push(lease.clone());
        self.append(&record::lease_line(lease))
    }

    /// A sync takes from a tenth of a millisecond to tens of them: meanwhile
    /// another thread does what else this one had to do.
    fn append(&mut self, line: &[u8]) -> Result<(), JournalError> {
        disk::wait(|| {
            self.slot.write(line)?;
            self.slot.sync()
        })
    }

    /// Adds the accessor; for [`Keep::OnDisk`] waits until the disk has it.
    pub(in crate::vault) fn made(
        &mut self,
        accessor: Accessor,
        keep: Keep,
    ) -> Result<(), JournalError> {
        let line = record::made_line(&accessor);
        self.accessor = Some(accessor);
        match keep {
            Keep::OnDisk => self.append(&line),
            // A write into the page cache: it outlives a killed process.
            Keep::WithLogin => self.slot.write(&line),
        }
    }

    /// Forgets the token: it is dead, or was never made. Inline: it takes
    /// microseconds.
    pub(in crate::vault) fn done(self) {
        self.unsettled.settle();
        match self.spares {
            Some(spares) => spares.put(self.slot),
            None => self.slot.remove(),
        }
    }
}
