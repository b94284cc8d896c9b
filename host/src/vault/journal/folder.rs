//! The journal's folder.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::OFlags;

use super::record::{self, Intent};
use super::{Entry, JournalError};

/// A file of ours has under a kilobyte without leases; a thousand of them, as
/// long as they may be, have two thirds of this.
const MAX_FILE: u64 = 1 << 20;

/// How often a new file is made again because a sweep caught it empty. Each
/// round needs a sweep at the very moment; more than a few mean something else.
const MAX_ROUNDS: u32 = 16;

/// The folder `journal` below the state folder.
pub(in crate::vault) struct Journal {
    folder: PathBuf,
    checked: OnceLock<()>,
}

/// What a sweep finds behind a name.
pub(in crate::vault) enum Found {
    /// Its process lives, or another sweep has it.
    Live,
    /// Gone meanwhile, or empty: nothing was minted for it.
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
            checked: OnceLock::new(),
        }
    }

    /// Makes the file of a token that is about to be asked for.
    ///
    /// Inline, not on a thread for blocking work: creating, locking and
    /// writing a small file takes tens of microseconds, about what the switch
    /// to another thread takes.
    pub(in crate::vault) fn begin(&self, intent: Intent) -> Result<Entry, JournalError> {
        self.check()?;
        let path = self
            .folder
            .join(intent.file_name().ok_or(JournalError::BadName)?);
        for _ in 0..MAX_ROUNDS {
            let mut file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(JournalError::io(&path, "created"))?;
            // A sweep may lock the file first, find it empty and remove it:
            // then our lock is on a file without a name, and we start anew.
            file.lock().map_err(JournalError::io(&path, "locked"))?;
            if unlinked(&file, &path)? {
                continue;
            }
            let line = intent.line();
            if let Err(error) = file.write_all(&line) {
                // Nothing was asked for yet, and half an intent would be
                // reported as unreadable for ever.
                let _ = std::fs::remove_file(&path);
                return Err(JournalError::io(&path, "written")(error));
            }
            return Ok(Entry {
                file,
                path,
                length: Some(line.len() as u64),
                intent,
                accessor: None,
                leases: Vec::new(),
            });
        }
        Err(JournalError::io(&path, "locked")(
            ErrorKind::WouldBlock.into(),
        ))
    }

    /// The names of all files. Empty when there is no folder yet.
    pub(in crate::vault) fn names(&self) -> Result<Vec<PathBuf>, JournalError> {
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
            .append(true)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path);
        let mut file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(_) => return Ok(Found::Unreadable(path.to_owned())),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Found::Live),
            Err(TryLockError::Error(error)) => {
                return Err(JournalError::io(path, "locked")(error));
            }
        }
        // Its owner closed it properly between our opening and our lock.
        if unlinked(&file, path)? {
            return Ok(Found::Nothing);
        }
        let mut text = Vec::new();
        (&mut file)
            .take(MAX_FILE)
            .read_to_end(&mut text)
            .map_err(JournalError::io(path, "read"))?;
        if text.is_empty() {
            // Killed between creating and writing, or about to write: then the
            // owner waits for our lock and sees that the name is gone.
            std::fs::remove_file(path).map_err(JournalError::io(path, "removed"))?;
            return Ok(Found::Nothing);
        }
        Ok(match record::parse(&text) {
            Some(record) => {
                if record.unreadable > 0 {
                    tracing::warn!(
                        lines = record.unreadable,
                        "lines of a journal file cannot be read; the others count"
                    );
                }
                Found::Left(Box::new(Entry {
                    file,
                    path: path.to_owned(),
                    length: Some(text.len() as u64),
                    intent: record.intent,
                    accessor: record.accessor,
                    leases: record.leases,
                }))
            }
            None => Found::Unreadable(path.to_owned()),
        })
    }

    /// Creates the folder if need be, and refuses one that others can touch.
    /// Once per process.
    fn check(&self) -> Result<(), JournalError> {
        if self.checked.get().is_some() {
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
        let _ = self.checked.set(());
        Ok(())
    }
}

/// Whether the open file has lost its name.
fn unlinked(file: &File, path: &Path) -> Result<bool, JournalError> {
    let metadata = file
        .metadata()
        .map_err(JournalError::io(path, "inspected"))?;
    Ok(metadata.nlink() == 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use rustix::process::{Resource, Rlimit, setrlimit};

    use super::super::{AuthorityKind, Keep};
    use super::*;
    use crate::vault::accessor::Accessor;
    use crate::vault::lease::LeaseId;

    fn state() -> tempfile::TempDir {
        tempfile::TempDir::new().expect("folder")
    }

    fn intent(id: &str) -> Intent {
        Intent::new(
            AuthorityKind::Attempt,
            id.to_owned(),
            None,
            "http://127.0.0.1:1".to_owned(),
            None,
            jiff::Timestamp::UNIX_EPOCH,
            Duration::from_secs(60),
        )
    }

    #[test]
    fn a_held_file_is_live_a_dropped_one_is_left_and_a_done_one_is_gone() {
        let state = state();
        let journal = Journal::new(state.path());
        let mut entry = journal.begin(intent("a")).expect("begun");
        let path = entry.path.clone();
        assert_eq!(
            std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode()
                & 0o7777,
            0o600
        );
        assert!(matches!(journal.take(&path), Ok(Found::Live)));

        let accessor = Accessor::try_from("accessor-of-a".to_owned()).expect("fine");
        entry.made(accessor, Keep::OnDisk).expect("synced");
        drop(entry);
        let Ok(Found::Left(left)) = journal.take(&path) else {
            panic!("it is unlocked")
        };
        assert_eq!(left.accessor().expect("made").expose(), "accessor-of-a");

        left.done();
        assert!(matches!(journal.take(&path), Ok(Found::Nothing)));
        assert!(journal.names().expect("listed").is_empty());
    }

    /// A file that this process cannot make longer takes a piece of a line: the
    /// process is another one, as a limit is the whole process's.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a folder, and no credential")]
    fn a_line_that_did_not_fit_is_taken_back() {
        const FOLDER: &str = "COFFERDAM_TEST_SMALL_FILES";
        if let Some(state) = std::env::var_os(FOLDER) {
            return write_beyond_the_limit(Path::new(&state));
        }
        let state = state();
        // Whoever ignores the signal gets an error instead, as from a full disk.
        let done = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" --exact \"$1\""])
            .arg(std::env::current_exe().expect("this program"))
            .arg("vault::journal::folder::tests::a_line_that_did_not_fit_is_taken_back")
            .env(FOLDER, state.path())
            .output()
            .expect("started");
        assert!(done.status.success(), "{done:?}");
        let path = state.path().join("journal/attempt-a.json");
        let text = std::fs::read_to_string(&path).expect("written");
        assert_eq!(text.lines().count(), 4, "{text}");
        let Ok(Found::Left(left)) = Journal::new(state.path()).take(&path) else {
            panic!("it is readable")
        };
        let leases: Vec<_> = left.leases().iter().map(LeaseId::expose).collect();
        assert_eq!(leases, ["a/creds/b/1", "a/creds/b/3"]);
        assert!(left.accessor().is_some());
    }

    fn write_beyond_the_limit(state: &Path) {
        let lease = |id: &str| LeaseId::try_from(format!("a/creds/b/{id}")).expect("fine");
        let mut entry = Journal::new(state).begin(intent("a")).expect("begun");
        let accessor = Accessor::try_from("accessor-of-a".to_owned()).expect("fine");
        entry.made(accessor, Keep::OnDisk).expect("synced");
        entry.leased(&lease("1")).expect("synced");
        let length = std::fs::metadata(&entry.path).expect("there").len();
        let limit = |current| {
            let limit = Rlimit {
                current,
                maximum: None,
            };
            setrlimit(Resource::Fsize, limit).expect("limited");
        };
        limit(Some(length + 10));
        // The control: this is what is taken back.
        let mut other = OpenOptions::new()
            .append(true)
            .open(&entry.path)
            .expect("open");
        assert_eq!(other.write(&[b' '; 64]).expect("a piece"), 10);
        entry.file.set_len(length).expect("as before");

        assert!(entry.leased(&lease("2")).is_err());
        limit(None);
        entry.leased(&lease("3")).expect("room again");
    }

    #[test]
    fn nothing_is_written_behind_a_piece_that_stays() {
        let state = state();
        let mut entry = Journal::new(state.path())
            .begin(intent("a"))
            .expect("begun");
        let lease = LeaseId::try_from("a/creds/b/1".to_owned()).expect("fine");
        // A full disk that cannot be cut back either.
        let full = OpenOptions::new().write(true).open("/dev/full");
        let good = std::mem::replace(&mut entry.file, full.expect("on Linux"));
        assert!(entry.leased(&lease).is_err());
        entry.file = good;
        assert!(entry.leased(&lease).is_err());
        let text = std::fs::read_to_string(&entry.path).expect("there");
        assert_eq!(text.lines().count(), 1, "{text}");
    }

    #[test]
    fn refuses_folders_that_others_can_touch() {
        for (mode, below) in [(0o755, true), (0o770, true), (0o777, false)] {
            let state = state();
            let journal = state.path().join("journal");
            DirBuilder::new()
                .mode(0o700)
                .create(&journal)
                .expect("made");
            let path = if below { &journal } else { state.path() };
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set");
            assert!(
                matches!(
                    Journal::new(state.path()).begin(intent("a")),
                    Err(JournalError::UnsafeFolder { .. })
                ),
                "{mode:o}"
            );
        }
    }

    #[test]
    fn garbage_is_reported_and_kept() {
        let state = state();
        let journal = Journal::new(state.path());
        journal.begin(intent("a")).expect("begun").done();
        let path = journal.folder.join("attempt-x.json");
        std::fs::write(&path, "garbage").expect("written");
        assert!(matches!(journal.take(&path), Ok(Found::Unreadable(_))));
        assert!(path.exists());
        std::os::unix::fs::symlink("/dev/null", journal.folder.join("link")).expect("linked");
        assert!(matches!(
            journal.take(&journal.folder.join("link")),
            Ok(Found::Unreadable(_))
        ));
    }

    #[test]
    fn creating_and_sweeping_at_once_loses_nothing() {
        let state = state();
        let journal = Journal::new(state.path());
        journal.begin(intent("first")).expect("begun").done();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    for name in journal.names().expect("listed") {
                        assert!(
                            !matches!(journal.take(&name), Ok(Found::Left(_))),
                            "a sweep took a file of a living owner"
                        );
                    }
                }
            });
            for round in 0..2000 {
                let entry = journal.begin(intent(&format!("r{round}"))).expect("begun");
                assert!(entry.path.exists(), "the owner's file lost its name");
                entry.done();
            }
            stop.store(true, Ordering::Relaxed);
        });
    }
}
