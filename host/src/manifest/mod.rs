//! What a component says about itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::name::{GrantName, TaskName};

mod imports;

pub use imports::{NotAComponent, Shape, shape};

/// The kind of a grant; also the name of the WIT interface that serves it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumIter,
    strum::EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum NeedKind {
    /// `[http.NAME]`.
    Http,
    /// `[keys.NAME]`.
    Keys,
    /// `[reveal.NAME]`.
    Reveal,
}

/// What a task says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The task's name, as in its grants file.
    pub name: TaskName,
    /// The grants that the task opens by name.
    pub needs: BTreeMap<GrantName, NeedKind>,
}

/// A manifest that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
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
}

impl Manifest {
    /// The manifest of a component; none when it has none.
    pub fn read(component: &[u8]) -> Result<Option<Self>, ManifestError> {
        for payload in wasmparser::Parser::new(0).parse_all(component).flatten() {
            if let wasmparser::Payload::CustomSection(section) = payload
                && section.name() == "cofferdam:task"
            {
                return serde_json::from_slice(section.data())
                    .map(Some)
                    .map_err(ManifestError::Invalid);
            }
        }
        Ok(None)
    }
}
