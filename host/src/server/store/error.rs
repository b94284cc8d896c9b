//! Why the kept runs cannot be used.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use crate::audit::AuditError;
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// A failure of the results' file. Cheap to clone: all who shared a commit
/// share its failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be read or written.
    #[error("the kept results `{}` cannot be used", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite or the system says.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// Another process has it open.
    #[error("another `cofferdam serve` has `{}` open", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// Another version wrote it.
    #[error("`{}` is of another version (its form is {form})", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What it says of itself.
        form: u32,
    },
    /// The thread that writes cannot be started.
    #[error("the thread that keeps results cannot be started")]
    Thread(#[source] Arc<io::Error>),
    /// What stands there is not ours.
    #[error("run {run} is kept in a form that is not ours")]
    Unreadable {
        /// The run.
        run: Uuid,
    },
    /// The service is ending, or the file could not be opened again yet.
    #[error("the kept results are closed")]
    Stopped,
}

/// Why the end of a run is not kept.
#[derive(Debug, Clone, thiserror::Error)]
pub(in crate::server) enum Unkept {
    /// Its audit did not get to the disk; the store was not asked.
    #[error("the audit is not on the disk")]
    Audit(#[source] Arc<AuditError>),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
}

impl StoreError {
    pub(super) fn database(path: &Path, error: rusqlite::Error) -> Self {
        Self::Database {
            path: path.to_owned(),
            source: Arc::new(error),
        }
    }

    pub(super) fn file(path: &Path, error: io::Error) -> Self {
        Self::Database {
            path: path.to_owned(),
            source: Arc::new(error),
        }
    }
}

impl Diagnostic for StoreError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Database { path, .. } => Some(format!(
                "make room on the disk; if the file is damaged, move `{}` away: results of earlier \
                 runs and their idempotency keys are forgotten then, the audit still has every run",
                path.display()
            )),
            Self::Form { path, .. } => Some(format!(
                "start the version that wrote it, or stop the service and move `{}` and what stands \
                 beside it (`-wal`, `-shm`) away: results of earlier runs and their idempotency keys \
                 are forgotten then, the audit still has every run",
                path.display()
            )),
            Self::Busy { .. } => {
                Some("one state folder serves one service; give this one its own".to_owned())
            }
            _ => None,
        }
    }
}
