//! The journal's folder.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::OFlags;

use super::left::{Left, Unsettled};
use super::record::{self, Intent};
use super::slot::{Slot, Spares, is_unlinked};
use super::{AuthorityKind, Entry, JournalError};

/// What is said of one token is under a kilobyte without leases; a thousand of
/// them, as long as they may be, have two thirds of this.
const MAX_FILE: u64 = 1 << 20;

/// The folder `journal` below the state folder.
pub(in crate::vault) struct Journal {
    folder: PathBuf,
    checked: AtomicBool,
    spares: Arc<Spares>,
    left: Arc<Left>,
}

/// What a sweep finds behind a name.
pub(in crate::vault) enum Found {
    /// Its process lives, or another sweep has it.
    Live,
    /// Gone meanwhile, or blank: nothing is alive that it would tell of.
    Nothing,
    /// Left behind; locked by us now.
    Left(Box<Entry>),
    /// Not of our making, or damaged.
    Unreadable(PathBuf),
}

impl Journal {
    /// The journal of this state folder; touches nothing yet.
    pub(in crate::vault) fn new(state: &Path) -> Self {
        Self {
            folder: state.join("journal"),
            checked: AtomicBool::new(false),
            spares: Arc::default(),
            left: Arc::default(),
        }
    }

    /// Notes a token that is about to be asked for.
    ///
    /// Inline, not on a thread for blocking work: creating, locking and
    /// writing a small file takes tens of microseconds, about what the switch
    /// to another thread takes.
    pub(in crate::vault) fn begin(&self, intent: Intent) -> Result<Entry, JournalError> {
        self.check()?;
        let line = intent.line();
        // There is one log-in at a time, and it lives long.
        let spares = (intent.kind == AuthorityKind::Attempt).then(|| Arc::clone(&self.spares));
        let spare = spares.as_ref().and_then(|spares| spares.take(&line));
        let slot = match spare {
            Some(slot) => slot,
            None => self.create(&intent, &line)?,
        };
        Ok(Entry {
            unsettled: Unsettled::new(&self.left, &slot.path),
            slot,
            spares,
            intent,
            accessor: None,
            leases: Vec::new(),
        })
    }

    /// A new file; in a new folder when somebody removed the old one.
    fn create(&self, intent: &Intent, line: &[u8]) -> Result<Slot, JournalError> {
        let create = || Slot::create(&self.folder, || intent.file_name(), line);
        match create() {
            Err(JournalError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                self.checked.store(false, Ordering::Relaxed);
                self.check()?;
                create()
            }
            created => created,
        }
    }

    /// Removes the files that wait for an attempt. At the end of a process; one
    /// that is killed leaves them, and the next sweep removes them.
    pub(in crate::vault) fn tidy(&self) {
        self.spares.remove();
    }

    /// How many files tell of something that may live, and belong to nobody who
    /// lives in this process, as far as it knows.
    pub(in crate::vault) fn left(&self) -> usize {
        self.left.count()
    }

    /// The names of all files. Empty when there is no folder yet.
    pub(in crate::vault) fn names(&self) -> Result<Vec<PathBuf>, JournalError> {
        let left = self.left.all();
        let names = self.list()?;
        // Another process swept them, or somebody by hand.
        self.left.forget(
            left.iter()
                .filter(|path| names.binary_search(path).is_err()),
        );
        Ok(names)
    }

    /// Every file, sorted.
    fn list(&self) -> Result<Vec<PathBuf>, JournalError> {
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
        // `attempt-…` sorts before `login-…`: children go before their parents.
        names.sort();
        Ok(names)
    }

    /// Takes a file when nobody holds it.
    pub(in crate::vault) fn take(&self, path: &Path) -> Result<Found, JournalError> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(_) => return Ok(Found::Unreadable(path.to_owned())),
        };
        match file.try_lock() {
            Ok(()) => {}
            // A process keeps some that say nothing, for attempts to come.
            Err(TryLockError::WouldBlock) => {
                let blank = is_blank(&file).map_err(JournalError::io(path, "read"))?;
                return Ok(if blank { Found::Nothing } else { Found::Live });
            }
            Err(TryLockError::Error(error)) => {
                return Err(JournalError::io(path, "locked")(error));
            }
        }
        // Its owner closed it properly between our opening and our lock.
        if is_unlinked(&file, path)? {
            return Ok(Found::Nothing);
        }
        let mut text = Vec::new();
        (&mut file)
            .take(MAX_FILE)
            .read_to_end(&mut text)
            .map_err(JournalError::io(path, "read"))?;
        if text.first().is_none_or(|&byte| byte == 0) {
            // Killed between creating and writing or after clearing, or about to
            // write: then the owner waits for our lock and sees that the name is
            // gone.
            std::fs::remove_file(path).map_err(JournalError::io(path, "removed"))?;
            return Ok(Found::Nothing);
        }
        let written = text
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |at| at + 1);
        text.truncate(written);
        Ok(match record::parse(&text) {
            Some(record) => {
                if record.unreadable > 0 {
                    tracing::warn!(
                        lines = record.unreadable,
                        "lines of a journal file cannot be read; the others count"
                    );
                }
                Found::Left(Box::new(Entry {
                    unsettled: Unsettled::new(&self.left, path),
                    slot: Slot {
                        file,
                        path: path.to_owned(),
                        length: Some(written as u64),
                        is_named: false,
                    },
                    spares: None,
                    intent: record.intent,
                    accessor: record.accessor,
                    leases: record.leases,
                }))
            }
            None => Found::Unreadable(path.to_owned()),
        })
    }

    /// Creates the folder if need be, and refuses one that others can touch.
    /// Once per process, unless it goes.
    fn check(&self) -> Result<(), JournalError> {
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
}

/// Whether a file that another process holds says nothing at this moment.
fn is_blank(file: &File) -> io::Result<bool> {
    let mut first = [0];
    Ok(file.read_at(&mut first, 0)? == 0 || first == [0])
}

#[cfg(test)]
mod tests;
