//! Why the configuration cannot be used.

use std::path::PathBuf;

use super::guarded::FileError;
use super::strict::DocumentError;
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// A `cofferdam.toml` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is none.
    #[error("there is no configuration `{}`", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It cannot be read or trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its text is wrong.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

impl Diagnostic for ConfigError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Operator
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some(
                "name it with `--config FILE`, or create one: an empty file takes every default; \
                 docs/GRANTS.md describes the fields"
                    .to_owned(),
            ),
            Self::File(error) => error.hint(),
            Self::Document(error) => error.hint(),
        }
    }
}
