//! Who can read, or replace, what proves who this host is.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::users;
use super::{Check, CheckId};
use crate::secret::Privacy;
use crate::vault::VaultConfig;
use crate::vault::config::CredentialFile;

const ID: CheckId = CheckId::CredentialFile;

/// In a folder with it nobody can rename or remove what is not theirs.
const STICKY: u32 = 0o1000;

/// Looks at every file of the log-in, and at the host's user.
pub(super) fn check(vault: &VaultConfig) -> Vec<Check> {
    let mut checks: Vec<_> = vault.credential_files().iter().map(judge).collect();
    checks.push(host_user());
    checks
}

fn judge(file: &CredentialFile<'_>) -> Check {
    let place = file.path.display().to_string();
    let about = |what: &str| format!("`{}` {what}", file.field);
    let unreadable = |error: std::io::Error| {
        Check::fault(
            ID,
            place.as_str(),
            about(&format!("cannot be read: {error}")),
            "check the path, and that the user that runs cofferdam may read it",
        )
    };
    // Real, so that the folders judged are those that it lies in.
    let (real, facts) = match real(file.path) {
        Ok(found) => found,
        Err(error) => return unreadable(error),
    };
    if !facts.is_file() {
        return Check::fault(
            ID,
            place,
            about("is not a regular file"),
            "name a regular file",
        );
    }
    if !is_trusted(facts.uid()) {
        let what = about(&format!("belongs to {}", users::user(facts.uid())));
        let cure = "give the file to the user that runs cofferdam, or to root";
        return Check::fault(ID, place, what, cure);
    }
    if let Some(who) = others(&facts, file.privacy, &real) {
        let cure = match file.privacy {
            Privacy::Secret => format!(
                "run `chmod 600 {place}`; whoever could read it could become this host, so replace the credential"
            ),
            Privacy::Public => format!("review it, then run `chmod go-w {place}`"),
        };
        return Check::fault(ID, place, about(&who), cure);
    }
    if let Err(error) = std::fs::File::open(&real) {
        return unreadable(error);
    }
    for path in [file.path, real.as_path()] {
        if let Some((folder, who)) = exchangeable(path) {
            let what = about(&format!("can be exchanged: {who} can write to {folder}"));
            let cure = format!("run `chmod go-w {folder}`, or put the file elsewhere");
            return Check::fault(ID, place, what, cure);
        }
    }
    let who = match rustix::process::geteuid().as_raw() {
        0 => "root".to_owned(),
        me => format!("root and {}", users::user(me)),
    };
    let verb = match file.privacy {
        Privacy::Secret => "read",
        Privacy::Public => "written",
    };
    Check::ok(ID, place, about(&format!("can be {verb} by {who} alone")))
}

fn real(path: &Path) -> std::io::Result<(PathBuf, Metadata)> {
    let real = std::fs::canonicalize(path)?;
    let facts = std::fs::metadata(&real)?;
    Ok((real, facts))
}

fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == rustix::process::geteuid().as_raw()
}

/// Who else the mode lets in. The group bits of a file with an access list
/// hold the widest of its further entries, so they tell of these as well.
fn others(facts: &Metadata, privacy: Privacy, path: &Path) -> Option<String> {
    let (forbidden, verb) = match privacy {
        Privacy::Secret => (0o077, "can be read or written"),
        Privacy::Public => (0o022, "can be written"),
    };
    let found = facts.mode() & forbidden;
    let mode = facts.mode() & 0o7777;
    let who = if found == 0 {
        return None;
    } else if found & 0o007 != 0 {
        "everybody on this machine".to_owned()
    } else if has_access_list(path) {
        format!(
            "{} and those whom its access list names (`getfacl`)",
            users::group(facts.gid())
        )
    } else {
        users::group(facts.gid())
    };
    Some(format!("{verb} by {who} (mode {mode:04o})"))
}

fn has_access_list(path: &Path) -> bool {
    let mut list = [0_u8; 1024];
    rustix::fs::getxattr(path, "system.posix_acl_access", &mut list).is_ok()
}

/// A folder above the file in which somebody else can exchange what lies in it.
fn exchangeable(path: &Path) -> Option<(String, String)> {
    let mut folders = path.ancestors().skip(1);
    folders.find_map(|folder| {
        let facts = std::fs::metadata(folder).ok()?;
        let (mode, shown) = (facts.mode(), folder.display().to_string());
        if !is_trusted(facts.uid()) {
            Some((shown, users::user(facts.uid())))
        } else if mode & STICKY != 0 {
            None
        } else if mode & 0o002 != 0 {
            Some((shown, "everybody on this machine".to_owned()))
        } else if mode & 0o020 != 0 && !harmless_group(facts.gid(), folder) {
            Some((shown, users::group(facts.gid())))
        } else {
            None
        }
    })
}

/// Distributions give some folders to groups that nobody is in.
fn harmless_group(gid: u32, folder: &Path) -> bool {
    !has_access_list(folder) && users::members(gid).iter().all(|name| name == "root")
}

/// What SECURITY.md says of the host's user, for this one.
fn host_user() -> Check {
    let uid = rustix::process::geteuid().as_raw();
    judge_user(uid, || users::processes_of(uid))
}

fn judge_user(uid: u32, others: impl FnOnce() -> usize) -> Check {
    let id = CheckId::HostUser;
    let place = users::user(uid);
    let cure = "give the host a user of its own, and run nothing else under it: no DAG's other code, no person's shell";
    if uid == 0 {
        let what = "the host runs as root: what is wrong with it is wrong with the machine";
        return Check::warning(id, place, what, cure);
    }
    match others() {
        0 => Check::ok(id, place, "no other process runs under this user now"),
        others => {
            let what = format!(
                "{others} other processes run under this user now; each can read the log-in's credential and become this host"
            );
            Check::warning(id, place, what, cure)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::State;
    use super::*;

    fn check(path: &Path, privacy: Privacy) -> (State, String) {
        let found = judge(&CredentialFile {
            field: "secret_id_file",
            path,
            privacy,
        });
        assert_eq!(found.cure.is_none(), found.state == State::Ok, "{found:?}");
        (found.state, found.what)
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_user_that_others_share_is_told() {
        let found = judge_user(0, || panic!("root reads everything in any case"));
        assert!(found.state == State::Warning && found.what.contains("as root"));
        let found = judge_user(4_242, || 3);
        assert_eq!(found.state, State::Warning);
        assert!(found.what.contains("3 other processes"), "{}", found.what);
        assert_eq!(judge_user(4_242, || 0).state, State::Ok);
    }

    /// The count itself, by a process that is certainly there.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "no credential")]
    fn the_processes_of_a_user_are_counted() {
        let uid = rustix::process::geteuid().as_raw();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        assert!(users::processes_of(uid) >= 1);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(users::processes_of(u32::MAX - 1), 0);
    }

    #[test]
    fn a_file_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret-id");
        let (state, what) = check(&path, Privacy::Secret);
        assert_eq!(state, State::Fault);
        assert!(what.contains("cannot be read"), "{what}");
        std::fs::write(&path, "x").unwrap();
        for (bits, privacy, good, words) in [
            (0o600, Privacy::Secret, true, "alone"),
            (0o400, Privacy::Secret, true, "alone"),
            (0o640, Privacy::Secret, false, "the group"),
            (0o604, Privacy::Secret, false, "everybody"),
            (0o644, Privacy::Public, true, "alone"),
            (0o664, Privacy::Public, false, "the group"),
            (0o646, Privacy::Public, false, "everybody"),
        ] {
            mode(&path, bits);
            let (state, what) = check(&path, privacy);
            assert_eq!(state == State::Ok, good, "{bits:o} {what}");
            assert!(what.contains(words), "{bits:o} {what}");
        }
    }

    #[test]
    fn a_file_that_others_can_exchange_is_theirs() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let path = inner.join("secret-id");
        std::fs::write(&path, "x").unwrap();
        mode(&path, 0o600);
        assert_eq!(check(&path, Privacy::Secret).0, State::Ok);
        for open in [folder.path(), &inner] {
            let before = std::fs::metadata(open).unwrap().mode();
            mode(open, 0o757);
            let (state, what) = check(&path, Privacy::Secret);
            assert_eq!(state, State::Fault);
            assert!(
                what.contains("exchanged") && what.contains("everybody"),
                "{what}"
            );
            mode(open, 0o1777);
            assert_eq!(check(&path, Privacy::Secret).0, State::Ok, "sticky");
            mode(open, before);
        }
        // Through a link from elsewhere too.
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(check(&link, Privacy::Secret).0, State::Ok);
        mode(&inner, 0o757);
        assert_eq!(check(&link, Privacy::Secret).0, State::Fault);
    }
}
