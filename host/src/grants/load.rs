//! Reads grants files: the one edge of this module that touches the disk.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{Grants, GrantsError};
use crate::config::guarded::{self, FileError};
use crate::digest::Digest;
use crate::manifest::Manifest;
use crate::name::TaskName;

/// Reads and parses the grants of a task from the grants folder. Only the
/// process's user and root may be able to write the file and the folder.
///
/// # Errors
/// [`GrantsError`] names file, line and cure.
pub fn load(folder: &Path, task: &TaskName) -> Result<Grants, GrantsError> {
    let path = folder.join(format!("{task}.toml"));
    load_file(&path).map_err(|error| match error {
        GrantsError::File(FileError::Io {
            path: failed,
            source,
        }) if failed == path && source.kind() == std::io::ErrorKind::NotFound => {
            GrantsError::Missing {
                task: task.clone(),
                path,
            }
        }
        error => error,
    })
}

/// One file of the grants folder.
#[derive(Debug)]
pub struct GrantsFile {
    /// The file.
    pub path: PathBuf,
    /// What it grants, or what is wrong with it.
    pub grants: Result<Grants, GrantsError>,
}

/// Reads every `*.toml` of the grants folder, sorted by name; the rest of the
/// folder (a README, CODEOWNERS) is none of our business.
///
/// # Errors
/// The folder's own; each file's stands beside its path.
pub fn load_all(folder: &Path) -> Result<Vec<GrantsFile>, FileError> {
    let paths = guarded::list(folder)?;
    Ok(paths
        .into_iter()
        .filter(|path| path.extension() == Some(OsStr::new("toml")))
        .map(|path| GrantsFile {
            grants: load_file(&path),
            path,
        })
        .collect())
}

/// What the author says of the component that these grants pin. None when it says
/// nothing, cannot be read, or is not that one any more.
pub fn manifest(root: &Path, grants: &Grants) -> Option<Manifest> {
    let bytes = pinned(root, grants)?;
    Manifest::read(&bytes).ok().flatten()
}

/// The bytes of the component that these grants pin. None when they cannot be read,
/// or are not those any more.
pub fn pinned(root: &Path, grants: &Grants) -> Option<Vec<u8>> {
    let bytes = std::fs::read(root.join(&grants.component)).ok()?;
    (Digest::of(&bytes) == grants.digest).then_some(bytes)
}

fn load_file(path: &Path) -> Result<Grants, GrantsError> {
    let text = guarded::read(path)?;
    Grants::parse(&text, path, Digest::of(text.as_bytes()))
}
