//! Why the audit cannot be written.

use std::path::PathBuf;

use crate::diagnostic::{Blame, Diagnostic, Exit};

/// The audit cannot be opened or written. A call whose intent cannot be
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
}

impl Diagnostic for AuditError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }
}
