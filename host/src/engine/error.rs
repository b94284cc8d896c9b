//! Why a component cannot be loaded.

use std::path::PathBuf;

use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::digest::Digest;
use crate::grants::Uncovered;

/// A component, or the engine, that cannot be used. All of these are found
/// before any authority is minted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// wasmtime refuses the settings or the machine.
    #[error("the engine cannot start")]
    Engine(#[source] wasmtime::Error),
    /// The file cannot be read.
    #[error("cannot read the component `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is larger than any component should be.
    #[error("the component `{path}` is larger than {limit} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The bytes are not those that security pinned.
    #[error(
        "the component `{path}` is not the one that the grants file pins: expected {expected}, found {found}"
    )]
    Digest {
        /// The file.
        path: PathBuf,
        /// The pinned digest.
        expected: Digest,
        /// The digest of the file.
        found: Digest,
    },
    /// A core module where a component is needed.
    #[error("`{path}` is a core WebAssembly module, not a component")]
    CoreModule {
        /// The file.
        path: PathBuf,
    },
    /// No WebAssembly at all.
    #[error("`{path}` is not a WebAssembly file")]
    NotWasm {
        /// The file.
        path: PathBuf,
    },
    /// Malformed.
    #[error("the component `{path}` is malformed")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What the compiler said of it.
        source: wasmtime::Error,
    },
    /// It does not export `run`, or imports what no host offers.
    #[error("the component `{path}` does not fit the world `cofferdam:task/task`")]
    World {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: wasmtime::Error,
    },
    /// It imports what its grants, or this host, do not give.
    #[error("the component `{path}` cannot start")]
    Uncovered {
        /// The file.
        path: PathBuf,
        /// The import.
        #[source]
        uncovered: Uncovered,
    },
    /// The grants allow more than the engine's pool holds.
    #[error("`limits.{field}` of the grants is {wanted}, but the engine holds at most {available}")]
    Pool {
        /// The field of the grants file.
        field: &'static str,
        /// What the grants allow.
        wanted: usize,
        /// What the pool holds.
        available: usize,
    },
    /// The system does not give what its instances share: memory, or a file
    /// descriptor.
    #[error("the memory of the component `{path}` cannot be prepared")]
    Image {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: wasmtime::Error,
    },
    /// The code cache's folder cannot be trusted or used.
    #[error("`{path}`, which the code cache needs, cannot be used: {reason}")]
    Cache {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Diagnostic for LoadError {
    fn exit(&self) -> Exit {
        match self {
            Self::Uncovered { .. } | Self::Digest { .. } => Exit::Denied,
            // The system's, and passing.
            Self::Image { .. } => Exit::Unavailable,
            _ => Exit::Usage,
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Self::Engine(_) => Blame::Host,
            Self::Cache { .. } | Self::Image { .. } | Self::Pool { .. } | Self::Read { .. } => {
                Blame::Operator
            }
            _ => Blame::Task,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Digest { found, .. } => format!(
                "if security has reviewed the new bytes, put this line into the grants file: digest = \"{found}\""
            ),
            Self::NotWasm { .. } | Self::Malformed { .. } => "`component` names what `cofferdam build` makes: build it again".to_owned(),
            Self::CoreModule { .. } => "build it with `cofferdam build`, or for the target wasm32-wasip2".to_owned(),
            Self::World { .. } => {
                "build it against the WIT in wit/ with the guest SDK; it must export `run`".to_owned()
            }
            Self::Uncovered { uncovered, .. } => return uncovered.hint(),
            Self::Pool { .. } => {
                "lower the limit, or enlarge [engine] in cofferdam.toml".to_owned()
            }
            Self::Read { .. } => "the path is relative to the folder of cofferdam.toml; `cofferdam build` makes the file".to_owned(),
            Self::Image { .. } => {
                "raise the limit of open files (`LimitNOFILE=`), or free memory".to_owned()
            }
            Self::Cache { .. } => {
                "it must belong to the host's user and be closed to all others: `chmod go-rwx` it".to_owned()
            }
            _ => return None,
        })
    }
}
