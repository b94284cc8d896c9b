//! Tasks, as a caller may know them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::grants::Grants;
use crate::manifest::Manifest;
use crate::name::TaskName;

/// A task that the caller may run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// Its name.
    pub name: String,
    /// The digest of its component, `sha256:…`.
    pub digest: String,
    /// The version that its author gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What its author says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The grants that it needs, by name: `http`, `keys`, `reveal` or `sql`.
    pub needs: BTreeMap<String, String>,
    /// The dag_ids that may run it.
    pub dags: Vec<String>,
    /// JSON Schema of its input, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<serde_json::Value>,
    /// JSON Schema of its output, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<serde_json::Value>,
    /// Why it cannot be run now; absent when it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
}

impl TaskView {
    /// What callers may know of a task, from its grants and from what the pinned
    /// component says of itself; either may be missing.
    pub fn of(name: &TaskName, grants: Option<&Grants>, manifest: Option<&Manifest>) -> Self {
        Self {
            name: name.to_string(),
            digest: grants.map_or_else(String::new, |grants| grants.digest.to_string()),
            version: manifest.and_then(|manifest| manifest.version.clone()),
            description: manifest.and_then(|manifest| manifest.description.clone()),
            needs: grants.map_or_else(BTreeMap::new, |grants| {
                let entries = grants.entries();
                entries
                    .map(|(kind, name)| (name.to_string(), kind.to_string()))
                    .collect()
            }),
            dags: grants.map_or_else(Vec::new, |grants| grants.caller.dags.clone()),
            input_schema: manifest.and_then(|manifest| manifest.input_schema.clone()),
            output_schema: manifest.and_then(|manifest| manifest.output_schema.clone()),
            unusable: None,
        }
    }

    /// The same of a task whose `grants`, `component` or the like cannot be used. The
    /// detail names files of the operator's, so it is not told.
    #[must_use]
    pub fn unusable(mut self, part: impl std::fmt::Display) -> Self {
        self.unusable = Some(format!("its {part} cannot be used"));
        self
    }
}

/// The tasks that the caller may run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskList {
    /// Sorted by name.
    pub tasks: Vec<TaskView>,
}
