//! `cofferdam check --dags`: which DAG asks for which task, and what of it will fail
//! at night. No DAG is imported or executed: `dags.py` tells the facts of their
//! syntax, and what they ask for is held against the grants here.

mod error;
mod facts;
mod finding;
mod folder;
mod judge;
mod limits;
mod python;
mod report;
mod schema;
mod tasks;

use std::path::{Path, PathBuf};

use super::super::{Failure, Format, Output};
use crate::config::HostConfig;
use crate::diagnostic::Exit;
use crate::grants::{self, GrantsFile};
use crate::name::TaskName;
use error::DagsError;
use finding::{Code, Finding, Severity};
use folder::{Folder, Unread};
use judge::Judge;
use report::{Counts, Report};
use tasks::Tasks;

/// What is held against what.
#[derive(Debug)]
pub(super) struct Dags {
    /// Airflow's DAG folder.
    pub(super) folder: PathBuf,
    /// The interpreter.
    pub(super) python: PathBuf,
    /// The tasks that matter; all when there is none.
    pub(super) only: Vec<TaskName>,
}

impl Dags {
    /// Executes the command.
    pub(super) async fn execute(
        self,
        config: HostConfig,
        file: PathBuf,
        output: &Output,
    ) -> Result<Exit, Failure> {
        let files = grants::load_all(&config.grants)?;
        let root = config.root;
        // Files, and a process.
        let judged = tokio::task::spawn_blocking(move || self.judge(&root, files, file));
        let report = match judged.await {
            Ok(report) => report?,
            Err(_) => return Err(DagsError::Interrupted.into()),
        };
        match output.format() {
            Format::Json => output.json(&report),
            Format::Text => output.data(&report),
        }
        Ok(report.exit())
    }

    fn judge(
        &self,
        root: &Path,
        grants: Vec<GrantsFile>,
        config: PathBuf,
    ) -> Result<Report, DagsError> {
        let Folder { files, unread } = Folder::list(&self.folder)?;
        let facts = python::read(&self.python, &files)?;
        let tasks = Tasks::read(root, grants);
        let mut judge = Judge::new(&tasks, &self.only);
        for (path, why) in &unread {
            judge.unread(passed_over(path, why));
        }
        for (file, facts) in files.iter().zip(&facts) {
            judge.file(file, facts);
        }
        let (dags, findings) = judge.finish();
        Ok(Report {
            config,
            folder: self.folder.clone(),
            files: files.len(),
            tasks: match self.only.len() {
                0 => tasks.0.len(),
                some => some,
            },
            dags,
            counts: Counts::of(&findings),
            findings,
        })
    }
}

/// What was not read, so that nothing is known of it.
fn passed_over(path: &Path, why: &Unread) -> Finding {
    let (severity, problem) = match why {
        Unread::TooLarge => (
            Severity::Error,
            "the file is larger than 1 MiB, and is not read".to_owned(),
        ),
        Unread::Refused(why) => (Severity::Error, format!("it cannot be read: {why}")),
        Unread::TooDeep => (
            Severity::Error,
            "folders this deep below each other are not read".to_owned(),
        ),
        Unread::LeavesFolder => (
            Severity::Note,
            "the link leaves the folder, and is not followed".to_owned(),
        ),
    };
    Finding::new(severity, Code::FileUnread, path, None, problem)
        .hint("name it in `.airflowignore` if it is no DAG")
}

#[cfg(test)]
mod tests;
