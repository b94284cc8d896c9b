//! Reads files that decide about credentials: only when nobody but the
//! process's user and root can have written them.
//!
//! What is checked is the open descriptor, never a name, so nothing can be
//! exchanged between check and use. A POSIX ACL that lets anyone else write
//! shows in the group bits (they hold the ACL's mask), so the mode is enough.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::diagnostic::{Blame, Diagnostic, Exit};

/// Largest file of either kind: a thousand times what a person reviews.
pub const MAX_BYTES: usize = 256 * 1024;

/// A file or folder that cannot be trusted or read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot read `{}`", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not what it should be.
    #[error("`{}` is not a {expected}", path.display())]
    Kind {
        /// The path.
        path: PathBuf,
        /// `regular file` or `folder`.
        expected: &'static str,
    },
    /// Others could have written it.
    #[error("`{}` can be written by others (mode {mode:04o})", path.display())]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Somebody else owns it.
    #[error("`{}` belongs to the user {owner}, not to root or the user {user} who reads it", path.display())]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Its owner's number.
        owner: u32,
        /// Our user's number.
        user: u32,
    },
    /// Longer than [`MAX_BYTES`].
    #[error("`{}` is larger than 256 KiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not UTF-8.
    #[error("`{}` is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// Reads a text file that only we or root can have written.
///
/// A symbolic link is followed; then the folder that the file really lies in
/// is held to the same rule as the folder that names it.
///
/// # Errors
/// [`FileError`] names the file or folder and what is wrong with it.
pub fn read(path: &Path) -> Result<String, FileError> {
    open_folder(parent(path))?;
    let real = std::fs::canonicalize(path).map_err(|source| io(path, source))?;
    let folder = open_folder(parent(&real))?;
    let name = real.file_name().ok_or_else(|| kind(path, "regular file"))?;
    // NOFOLLOW: the name is real already, so a link here was put there just
    // now. NONBLOCK: a named pipe must not hold us up.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = rustix::fs::openat(&folder, name, flags, Mode::empty())
        .map_err(|error| io(path, error.into()))?;
    let file = File::from(file);
    trust(&file, path, "regular file")?;
    read_text(&file, path)
}

/// Lists a folder that only we or root can have written, sorted by name.
///
/// # Errors
/// As [`read`].
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    open_folder(folder)?;
    let mut paths = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(|source| io(folder, source))?;
    paths.sort();
    Ok(paths)
}

fn open_folder(path: &Path) -> Result<File, FileError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let folder = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| {
        if error == rustix::io::Errno::NOTDIR {
            kind(path, "folder")
        } else {
            io(path, error.into())
        }
    })?;
    let folder = File::from(folder);
    trust(&folder, path, "folder")?;
    Ok(folder)
}

fn trust(file: &File, path: &Path, expected: &'static str) -> Result<(), FileError> {
    let facts = file.metadata().map_err(|source| io(path, source))?;
    if facts.is_dir() != (expected == "folder") || !(facts.is_dir() || facts.is_file()) {
        return Err(kind(path, expected));
    }
    let user = rustix::process::geteuid().as_raw();
    if facts.uid() != 0 && facts.uid() != user {
        return Err(FileError::Owner {
            path: path.to_owned(),
            owner: facts.uid(),
            user,
        });
    }
    if facts.mode() & 0o022 != 0 {
        return Err(FileError::Writable {
            path: path.to_owned(),
            mode: facts.mode() & 0o7777,
        });
    }
    Ok(())
}

fn read_text(file: &File, path: &Path) -> Result<String, FileError> {
    let mut bytes = Vec::new();
    // One byte more than allowed tells a file that is too large.
    let limit = u64::try_from(MAX_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|source| io(path, source))?;
    if bytes.len() > MAX_BYTES {
        return Err(FileError::TooLarge {
            path: path.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|_| FileError::NotText {
        path: path.to_owned(),
    })
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn io(path: &Path, source: std::io::Error) -> FileError {
    FileError::Io {
        path: path.to_owned(),
        source,
    }
}

fn kind(path: &Path, expected: &'static str) -> FileError {
    FileError::Kind {
        path: path.to_owned(),
        expected,
    }
}

impl Diagnostic for FileError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Writable { path, .. } => Some(format!(
                "whoever can write it decides about credentials; review it, then run `chmod go-w {}`",
                path.display()
            )),
            Self::Owner { path, .. } => Some(format!(
                "review it, then run `chown root {}`",
                path.display()
            )),
            Self::Io { .. } | Self::Kind { .. } | Self::TooLarge { .. } | Self::NotText { .. } => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        chmod(folder.path(), 0o755);
        folder
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn file(folder: &Path, mode: u32) -> PathBuf {
        let path = folder.join("a.toml");
        fs::write(&path, "text").unwrap();
        chmod(&path, mode);
        path
    }

    #[test]
    fn reads_what_only_we_can_write() {
        let folder = folder();
        assert_eq!(read(&file(folder.path(), 0o644)).unwrap(), "text");
        assert_eq!(read(&file(folder.path(), 0o400)).unwrap(), "text");
    }

    #[test]
    fn refuses_a_file_that_group_or_others_can_write() {
        let folder = folder();
        for mode in [0o664, 0o646, 0o622] {
            let error = read(&file(folder.path(), mode)).unwrap_err();
            assert!(
                matches!(error, FileError::Writable { mode: found, .. } if found == mode),
                "{error:?}"
            );
            assert!(error.hint().unwrap().contains("chmod go-w "));
        }
    }

    #[test]
    fn refuses_a_file_in_a_folder_that_others_can_write() {
        let folder = folder();
        let path = file(folder.path(), 0o644);
        for mode in [0o775, 0o1777] {
            chmod(folder.path(), mode);
            let error = read(&path).unwrap_err();
            assert!(
                matches!(&error, FileError::Writable { path, .. } if path == folder.path()),
                "{error:?}"
            );
            assert!(list(folder.path()).is_err());
        }
        chmod(folder.path(), 0o755);
        assert_eq!(list(folder.path()).unwrap(), [path]);
    }

    #[test]
    fn a_link_is_judged_by_what_it_leads_to() {
        let trusted = folder();
        let other = folder();
        let target = file(other.path(), 0o644);
        let link = trusted.path().join("link.toml");
        symlink(&target, &link).unwrap();
        assert_eq!(read(&link).unwrap(), "text");

        chmod(&target, 0o666);
        assert!(matches!(read(&link), Err(FileError::Writable { .. })));
        chmod(&target, 0o644);
        chmod(other.path(), 0o777);
        assert!(matches!(read(&link), Err(FileError::Writable { .. })));
    }

    #[test]
    fn refuses_another_users_file() {
        let folder = folder();
        let path = file(folder.path(), 0o644);
        // Only root can give a file away; for everybody else a file of
        // somebody other than root is not to be had.
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
            let error = read(&path).unwrap_err();
            assert!(matches!(error, FileError::Owner { owner: 65_534, .. }));
        }
    }

    #[test]
    fn refuses_what_is_no_ordinary_text_file() {
        let folder = folder();
        let path = folder.path().join("a.toml");
        assert!(matches!(read(&path), Err(FileError::Io { .. })));

        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::from_raw_mode(0o644)).unwrap();
        assert!(matches!(read(&path), Err(FileError::Kind { .. })));
        fs::remove_file(&path).unwrap();

        fs::create_dir(&path).unwrap();
        assert!(matches!(read(&path), Err(FileError::Kind { .. })));
        fs::remove_dir(&path).unwrap();

        fs::write(&path, [b'a', 0xff]).unwrap();
        chmod(&path, 0o644);
        assert!(matches!(read(&path), Err(FileError::NotText { .. })));

        fs::write(&path, vec![b'a'; MAX_BYTES]).unwrap();
        assert_eq!(read(&path).unwrap().len(), MAX_BYTES);
        fs::write(&path, vec![b'a'; MAX_BYTES + 1]).unwrap();
        assert!(matches!(read(&path), Err(FileError::TooLarge { .. })));
    }
}
