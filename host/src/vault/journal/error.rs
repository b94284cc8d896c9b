//! Why the journal cannot be kept.

use std::io;
use std::path::{Path, PathBuf};

/// Why the journal cannot be kept. Without it nothing is minted.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The folder is not this user's alone.
    #[error("the journal folder {} is not safe: {rule}", path.display())]
    UnsafeFolder {
        /// The folder, or the one above it.
        path: PathBuf,
        /// What is wrong.
        rule: &'static str,
    },
    /// The file system refuses.
    #[error("the journal at {} cannot be {doing}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// `created`, `written`, …
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl JournalError {
    pub(super) fn io(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            path,
            doing,
            source,
        }
    }

    /// What the operator does about it.
    pub(in crate::vault) fn cure(&self) -> &'static str {
        match self {
            Self::UnsafeFolder { .. } => {
                "give the state folder to the user that runs cofferdam, mode 0700, and run every command as that user"
            }
            Self::Io { .. } => "the state folder needs a local, writable file system with room",
        }
    }
}
