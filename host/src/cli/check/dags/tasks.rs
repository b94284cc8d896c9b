//! The tasks of the grants folder, as DAGs are held against them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::config::strict;
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::grants::{Grants, GrantsFile};
use crate::manifest::Manifest;

/// Every task, by the name of its grants file.
#[derive(Debug, Default)]
pub(super) struct Tasks(pub(super) BTreeMap<String, Task>);

/// One task.
#[derive(Debug)]
pub(super) struct Task {
    /// The grants file.
    pub(super) file: PathBuf,
    /// What it grants; why not, on one line.
    pub(super) grants: Result<Grants, String>,
    /// The schema of its input; why there is none.
    pub(super) schema: Result<Value, &'static str>,
}

impl Tasks {
    /// Reads the components of these grants for their schemas.
    pub(super) fn read(root: &Path, files: Vec<GrantsFile>) -> Self {
        let task = |file: GrantsFile| {
            let name = file.path.file_stem()?.to_str()?.to_owned();
            let schema = match &file.grants {
                Ok(grants) => schema(root, grants),
                Err(_) => Err("its grants file cannot be used"),
            };
            let grants = file.grants.map_err(|error| match error.hint() {
                Some(hint) => format!("{error}; {hint}"),
                None => error.to_string(),
            });
            let task = Task {
                file: file.path,
                grants,
                schema,
            };
            Some((name, task))
        };
        Self(files.into_iter().filter_map(task).collect())
    }

    /// Their names, for a cure.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.0.keys().take(20).cloned().collect();
        match names.is_empty() {
            true => "there is none".to_owned(),
            false => format!("there is `{}`", names.join("`, `")),
        }
    }
}

impl Task {
    /// Where a field stands in the grants file.
    pub(super) fn line_of(&self, keys: &[&str]) -> Option<usize> {
        let text = std::fs::read_to_string(&self.file).ok()?;
        let before = text.get(..strict::span_of(&text, keys)?.start)?;
        Some(before.matches('\n').count() + 1)
    }
}

fn schema(root: &Path, grants: &Grants) -> Result<Value, &'static str> {
    let Ok(bytes) = std::fs::read(root.join(&grants.component)) else {
        return Err("its component cannot be read");
    };
    if Digest::of(&bytes) != grants.digest {
        return Err("its component is not the one that was reviewed");
    }
    let manifest = Manifest::read(&bytes).ok().flatten();
    manifest
        .and_then(|manifest| manifest.input_schema)
        .ok_or("its component does not say what it takes")
}
