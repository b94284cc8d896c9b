//! What can be wrong with a manifest, a task file, or a component that is
//! asked to describe itself.

use std::path::PathBuf;

use super::{FORMAT, MAX_SECTION, SECTION};
use crate::diagnostic::{Blame, Diagnostic, Exit};

/// A component whose manifest cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// A core module, or no WebAssembly at all.
    #[error("not a WebAssembly component")]
    NotAComponent,
    /// The binary is malformed.
    #[error("not a well-formed WebAssembly component")]
    Malformed(#[from] wasmparser::BinaryReaderError),
    /// The binary ends in the middle of a section.
    #[error("the component is cut short")]
    Cut,
    /// Two sections: which one a reader takes would be open.
    #[error("the component holds more than one `{SECTION}` section")]
    Twice,
    /// Its size in bytes.
    #[error("the manifest has {0} bytes, more than {MAX_SECTION}")]
    TooLarge(usize),
    /// A format of another version of Cofferdam.
    #[error("manifest format {0} is not known; this version knows {FORMAT}")]
    Format(u32),
    /// Not the JSON that the format demands.
    #[error("the manifest is not valid")]
    Invalid(#[source] serde_json::Error),
}

impl Diagnostic for ManifestError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Task
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::NotAComponent => {
                "a task is a component: build it with `cofferdam build`, or turn a core module into one"
            }
            Self::Malformed(_) | Self::Cut => "build the component again",
            Self::Twice | Self::Invalid(_) => {
                "build the component again with `cofferdam build`, which replaces the manifest"
            }
            Self::TooLarge(_) => "make the schemas of the task's input and output smaller",
            Self::Format(_) => "use the version of Cofferdam that built the component",
        };
        Some(cure.to_owned())
    }
}

/// A `task.toml` that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TaskFileError {
    /// It cannot be read.
    #[error("cannot read {}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what a task file may be; the message names line and field.
    #[error("{}:{line}: {message}", file.display())]
    Invalid {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

impl Diagnostic for TaskFileError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Task
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => {
                "a task needs a `task.toml` with `name = \"…\"` and a table `[needs]`".to_owned()
            }
            Self::Invalid { .. } => {
                "a `task.toml` has `name`, `version`, `description` and `[needs]` with lines such as \
                 `billing = \"http\"` (http, keys or reveal)"
                    .to_owned()
            }
        })
    }
}

/// A component that cannot be loaded or asked what it is.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It does not compile.
    #[error("the component cannot be loaded")]
    Unloadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It lacks the one function that makes it a task.
    #[error("the component does not export the function `run` of `cofferdam:task`")]
    NotATask,
    /// An interface of the capabilities' package that there is not; the import's name.
    #[error("the component imports `{0}`, which this version of Cofferdam does not offer")]
    UnknownCapability(String),
    /// `describe` trapped, ran too long or used a capability.
    #[error("the component's `describe` did not end well")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// `describe` returned something else than two schemas.
    #[error("the component's `describe` did not return two JSON schemas")]
    Answer(#[source] serde_json::Error),
}

impl Diagnostic for InspectError {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Task
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::Unloadable(_) => "build the component again",
            Self::NotATask => {
                "mark one function with `#[cofferdam_guest::task]`, or export the world `task` of wit/task"
            }
            Self::UnknownCapability(_) => "build it against the `wit/` of this version",
            Self::Failed(_) | Self::Answer(_) => {
                "`describe` is called with no capability, 256 MiB of memory and bounded time; \
                 `#[cofferdam_guest::task]` makes one that fits"
            }
        };
        Some(cure.to_owned())
    }
}
