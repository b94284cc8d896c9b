//! What is wrong with a grants file.

use std::path::PathBuf;

use crate::diagnostic::{Blame, Diagnostic, Exit};

/// A grants file that cannot be used; names the file, the place and the cure.
#[derive(Debug, thiserror::Error)]
pub enum GrantsError {
    /// It cannot be read.
    #[error("cannot read the grants file `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Diagnostic for GrantsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }
}
