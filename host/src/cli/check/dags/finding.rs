//! One thing that is wrong with a DAG, or with grants that no DAG uses.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::strict::one_line;

/// One thing that is wrong, unused or not known. No value of a DAG's input is in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Finding {
    /// The file to change or to look at.
    pub(super) file: PathBuf,
    /// Counted from 1; absent when it is about the file as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<usize>,
    pub(super) severity: Severity,
    /// A fixed word for machines.
    pub(super) code: Code,
    /// The dag_id, where it is known and matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dag: Option<String>,
    /// The task, where it is known and matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) task: Option<String>,
    /// What is wrong, on one line.
    pub(super) problem: String,
    /// The cure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(super) enum Severity {
    /// A run will fail; the exit code is 1.
    Error,
    /// Something is left over.
    Warning,
    /// Nothing is known to be wrong, but not everything is known.
    Note,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub(super) enum Code {
    /// A DAG file cannot be read or is not Python.
    FileUnread,
    /// No `task` is named.
    TaskMissing,
    /// There is no grants file for it.
    TaskUnknown,
    /// Its grants file cannot be used.
    GrantsUnusable,
    /// The grants do not let this dag_id run it.
    DagNotGranted,
    /// The grants demand an attested identity, and a DAG's own word is none.
    IdentityClaimed,
    /// A field that the task does not take.
    InputUnknown,
    /// A field that the task needs.
    InputMissing,
    /// A value of another type than the task takes.
    InputType,
    /// A value that the task does not take.
    InputValue,
    /// A call without an argument that the function needs.
    ArgumentMissing,
    /// A call with an argument that the function does not have.
    ArgumentUnknown,
    /// A decorated function that is more than a signature.
    NotASignature,
    /// No limit that a DAG can set, or not of its form.
    LimitInvalid,
    /// A limit over what the grants allow.
    LimitWider,
    /// A task that no DAG asks for.
    TaskUnused,
    /// A dag_id in the grants that does not ask for the task.
    DagUnused,
    /// The source does not tell.
    NotKnown,
}

impl Finding {
    /// A finding about a file or a line of it.
    pub(super) fn new(
        severity: Severity,
        code: Code,
        file: &Path,
        line: Option<usize>,
        problem: impl fmt::Display,
    ) -> Self {
        Self {
            file: file.to_owned(),
            line,
            severity,
            code,
            dag: None,
            task: None,
            // Names and messages come from files that anybody may have written.
            problem: one_line(problem),
            hint: None,
        }
    }

    /// With its cure.
    pub(super) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(one_line(hint));
        self
    }

    /// With the task and the dag_id that it is about.
    pub(super) fn of(mut self, task: Option<&str>, dag: Option<&str>) -> Self {
        self.task = task.map(one_line);
        self.dag = dag.map(one_line);
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", one_line(self.file.display()))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}: {} [{}]", self.severity, self.problem, self.code)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n    hint: {hint}")?;
        }
        Ok(())
    }
}
