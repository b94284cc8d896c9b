//! The file that a person's token goes into.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::secret::Secret;

/// A place for a token, made before there is one, so that nobody logs in for
/// nothing. Only its owner can read it (mode 0600); whoever reads the file at
/// the same time sees the old token or the new one, never half of one.
#[derive(Debug)]
pub struct TokenSlot {
    path: PathBuf,
    file: NamedTempFile,
}

/// The token file cannot be written or removed.
#[derive(Debug, thiserror::Error)]
#[error("the token file {} cannot be written", path.display())]
pub struct TokenSlotError {
    path: PathBuf,
    source: io::Error,
}

impl TokenSlotError {
    pub(super) fn new(path: &Path, source: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            source,
        }
    }
}

impl TokenSlot {
    /// Prepares a file beside `path`.
    ///
    /// # Errors
    /// A folder that is not there, or not ours to write to.
    pub fn prepare(path: &Path) -> Result<Self, TokenSlotError> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let faulty = |source| TokenSlotError::new(path, source);
        if path.file_name().is_none() || path.is_dir() {
            return Err(faulty(io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self {
            path: path.to_owned(),
            file: tempfile::Builder::new()
                .prefix(".cofferdam-token-")
                .tempfile_in(folder)
                .map_err(faulty)?,
        })
    }

    /// Writes the token and takes the place of what was there.
    pub(super) fn write(mut self, token: &Secret) -> Result<(), TokenSlotError> {
        let faulty = |source| TokenSlotError::new(&self.path, source);
        self.file.write_all(token.expose()).map_err(faulty)?;
        self.file.write_all(b"\n").map_err(faulty)?;
        self.file.as_file().sync_all().map_err(faulty)?;
        let path = self.path.clone();
        match self.file.persist(&path) {
            Ok(_) => Ok(()),
            Err(error) => Err(TokenSlotError::new(&path, error.error)),
        }
    }
}

impl Diagnostic for TokenSlotError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        Some("name a file in a folder that you may write to".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::secret::{Privacy, read_file};

    #[test]
    fn the_file_is_its_owners_alone_and_replaced_as_a_whole() {
        let folder = tempfile::TempDir::new().expect("folder");
        let path = folder.path().join("token");
        std::fs::write(&path, "open to everybody").expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("set");
        let slot = TokenSlot::prepare(&path).expect("prepared");
        slot.write(&Secret::new("s.0123456789")).expect("written");
        let read = read_file(&path, Privacy::Secret).expect("private");
        assert_eq!(read.expose(), b"s.0123456789");

        // A slot that is not used leaves what was there, and nothing else.
        drop(TokenSlot::prepare(&path).expect("prepared"));
        let left = std::fs::read_dir(folder.path()).expect("folder").count();
        assert_eq!(left, 1);
    }

    #[test]
    fn what_cannot_be_written_is_told_before_anybody_logs_in() {
        let folder = tempfile::TempDir::new().expect("folder");
        for path in [folder.path().to_owned(), folder.path().join("none/token")] {
            let error = TokenSlot::prepare(&path).expect_err("refused");
            assert!(error.to_string().contains("token file"), "{error}");
        }
    }
}
