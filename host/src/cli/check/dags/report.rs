//! What was found in a DAG folder, for people and for machines.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::finding::{Finding, Severity};
use crate::config::strict::one_line;
use crate::diagnostic::Exit;

/// All of it.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The configuration.
    pub(super) config: PathBuf,
    /// The folder.
    pub(super) folder: PathBuf,
    /// How many files were read.
    pub(super) files: usize,
    /// How many tasks they were held against.
    pub(super) tasks: usize,
    /// What each DAG asks for.
    pub(super) dags: Vec<DagReport>,
    /// By file and line.
    pub(super) findings: Vec<Finding>,
    /// How many of which severity.
    pub(super) counts: Counts,
}

/// One DAG.
#[derive(Debug, Serialize)]
pub(super) struct DagReport {
    /// Its dag_id; null when the source does not tell.
    dag: Option<String>,
    file: PathBuf,
    /// Null for what is asked for without a DAG that the source tells.
    line: Option<usize>,
    /// What it asks for.
    pub(super) tasks: Vec<Asked>,
}

/// A task that is asked for.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Asked {
    /// Null when the source does not tell.
    pub(super) task: Option<String>,
    pub(super) line: usize,
}

/// How many findings there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    errors: usize,
    warnings: usize,
    notes: usize,
}

impl DagReport {
    pub(super) fn new(dag: Option<String>, file: &Path, line: Option<usize>) -> Self {
        Self {
            dag,
            file: file.to_owned(),
            line,
            tasks: Vec::new(),
        }
    }

    /// Whether it is the DAG of this line.
    pub(super) fn is_at(&self, file: &Path, line: Option<usize>) -> bool {
        self.file == file && self.line == line
    }
}

impl Counts {
    pub(super) fn of(findings: &[Finding]) -> Self {
        let count = |severity| {
            let of_it = findings.iter().filter(|it| it.severity == severity);
            of_it.count()
        };
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
        }
    }
}

impl Report {
    /// 0 without an error, 1 otherwise. Warnings and notes are none.
    pub(super) fn exit(&self) -> Exit {
        match self.counts.errors {
            0 => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for dag in self.dags.iter().filter(|dag| !dag.tasks.is_empty()) {
            writeln!(f, "{dag}")?;
        }
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let Counts {
            errors,
            warnings,
            notes,
        } = self.counts;
        write!(
            f,
            "{}, {} against {}: {}, {}, {}",
            many(self.files, "file"),
            many(
                self.dags.iter().filter(|dag| dag.line.is_some()).count(),
                "DAG"
            ),
            many(self.tasks, "task"),
            many(errors, "error"),
            many(warnings, "warning"),
            many(notes, "note"),
        )
    }
}

impl fmt::Display for DagReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", one_line(self.file.display()))?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.dag {
            Some(dag) => write!(f, ": DAG `{}`", one_line(dag))?,
            None => write!(f, ": a DAG that the source does not name")?,
        }
        let mut word = " asks for";
        for Asked { task, line } in &self.tasks {
            match task {
                Some(task) => write!(f, "{word} `{task}` (line {line})")?,
                None => write!(
                    f,
                    "{word} a task that the source does not name (line {line})"
                )?,
            }
            word = ",";
        }
        Ok(())
    }
}

fn many(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}
