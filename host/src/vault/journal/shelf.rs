//! The journal's folder itself: who may touch it, what is made in it, and what
//! of it nobody will clear any more.

use std::collections::VecDeque;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Handle;

use super::file::LockedFile;
use super::left::Left;
use super::record::Record;
use super::slot::Slot;
use super::{JournalError, Keep};
use crate::disk;
use crate::lock::Mutex;
use crate::priority::on_the_pool;

/// What the journal and its entries share.
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
    checked: AtomicBool,
    /// Something could not be written or synced, and no probe has succeeded since.
    is_troubled: AtomicBool,
    pub(super) left: Left,
    /// Dropped, and no file of their own could be made for them.
    stranded: Mutex<VecDeque<(Slot, Record)>>,
    /// Files that take a block's place and wait for the disk.
    moving: Mutex<VecDeque<Arc<LockedFile>>>,
}

impl Shelf {
    /// Touches nothing yet.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            checked: AtomicBool::new(false),
            is_troubled: AtomicBool::new(false),
            left: Left::default(),
            stranded: Mutex::default(),
            moving: Mutex::default(),
        }
    }

    /// Something could not be written or synced.
    pub(super) fn note_trouble(&self) {
        self.is_troubled.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.is_troubled.load(Ordering::Relaxed)
    }

    /// Forgets it. Before a probe, so that what fails beside the probe is not lost.
    pub(super) fn forget_trouble(&self) {
        self.is_troubled.store(false, Ordering::Relaxed);
    }

    /// A new file; in a new folder when somebody removed the old one.
    pub(super) fn create(&self, name: impl Fn() -> String) -> Result<LockedFile, JournalError> {
        self.check()?;
        match LockedFile::create(&self.folder, &name) {
            Err(JournalError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                self.checked.store(false, Ordering::Relaxed);
                self.check()?;
                LockedFile::create(&self.folder, &name)
            }
            created => created,
        }
    }

    /// A file of its own for what is known of one token.
    pub(super) fn create_whole(&self, record: &Record) -> Result<Slot, JournalError> {
        let file = self.create(|| record.intent.file_name())?;
        Slot::whole(file, &record.lines())
    }

    /// Takes what nobody will write to any more, so that every sweep finds it: a
    /// block of our segment stays locked for as long as anybody has another one.
    pub(super) fn leave(self: &Arc<Self>, slot: Slot, record: &Record) {
        let slot = if slot.is_of_our_segment() {
            match self.create_whole(record) {
                Ok(own) => {
                    own.file.replaces(slot);
                    own
                }
                Err(error) => {
                    self.note_trouble();
                    tracing::warn!(%error, "a record stays where only this process's end frees it");
                    self.left.add(slot.place());
                    return self.stranded.lock().push_back((slot, record.clone()));
                }
            }
        } else {
            self.told_whole(slot, record)
        };
        self.left.add(slot.place());
        if !slot.is_whole() {
            return;
        }
        if slot.file.is_replacing() {
            match record.keep {
                // Another's sync may clear the block on the disk.
                Keep::OnDisk => self.replace_later(&slot.file),
                Keep::WithLogin => slot.file.replace(),
            }
        }
        slot.file.unlock();
    }

    /// A file that lacks a line which could not be written is made anew, if it can be.
    fn told_whole(&self, slot: Slot, record: &Record) -> Slot {
        let lines = record.lines().len() as u64;
        if record.unreadable > 0 || slot.length.is_some_and(|length| length >= lines) {
            return slot;
        }
        match self.create_whole(record) {
            Ok(own) => {
                own.file.replaces(slot);
                own
            }
            Err(error) => {
                tracing::warn!(%error, "a record that was left lacks its last line");
                slot
            }
        }
    }

    /// Once the disk has this file, what it takes the place of is done with. Until
    /// then a kill leaves both, which the sweep knows for one.
    fn replace_later(self: &Arc<Self>, file: &Arc<LockedFile>) {
        let is_first = {
            let mut moving = self.moving.lock();
            moving.push_back(Arc::clone(file));
            moving.len() == 1
        };
        // One thread for all: nobody waits, and there are many when Vault goes away.
        if is_first {
            let shelf = Arc::clone(self);
            match Handle::try_current() {
                Ok(_) => drop(on_the_pool(move || shelf.end_moves())),
                Err(_) => shelf.end_moves(),
            }
        }
    }

    /// Waits for the files that take a block's place.
    fn end_moves(&self) {
        loop {
            // It stays until it is there, for those who wait for all.
            let Some(file) = self.moving.lock().front().cloned() else {
                return;
            };
            if file.is_replacing()
                && let Err(error) = file.synced_here()
            {
                tracing::warn!(%error, "a record that was left stands in two places");
            }
            let mut moving = self.moving.lock();
            if moving
                .front()
                .is_some_and(|first| Arc::ptr_eq(first, &file))
            {
                moving.pop_front();
            }
        }
    }

    /// The same, at the end of a process.
    pub(super) fn end_all_moves(&self) {
        let is_moving = !self.moving.lock().is_empty();
        if is_moving {
            disk::wait(|| self.end_moves());
        }
    }

    /// Tries again to make files for those that have none of their own.
    pub(super) fn retry_stranded(self: &Arc<Self>) {
        let stranded = self.stranded.lock().len();
        (0..stranded).for_each(|_| self.retry_one_stranded());
    }

    /// The same for one of them.
    pub(super) fn retry_one_stranded(self: &Arc<Self>) {
        let stranded = self.stranded.lock().pop_front();
        if let Some((slot, record)) = stranded {
            self.left.settle(|| slot.place());
            self.leave(slot, &record);
        }
    }

    /// Creates the folder if need be, and refuses one that others can touch.
    /// Once per process, unless it goes.
    pub(super) fn check(&self) -> Result<(), JournalError> {
        if self.checked.load(Ordering::Relaxed) {
            return Ok(());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(JournalError::io(&self.folder, "created"))?;
        let me = rustix::process::geteuid().as_raw();
        let refuse = |path: &Path, rule| {
            Err(JournalError::UnsafeFolder {
                path: path.to_owned(),
                rule,
            })
        };
        let inspect = |path: &Path| {
            std::fs::symlink_metadata(path).map_err(JournalError::io(path, "inspected"))
        };
        let folder = inspect(&self.folder)?;
        if !folder.is_dir() {
            return refuse(&self.folder, "it is not a folder");
        }
        if folder.uid() != me {
            return refuse(&self.folder, "it belongs to another user");
        }
        if folder.mode() & 0o077 != 0 {
            return refuse(&self.folder, "others may enter it");
        }
        if let Some(state) = self.folder.parent() {
            // Who can rename the folder can put another one in its place.
            let state_is =
                std::fs::metadata(state).map_err(JournalError::io(state, "inspected"))?;
            if state_is.uid() != me && state_is.uid() != 0 {
                return refuse(state, "the folder above belongs to another user");
            }
            if state_is.mode() & 0o022 != 0 {
                return refuse(state, "others may write to the folder above");
            }
        }
        self.checked.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Every file, sorted.
    pub(super) fn list(&self) -> Result<Vec<PathBuf>, JournalError> {
        let listed = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed.map_err(JournalError::io(&self.folder, "listed"))?,
        };
        self.check()?;
        let mut names = Vec::new();
        for entry in listed {
            names.push(
                entry
                    .map_err(JournalError::io(&self.folder, "listed"))?
                    .path(),
            );
        }
        // `attempt-…` and `attempts-…` sort before `login-…`: children go before
        // their parents, and what was moved before where it comes from.
        names.sort();
        Ok(names)
    }
}
