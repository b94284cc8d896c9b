//! The host's own folders: who can touch them, and how much room there is.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::Access;

use super::users;
use super::{Check, CheckId};
use crate::config::HostConfig;
use crate::config::value::show_size;

/// Under this an audit or a journal soon cannot be written, and then every call
/// is refused.
const LITTLE: u64 = 256 << 20;

/// Under this it may happen in the middle of the next run.
const NEXT_TO_NOTHING: u64 = 16 << 20;

/// Files that must fit.
const FEW_FILES: u64 = 1000;

/// Who may do what with a folder.
struct Rule {
    id: CheckId,
    /// The permission bits that nobody else may have.
    forbidden: u32,
    /// Whether it may belong to root too.
    roots: bool,
}

/// Looks at state, audit and cache.
pub(super) fn check(config: &HostConfig) -> Vec<Check> {
    let folders = [
        (&config.state, CheckId::FolderState, 0o077, false),
        (&config.audit, CheckId::FolderAudit, 0o022, true),
        (&config.cache, CheckId::FolderCache, 0o077, false),
    ];
    let mut checks = Vec::new();
    for (folder, id, forbidden, roots) in folders {
        let rule = Rule {
            id,
            forbidden,
            roots,
        };
        checks.push(judge(folder, &rule));
    }
    checks.extend([&config.state, &config.audit].map(|folder| space(folder)));
    checks
}

fn judge(folder: &Path, rule: &Rule) -> Check {
    let place = folder.display().to_string();
    let facts = match std::fs::metadata(folder) {
        Ok(facts) => facts,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return unmade(folder, rule.id);
        }
        Err(error) => {
            let what = format!("cannot be looked at: {error}");
            return Check::fault(rule.id, place, what, OWN);
        }
    };
    match fault(&facts, rule) {
        Some(what) => {
            let mode = if rule.forbidden == 0o077 {
                "700"
            } else {
                "755"
            };
            let cure = format!("{OWN}: `chmod {mode} {place}`");
            Check::fault(rule.id, place, what, cure)
        }
        None if !writable(folder) => {
            let what = "this user cannot write to it, or the file system is read-only";
            Check::fault(rule.id, place, what, OWN)
        }
        None => {
            let verb = if rule.forbidden == 0o077 {
                "enter"
            } else {
                "write to"
            };
            Check::ok(
                rule.id,
                place,
                format!("nobody but this user can {verb} it"),
            )
        }
    }
}

const OWN: &str = "give it to the user that runs cofferdam, and run every command as that user";

fn fault(facts: &Metadata, rule: &Rule) -> Option<String> {
    let me = rustix::process::geteuid().as_raw();
    if !facts.is_dir() {
        Some("it is not a folder".to_owned())
    } else if facts.uid() != me && !(rule.roots && facts.uid() == 0) {
        Some(format!("it belongs to {}", users::user(facts.uid())))
    } else if facts.mode() & rule.forbidden != 0 {
        let mode = facts.mode() & 0o7777;
        Some(format!("others can use it (mode {mode:04o})"))
    } else {
        None
    }
}

/// A folder that the first run makes.
fn unmade(folder: &Path, id: CheckId) -> Check {
    let place = folder.display().to_string();
    if writable(existing(folder)) {
        Check::ok(id, place, "is not there yet; the first run makes it")
    } else {
        Check::fault(
            id,
            place,
            "is not there, and this user cannot make it",
            "make it, and give it to the user that runs cofferdam, mode 0700",
        )
    }
}

fn writable(folder: &Path) -> bool {
    rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}

/// The nearest folder above that is there.
fn existing(folder: &Path) -> &Path {
    folder
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"))
}

fn space(folder: &Path) -> Check {
    let id = CheckId::DiskSpace;
    let place = folder.display().to_string();
    let room = match rustix::fs::statvfs(existing(folder)) {
        Ok(room) => room,
        Err(error) => {
            let what = format!("the file system cannot be asked: {error}");
            return Check::warning(id, place, what, "use a local file system");
        }
    };
    judge_room(
        place,
        &Room {
            free: room.f_bavail.saturating_mul(room.f_frsize),
            // A file system without a count of files says 0 of 0.
            files: (room.f_files > 0).then_some(room.f_favail),
        },
    )
}

/// What a file system has left for this user.
struct Room {
    /// In bytes.
    free: u64,
    /// How many more files, when they are counted.
    files: Option<u64>,
}

fn judge_room(place: String, room: &Room) -> Check {
    let (id, free) = (CheckId::DiskSpace, room.free);
    let whole = usize::try_from(free >> 20).unwrap_or(usize::MAX >> 20) << 20;
    let what = format!("{} are free", show_size(whole));
    let cure = "make room: without audit and journal every call is refused";
    if free < NEXT_TO_NOTHING {
        Check::fault(id, place, what, cure)
    } else if let Some(few) = room.files.filter(|files| *files < FEW_FILES) {
        let what = format!("only {few} more files fit");
        Check::warning(id, place, what, cure)
    } else if free < LITTLE {
        Check::warning(id, place, what, cure)
    } else {
        Check::ok(id, place, what)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::State;
    use super::*;

    fn config(root: &Path) -> HostConfig {
        HostConfig::parse("", Path::new("cofferdam.toml"), root).unwrap()
    }

    fn states(root: &Path) -> Vec<(CheckId, State)> {
        check(&config(root))
            .into_iter()
            .map(|check| (check.id, check.state))
            .collect()
    }

    #[test]
    fn little_room_is_told_before_there_is_none() {
        for (free, files, state, words) in [
            (0, None, State::Fault, "0B are free"),
            ((16 << 20) - 1, Some(9_999), State::Fault, "15MiB are free"),
            (16 << 20, Some(9_999), State::Warning, "16MiB are free"),
            ((256 << 20) - 1, None, State::Warning, "255MiB are free"),
            (256 << 20, None, State::Ok, "256MiB are free"),
            (1 << 40, Some(1_000), State::Ok, "are free"),
            (
                1 << 40,
                Some(999),
                State::Warning,
                "only 999 more files fit",
            ),
            (0, Some(0), State::Fault, "are free"),
        ] {
            let room = Room { free, files };
            let found = judge_room("/state".to_owned(), &room);
            assert_eq!(found.state, state, "{free} {files:?}");
            assert!(found.what.contains(words), "{}", found.what);
            assert_eq!(found.cure.is_none(), state == State::Ok);
        }
        // The machine's own figures come in.
        let root = tempfile::tempdir().unwrap();
        let found = space(root.path());
        assert!(found.id == CheckId::DiskSpace && found.what.ends_with(" free"));
    }

    #[test]
    fn each_folder_is_held_to_its_rule() {
        let root = tempfile::tempdir().unwrap();
        assert!(
            states(root.path())
                .iter()
                .all(|(_, state)| *state == State::Ok)
        );
        let mode = |name: &str, mode| {
            let path = root.path().join(name);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        for (name, good, bad, id) in [
            ("state", 0o700, 0o750, CheckId::FolderState),
            ("audit", 0o755, 0o775, CheckId::FolderAudit),
            ("cache", 0o700, 0o701, CheckId::FolderCache),
        ] {
            mode(name, bad);
            assert!(states(root.path()).contains(&(id, State::Fault)), "{name}");
            mode(name, good);
            assert!(states(root.path()).contains(&(id, State::Ok)), "{name}");
        }
        std::fs::remove_dir(root.path().join("audit")).unwrap();
        std::fs::write(root.path().join("audit"), "").unwrap();
        assert!(states(root.path()).contains(&(CheckId::FolderAudit, State::Fault)));
    }
}
