//! A file of the journal: locked, and synced for all who wait at one time.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::OnceCell;

use super::JournalError;
use super::slot::Slot;
use crate::disk::Syncs;
use crate::lock::Mutex;
use crate::priority::{foremost, on_the_pool};

/// How often a new file is made again because a sweep caught it blank. Each round needs a
/// sweep at the very moment, as one that looks again and again on a busy machine often is (16
/// in a row were seen); so many mean something else.
const MAX_ROUNDS: u32 = 256;

/// Locked for as long as this value lives, unless it is let go before.
pub(super) struct LockedFile {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    /// What its name is to lead to; none when the system does not say.
    id: Option<FileId>,
    syncs: Syncs,
    /// Its name is on the disk too: some file systems keep the two apart.
    named: OnceCell<()>,
    /// What is on the disk is unknown, and no later sync would tell.
    failed: AtomicBool,
    /// What this file takes the place of. It stays until the disk has this one.
    replaced: Mutex<Option<Slot>>,
}

impl LockedFile {
    /// Makes an empty file under a name that `name` makes up.
    pub(super) fn create(folder: &Path, name: impl Fn() -> String) -> Result<Self, JournalError> {
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
            match file.try_lock() {
                Ok(()) if !is_unlinked(&file, &path)? => return Ok(Self::of(file, path)),
                // Whoever has it now removes it.
                Ok(()) | Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(JournalError::io(&path, "locked")(error));
                }
            }
        }
        Err(JournalError::io(folder, "locked")(
            ErrorKind::WouldBlock.into(),
        ))
    }

    /// One that the caller has locked.
    pub(super) fn of(file: File, path: PathBuf) -> Self {
        let file = Arc::new(file);
        Self {
            id: file.metadata().map(|found| id_of(&found)).ok(),
            syncs: Syncs::new(Arc::clone(&file)),
            file,
            path,
            named: OnceCell::new(),
            failed: AtomicBool::new(false),
            replaced: Mutex::new(None),
        }
    }

    /// Whether its name leads to something else, or nowhere.
    pub(super) fn is_unlinked(&self) -> bool {
        !matches!(named(&self.path), Ok(named) if named.is_some() && named == self.id)
    }

    /// Whether a sync of it failed once.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire) || self.syncs.has_failed()
    }

    /// This file's lines are those of `old` and more: once the disk has them,
    /// `old` is done with.
    pub(super) fn replaces(&self, old: Slot) {
        *self.replaced.lock() = Some(old);
    }

    /// Whether it takes the place of something that is still there.
    pub(super) fn is_replacing(&self) -> bool {
        self.replaced.lock().is_some()
    }

    /// What this file takes the place of, which is then another's to end.
    pub(super) fn take_replaced(&self) -> Option<Slot> {
        self.replaced.lock().take()
    }

    /// Ends what this file takes the place of.
    pub(super) fn replace(&self) {
        if let Some(old) = self.take_replaced() {
            old.done();
        }
    }

    /// Waits until the disk has what was written before this call, and, once for
    /// each file, until its folder has the name. Whoever waits at the same time
    /// shares both. Dropping the future gives up the waiting and nothing else.
    pub(super) async fn synced(&self) -> Result<(), JournalError> {
        let synced = self.syncs.sync().await;
        self.checked(&self.path, synced)?;
        let folder = self.folder();
        let named = self.named.get_or_try_init(|| async {
            let open = self.open_folder()?;
            let synced = on_the_pool(move || foremost(|| open.sync_all())).await;
            let synced = synced.unwrap_or_else(|_| Err(io::Error::other("the runtime ends")));
            self.checked(folder, synced)
        });
        named.await?;
        self.replace();
        Ok(())
    }

    /// The same on this thread, which waits for the disk.
    pub(super) fn synced_here(&self) -> Result<(), JournalError> {
        self.checked(&self.path, self.syncs.sync_here())?;
        if !self.named.initialized() {
            let open = self.open_folder()?;
            self.checked(self.folder(), foremost(|| open.sync_all()))?;
            // Somebody else may have been as fast.
            let _ = self.named.set(());
        }
        self.replace();
        Ok(())
    }

    /// From now on a sweep may have it, whoever still waits for a sync of it.
    pub(super) fn unlock(&self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "a journal file stays locked");
        }
    }

    /// Removes the file. Inline: an unlink takes microseconds.
    pub(super) fn remove(&self) {
        match std::fs::remove_file(&self.path) {
            // Somebody was there before, by hand.
            Err(error) if error.kind() != ErrorKind::NotFound => {
                // The next sweep finds it, asks Vault and removes it; nothing is
                // lost but a line in its report.
                tracing::warn!(%error, "a journal file of dead tokens could not be removed");
            }
            _ => {}
        }
    }

    /// How many syncs were made.
    #[cfg(test)]
    pub(super) fn syncs_made(&self) -> usize {
        self.syncs.made()
    }

    /// Whether the disk has its name.
    #[cfg(test)]
    pub(super) fn is_named(&self) -> bool {
        self.named.initialized()
    }

    /// As if a sync had failed.
    #[cfg(test)]
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// One that cannot be opened, as when there is no descriptor left, says nothing about
    /// what is on the disk: the next try may do.
    fn open_folder(&self) -> Result<File, JournalError> {
        let folder = self.folder();
        File::open(folder).map_err(JournalError::io(folder, "opened"))
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    fn checked(&self, path: &Path, synced: io::Result<()>) -> Result<(), JournalError> {
        synced.map_err(|error| {
            self.failed.store(true, Ordering::Release);
            JournalError::io(path, "synced")(error)
        })
    }
}

/// Whether the open file is no longer what its name leads to: it was removed, or
/// the folder was moved away.
pub(super) fn is_unlinked(file: &File, path: &Path) -> Result<bool, JournalError> {
    let ours = file
        .metadata()
        .map_err(JournalError::io(path, "inspected"))?;
    Ok(named(path)? != Some(id_of(&ours)))
}

/// Device and inode, which nothing else has while the file is open.
type FileId = (u64, u64);

fn id_of(found: &Metadata) -> FileId {
    (found.dev(), found.ino())
}

/// What the name leads to, if anything.
fn named(path: &Path) -> Result<Option<FileId>, JournalError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(id_of(&found))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(JournalError::io(path, "inspected")(error)),
    }
}
