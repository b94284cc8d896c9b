//! `cofferdam check`: whether configuration, grants and components fit each
//! other, before anything runs and without contacting Vault.

mod component;
mod dags;
mod finding;
mod report;
mod task;

use std::path::PathBuf;

use super::{Failure, Format, Globals, Output};
use crate::config::HostConfig;
use crate::diagnostic::Exit;
use crate::grants::{self, GrantsFile};
use crate::name::TaskName;
use dags::Dags;
use report::{Report, TaskReport};

/// Checks configuration, grants files and components against each other.
///
/// With `--dags` it holds Airflow's DAG files against the grants instead, without
/// running any of them.
///
/// Exit code: 0 when all is well, 1 with findings (of a DAG folder: with errors;
/// warnings and notes are none), 2 when the configuration, the grants folder, the DAG
/// folder or Python cannot be used.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// The tasks to check; all of the grants folder when none is named.
    #[arg(value_name = "TASK")]
    tasks: Vec<TaskName>,
    /// Check what the DAG files of this folder ask for.
    #[arg(long, value_name = "FOLDER")]
    dags: Option<PathBuf>,
    /// The Python, 3.8 or later, that reads the syntax of DAG files.
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "python3",
        requires = "dags"
    )]
    python: PathBuf,
}

/// Executes the command.
pub(super) async fn execute(
    args: CheckArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    let config = HostConfig::load(&globals.config)?;
    if let Some(folder) = args.dags {
        let dags = Dags {
            folder,
            python: args.python,
            only: args.tasks,
        };
        return dags.execute(config, globals.config.clone(), output).await;
    }
    let files = grants_files(&config, args.tasks)?;
    let report = Report {
        config: globals.config.clone(),
        tasks: files
            .into_iter()
            .map(|file| TaskReport::new(&file, task::check(&config, &file)))
            .collect(),
    };
    match output.format() {
        Format::Json => output.json(&report),
        Format::Text => output.data(&report),
    }
    Ok(report.exit())
}

fn grants_files(config: &HostConfig, tasks: Vec<TaskName>) -> Result<Vec<GrantsFile>, Failure> {
    if tasks.is_empty() {
        return Ok(grants::load_all(&config.grants)?);
    }
    let named = |task: TaskName| GrantsFile {
        path: PathBuf::from(&config.grants).join(format!("{task}.toml")),
        grants: grants::load(&config.grants, &task),
    };
    Ok(tasks.into_iter().map(named).collect())
}

#[cfg(test)]
mod tests;
