//! A file of the journal, and the ones that wait for their next attempt.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::JournalError;
use crate::lock::Mutex;
use crate::priority::foremost;

/// What a new file is filled up to: a block of most file systems. A line that
/// goes into room that is there already changes no metadata, so a sync writes
/// one block, where a longer file costs a commit of the file system's own
/// journal as well. An attempt with a dozen leases fits.
const ROOM: usize = 4096;

/// How many files wait at most. There are never more than attempts were under
/// way at once; each keeps a file descriptor.
const MOST_SPARE: usize = 256;

/// How often a new file is made again because a sweep caught it blank. Each
/// round needs a sweep at the very moment; more than a few mean something else.
const MAX_ROUNDS: u32 = 16;

/// A locked file: lines, and NUL bytes up to its end. One that begins with a NUL
/// is blank: what it told of is dead.
pub(super) struct Slot {
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Where the next line goes; `None` when a piece of one stands there that
    /// could not be taken back.
    pub(super) length: Option<u64>,
    /// Whether its name is on the disk too.
    pub(super) is_named: bool,
}

impl Slot {
    /// Makes a file with these lines, under a name that `name` makes up.
    pub(super) fn create(
        folder: &Path,
        name: impl Fn() -> String,
        lines: &[u8],
    ) -> Result<Self, JournalError> {
        for _ in 0..MAX_ROUNDS {
            let path = folder.join(name());
            let file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(JournalError::io(&path, "created"))?;
            // A sweep may lock the file first, find it blank and remove it:
            // then our lock is on a file without a name, and we start anew.
            file.lock().map_err(JournalError::io(&path, "locked"))?;
            if is_unlinked(&file, &path)? {
                continue;
            }
            let mut block = lines.to_vec();
            block.resize(lines.len().max(ROOM), 0);
            if let Err(error) = file.write_all_at(&block, 0) {
                // Nothing was asked for yet, and half an intent would be
                // reported as unreadable for ever.
                let _ = std::fs::remove_file(&path);
                return Err(JournalError::io(&path, "written")(error));
            }
            return Ok(Self {
                file,
                path,
                length: Some(lines.len() as u64),
                is_named: false,
            });
        }
        Err(JournalError::io(folder, "locked")(
            ErrorKind::WouldBlock.into(),
        ))
    }

    /// Adds a line. One that did not fit is taken back, so that the next one is
    /// not glued to a piece of it: neither could be read then.
    pub(super) fn write(&mut self, line: &[u8]) -> Result<(), JournalError> {
        let Some(length) = self.length else {
            return Err(JournalError::io(&self.path, "written")(
                ErrorKind::InvalidData.into(),
            ));
        };
        match self.file.write_all_at(line, length) {
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

    /// Waits until the disk has what was written, and the first time until its
    /// folder has the name: some file systems keep the two apart.
    pub(super) fn sync(&mut self) -> Result<(), JournalError> {
        foremost(|| self.file.sync_data()).map_err(JournalError::io(&self.path, "synced"))?;
        if let (false, Some(folder)) = (self.is_named, self.path.parent()) {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(JournalError::io(folder, "synced"))?;
            self.is_named = true;
        }
        Ok(())
    }

    /// Makes it blank. The disk need not know: after a power loss the sweep
    /// finds a token that Vault no longer knows.
    fn clear(&mut self) -> io::Result<()> {
        let length = self.length.ok_or(ErrorKind::InvalidData)?;
        let blank = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.write_all_at(&blank, 0)?;
        self.length = Some(0);
        Ok(())
    }

    /// Removes the file. Inline: an unlink takes microseconds.
    pub(super) fn remove(self) {
        // A file that stays is found by the next sweep, which asks Vault and
        // removes it; nothing is lost but a line in its report.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "a journal file of a dead token could not be removed");
        }
    }
}

/// Blank files of this process, locked and ready: making a file, and removing
/// it, takes ten times as long as writing to one.
#[derive(Default)]
pub(super) struct Spares(Mutex<Vec<Slot>>);

impl Spares {
    /// One that waits, with these lines.
    pub(super) fn take(&self, lines: &[u8]) -> Option<Slot> {
        loop {
            let mut slot = self.0.lock().pop()?;
            // Somebody may have tidied the folder by hand.
            if is_unlinked(&slot.file, &slot.path).unwrap_or(true) {
                continue;
            }
            if slot.write(lines).is_ok() {
                return Some(slot);
            }
            slot.remove();
        }
    }

    /// Keeps a file for the next attempt when it can.
    pub(super) fn put(&self, mut slot: Slot) {
        if slot.clear().is_ok() {
            let mut spare = self.0.lock();
            if spare.len() < MOST_SPARE {
                return spare.push(slot);
            }
        }
        slot.remove();
    }

    /// Closes them as a kill does.
    #[cfg(test)]
    pub(super) fn let_go(&self) {
        self.0.lock().clear();
    }

    /// Removes all that wait.
    pub(super) fn remove(&self) {
        std::mem::take(&mut *self.0.lock())
            .into_iter()
            .for_each(Slot::remove);
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Whether the open file is no longer what its name leads to: it was removed, or
/// the folder was moved away.
pub(super) fn is_unlinked(file: &File, path: &Path) -> Result<bool, JournalError> {
    let inspect = |found: io::Result<Metadata>| found.map_err(JournalError::io(path, "inspected"));
    let ours = inspect(file.metadata())?;
    let named = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        named => inspect(named)?,
    };
    Ok((ours.dev(), ours.ino()) != (named.dev(), named.ino()))
}
