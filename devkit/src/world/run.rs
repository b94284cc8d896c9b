//! One run of the binary.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::Value;

use super::{DAG, World};

/// A run that is being put together.
pub struct Run<'a> {
    world: &'a World,
    task: String,
    input: Value,
    arguments: Vec<String>,
    dag: String,
}

/// How a run ended. `Debug` shows the output, for failing tests.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The exit code; -1 when a signal ended the process.
    pub code: i32,
    /// What it printed to stdout.
    pub stdout: String,
    /// What it printed to stderr.
    pub stderr: String,
}

impl<'a> Run<'a> {
    pub(super) fn new(world: &'a World, task: &str) -> Self {
        Self {
            world,
            task: task.to_owned(),
            input: Value::Object(Default::default()),
            arguments: Vec::new(),
            dag: DAG.to_owned(),
        }
    }

    /// The input.
    #[must_use]
    pub fn input(mut self, input: Value) -> Self {
        self.input = input;
        self
    }

    /// Another dag_id than the one that is admitted.
    #[must_use]
    pub fn dag(mut self, dag: &str) -> Self {
        self.dag = dag.to_owned();
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// The command, with the report as JSON on stdout and both outputs piped.
    pub fn command(self) -> Command {
        let mut command = self
            .world
            .command(&["--format", "json", "run", &self.task, "--dag-id", &self.dag]);
        command
            .arg("--input")
            .arg(self.input.to_string())
            .args(self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs to the end.
    pub fn finish(self) -> Result<Finished> {
        Finished::of(self.command().output().context("cannot start the binary")?)
    }
}

impl Finished {
    /// The output of a process that was started with [`Run::command`].
    pub fn of(output: std::process::Output) -> Result<Self> {
        Ok(Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).context("stdout is not UTF-8")?,
            stderr: String::from_utf8(output.stderr).context("stderr is not UTF-8")?,
        })
    }

    /// The report on stdout.
    pub fn report(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("stdout is no report: {self:?}"))
    }

    /// The task's result.
    pub fn result(&self) -> Result<Value> {
        self.report()?
            .get("result")
            .cloned()
            .with_context(|| format!("no result: {self:?}"))
    }
}
