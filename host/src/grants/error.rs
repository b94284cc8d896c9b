//! What is wrong with a grants file.

use std::path::PathBuf;

use crate::config::guarded::FileError;
use crate::config::strict::DocumentError;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::name::TaskName;

/// A grants file that cannot be used; names the file, the place and the cure.
#[derive(Debug, thiserror::Error)]
pub enum GrantsError {
    /// There is none for this task.
    #[error("there are no grants for the task `{task}`: `{}` is missing", path.display())]
    Missing {
        /// The task.
        task: TaskName,
        /// Where they were looked for.
        path: PathBuf,
    },
    /// It cannot be read or trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its text is wrong.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Diagnostic for GrantsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some(
                "a task runs only with a grants file of its name; docs/GRANTS.md shows one"
                    .to_owned(),
            ),
            Self::File(error) => error.hint(),
            Self::Document(error) => error.hint(),
        }
    }
}
