//! One locked file of the journal.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use super::JournalError;
use super::record::{self, Intent};
use crate::disk;
use crate::vault::accessor::Accessor;
use crate::vault::lease::LeaseId;

/// One file, locked for as long as this value lives. Dropping it leaves the
/// file for the sweep.
pub(in crate::vault) struct Entry {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// How long the file is in whole lines; `None` when it ends in a piece of
    /// one that could not be taken back.
    pub(super) length: Option<u64>,
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
            self.write(line)?;
            self.file
                .sync_data()
                .map_err(JournalError::io(&self.path, "synced"))
        })
    }

    /// A line that did not fit is taken back, so that the next one is not glued
    /// to a piece of it: neither could be read then.
    fn write(&mut self, line: &[u8]) -> Result<(), JournalError> {
        let Some(length) = self.length else {
            return Err(JournalError::io(&self.path, "written")(
                ErrorKind::InvalidData.into(),
            ));
        };
        match self.file.write_all(line) {
            Ok(()) => {
                self.length = Some(length + line.len() as u64);
                Ok(())
            }
            Err(error) => {
                self.length = self.file.set_len(length).is_ok().then_some(length);
                Err(JournalError::io(&self.path, "written")(error))
            }
        }
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
            Keep::WithLogin => self.write(&line),
        }
    }

    /// Removes the file: the token is dead, or was never made. Inline: an
    /// unlink takes microseconds.
    pub(in crate::vault) fn done(self) {
        // A file that stays is found by the next sweep, which asks Vault and
        // removes it; nothing is lost but a line in its report.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "a journal file of a dead token could not be removed");
        }
    }
}
