//! Why DAG files cannot be judged.

use std::path::PathBuf;

use super::folder::MAX_FILES;
use super::python::{MAX_FACTS, TIME};
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// Why DAG files cannot be judged.
#[derive(Debug, thiserror::Error)]
pub(super) enum DagsError {
    /// The folder cannot be read.
    #[error("cannot read the folder `{}`", folder.display())]
    Folder {
        folder: PathBuf,
        source: std::io::Error,
    },
    /// A folder that holds more than DAGs.
    #[error("the folder holds more than {MAX_FILES} Python files")]
    TooManyFiles,
    /// There is no Python.
    #[error("cannot start `{}`, which reads the syntax of DAG files", program.display())]
    NoPython {
        program: PathBuf,
        source: std::io::Error,
    },
    /// It did not do what it was asked for.
    #[error("`{}` did not read the DAG files: {why}", program.display())]
    Python { program: PathBuf, why: String },
    /// Files that take too long.
    #[error("the DAG files took longer than {} s to read", TIME.as_secs())]
    Slow,
    /// Files that say too much.
    #[error("what the DAG files say of tasks is more than {} MiB", MAX_FACTS >> 20)]
    TooMuch,
    /// The process is ending, or the check panicked.
    #[error("the check was interrupted")]
    Interrupted,
}

impl Diagnostic for DagsError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Interrupted => Blame::Host,
            _ => Blame::Operator,
        }
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::Folder { .. } => "name Airflow's DAG folder: `cofferdam check --dags FOLDER`",
            Self::NoPython { .. } => {
                "install Python 3.8 or later, or name it with `--python PROGRAM`"
            }
            Self::Python { .. } => "name a Python of version 3.8 or later with `--python PROGRAM`",
            Self::TooManyFiles | Self::Slow | Self::TooMuch => {
                "name what is no DAG in `.airflowignore`, or check the folder in parts"
            }
            Self::Interrupted => return None,
        };
        Some(cure.to_owned())
    }
}
