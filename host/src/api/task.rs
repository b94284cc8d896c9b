//! Tasks, as a caller may know them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// The tasks that the caller may run.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskList {
    /// Sorted by name.
    pub tasks: Vec<TaskView>,
}
