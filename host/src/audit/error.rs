//! Why the audit cannot be written or read.

use std::path::PathBuf;

use crate::diagnostic::{Blame, Diagnostic, Exit};

/// The audit cannot be opened, written or read. A call whose intent cannot be
/// written is refused.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file or its folder failed.
    #[error("cannot write the audit `{path}`")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An earlier write failed; a chain is not continued after a torn line.
    #[error("the audit `{path}` is closed: an earlier line could not be written")]
    Closed {
        /// The file.
        path: PathBuf,
    },
    /// A fact does not fit into a line.
    #[error("a fact of {len} bytes does not fit into the audit")]
    TooLong {
        /// Length of the line in bytes.
        len: usize,
    },
    /// A fact cannot be written as JSON.
    #[error("a fact cannot be written as a line of the audit")]
    NotJson,
    /// Somebody else could put files into the folder or take them out.
    #[error("the audit folder `{path}` can be written by others")]
    Unsafe {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder cannot be read.
    #[error("cannot read the audit `{path}`")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder without chains.
    #[error("no audit files in `{path}`")]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// What was given as a head is none.
    #[error("not a head hash: expected 64 lower-case hex digits, with or without `sha256:`")]
    InvalidHead,
}

impl Diagnostic for AuditError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        match self {
            Self::TooLong { .. } | Self::NotJson => Blame::Host,
            _ => Blame::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => Some("check the folder's owner, mode and free space".to_owned()),
            Self::Closed { .. } => Some(
                "cure what stopped the writing (a full disk?); a new chain begins then".to_owned(),
            ),
            Self::Unsafe { path } => Some(format!("chmod go-w {}", path.display())),
            Self::Empty { .. } => Some("name the folder with `--folder`".to_owned()),
            Self::InvalidHead => Some("take `audit.head` from a run's report".to_owned()),
            Self::TooLong { .. } | Self::NotJson | Self::Read { .. } => None,
        }
    }
}
