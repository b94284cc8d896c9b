//! What `check` found, for people and for machines.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use super::finding::Finding;
use crate::diagnostic::Exit;
use crate::grants::GrantsFile;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The configuration.
    pub(super) config: PathBuf,
    /// One entry a grants file.
    pub(super) tasks: Vec<TaskReport>,
}

/// One grants file.
#[derive(Debug, Serialize)]
pub(super) struct TaskReport {
    file: PathBuf,
    findings: Vec<Finding>,
}

impl TaskReport {
    pub(super) fn new(file: &GrantsFile, findings: Vec<Finding>) -> Self {
        Self {
            file: file.path.clone(),
            findings,
        }
    }
}

impl Report {
    /// 0 when nothing was found, 1 otherwise.
    pub(super) fn exit(&self) -> Exit {
        if self.tasks.iter().all(|task| task.findings.is_empty()) {
            Exit::Done
        } else {
            Exit::Failed
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tasks.is_empty() {
            return write!(f, "{}: ok, no grants", self.config.display());
        }
        for (index, task) in self.tasks.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{task}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TaskReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match self.findings.len() {
            0 => return write!(f, "{file}: ok"),
            1 => write!(f, "{file}: 1 finding")?,
            many => write!(f, "{file}: {many} findings")?,
        }
        self.findings
            .iter()
            .try_for_each(|finding| write!(f, "\n  - {finding}"))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        if let Some(field) = &self.field {
            write!(f, ": `{field}`")?;
        }
        write!(f, ": {}", self.problem)?;
        let more = [("old", &self.old), ("new", &self.new), ("hint", &self.hint)];
        for (label, text) in more {
            if let Some(text) = text {
                write!(f, "\n    {label}: {text}")?;
            }
        }
        Ok(())
    }
}
