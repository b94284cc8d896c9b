//! `cofferdam run`: one attempt of one task, from the request to the report.

mod print;
mod remote;

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;

use super::output::{Failure, Output};
use super::server::{self, AccessArgs, Server};
use super::{Globals, signals};
use crate::api::Attempt;
use crate::capability::LogSink;
use crate::config::HostConfig;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::engine::Progress;
use crate::grants::RunLimits;
use crate::identity::{Assurance, InvalidIdentity};
use crate::lock::Mutex;
use crate::name::{InvalidName, TaskName};
use crate::run::{Cancellation, Canceller, PreparedTask, RunRequest, Runner};

/// Run one attempt of a task.
///
/// The result goes to stdout, the task's log and everything else to stderr.
/// Exit codes: 0 done, 1 failed, 2 bad usage or files, 3 denied, 4 Vault not
/// available, 5 out of limits, 6 trapped, 7 done but a revocation failed or the
/// audit is not whole, 75 retry asked for, 99 skipped, 130 cancelled. With `--server`
/// 75 also when the run's end is not known, or the service was stopped before it.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The task; its grants are in `<grants>/<TASK>.toml`.
    task: String,
    /// One JSON value, `@FILE`, or `-` for stdin.
    #[arg(long, default_value = "{}")]
    input: String,
    /// Airflow's dag_id; the grants say which may run the task.
    #[arg(long)]
    dag_id: String,
    /// The DAG bundle that the DAG came from.
    #[arg(long, default_value = "", hide_default_value = true)]
    bundle: String,
    /// Airflow's task_id; default: the task's name.
    #[arg(long)]
    task_id: Option<String>,
    /// Airflow's run_id.
    #[arg(long, default_value = "manual")]
    run_id: String,
    /// Airflow's try_number; the first is 1.
    #[arg(long, default_value_t = 1)]
    try_number: u32,
    /// Airflow's map_index; -1 for a task that is not mapped.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    map_index: i32,
    /// Airflow's logical_date, RFC 3339.
    #[arg(long)]
    logical_date: Option<String>,
    /// Let the service that listens on this Unix socket, or at `https://HOST:PORT`,
    /// run it: no configuration and no log-in of our own.
    #[arg(long, value_name = "SOCKET|URL", value_parser = server::parser())]
    server: Option<Server>,
    #[command(flatten)]
    access: AccessArgs,
    /// Under which key the service knows the run, so that the command can be
    /// repeated; default: a new one.
    #[arg(long, value_name = "KEY", requires = "server")]
    idempotency_key: Option<String>,
    /// A limit for this run, tighter than the grants': `timeout=30s`, `memory=64MiB`,
    /// `output=64KiB`, `log=64KiB` or `host_calls=1000`. Can be repeated.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// Cancel the run when the pipe with this file descriptor is closed by everybody who
    /// could write to it: a run that ends with the process that asked for it, however
    /// that ends.
    #[arg(long, value_name = "FD")]
    lifeline: Option<u32>,
}

/// Arguments that cannot be accepted.
#[derive(Debug, thiserror::Error)]
enum InvalidArgument {
    #[error(transparent)]
    Task(#[from] InvalidName),
    #[error(transparent)]
    Identity(#[from] InvalidIdentity),
    #[error("cannot read the input `{path}`")]
    Input {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the input is larger than {} bytes", RunRequest::MAX_INPUT)]
    InputTooLarge,
    #[error("the input is not UTF-8")]
    InputNotText,
    #[error("`--limit {argument}` is not NAME=VALUE")]
    NoLimit { argument: String },
    #[error("`--limit {argument}` cannot be accepted: {problem}")]
    Limit {
        argument: String,
        problem: String,
        cure: Option<String>,
    },
    #[error("file descriptor {fd} of `--lifeline` cannot be read as a pipe")]
    Lifeline { fd: u32, source: std::io::Error },
}

impl InvalidArgument {
    /// `told` is a problem and, after a line break, its cure.
    fn of_limit(argument: &str, told: &str) -> Self {
        let (problem, cure) = match told.split_once('\n') {
            Some((problem, cure)) => (problem, Some(cure.to_owned())),
            None => (told, None),
        };
        Self::Limit {
            argument: crate::telemetry::shown(argument),
            problem: problem.to_owned(),
            cure,
        }
    }
}

impl Diagnostic for InvalidArgument {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Task
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InputTooLarge => {
                Some("pass a reference to the data instead of the data".to_owned())
            }
            Self::NoLimit { .. } => Some("write it like `--limit timeout=30s`".to_owned()),
            Self::Limit { cure, .. } => cure.clone(),
            Self::Lifeline { .. } => {
                Some("hand over the read end of a pipe, under that number".to_owned())
            }
            _ => None,
        }
    }
}

pub(super) async fn execute(
    args: RunArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    // Signals first: from here on Ctrl-C cancels the attempt and still revokes.
    let cancel = Cancellation::default();
    let asked = cancel.clone();
    signals::on_signal(move || asked.ask(Canceller::Signal));
    if let Some(fd) = args.lifeline {
        let asked = cancel.clone();
        let held = signals::on_close(fd, move || asked.ask(Canceller::Lifeline));
        held.map_err(|source| InvalidArgument::Lifeline { fd, source })?;
    }
    if let Some(server) = &args.server {
        let client = server::client(server, args.access.clone())?;
        return remote::execute(args, &client, output, cancel).await;
    }
    let limits = args.limits()?;
    let request = request(args)?;
    let config = HostConfig::load(&globals.config)?;
    if let Some(telemetry) = &config.telemetry {
        crate::telemetry::export(telemetry);
    }
    let runner = Runner::alone(config)?;
    let prepared = runner.prepare(request.task(), Arc::new(Spinner::default()));
    let prepared = prepared
        .await
        .and_then(|prepared| Ok(prepared.tightened(&limits)?));
    let terms = prepared.as_ref().ok().map(PreparedTask::terms);
    print::started(output, request.run(), request.task().as_str(), terms);
    let log = Arc::new(print::Stderr::new(*output));
    let sink: Arc<dyn LogSink> = Arc::<print::Stderr>::clone(&log);
    let report = runner.run_prepared(prepared, request, sink, cancel).await;
    let report = runner.close(report).await;
    log.finish();
    print::report(&report, output);
    Ok(Exit::from_code(report.exit))
}

fn request(args: RunArgs) -> Result<RunRequest, Failure> {
    let task: TaskName = args.task.parse().map_err(InvalidArgument::from)?;
    let text = input(&args.input)?;
    let identity = args.attempt().check(task.as_str(), Assurance::Claimed);
    let identity = identity.map_err(InvalidArgument::from)?;
    Ok(RunRequest::new(task, identity, text)?)
}

impl RunArgs {
    /// The limits that are asked for.
    fn limits(&self) -> Result<RunLimits, InvalidArgument> {
        let mut asked = serde_json::Map::new();
        let mut limits = RunLimits::default();
        for argument in &self.limits {
            let (name, value) =
                (argument.split_once('=')).ok_or_else(|| InvalidArgument::NoLimit {
                    argument: crate::telemetry::shown(argument),
                })?;
            // A count is a number, everything else a text with a unit.
            let value = match value.parse::<i64>() {
                Ok(number) => number.into(),
                Err(_) => value.into(),
            };
            asked.insert(name.to_owned(), value);
            // After each, so that the error can name it.
            let so_far = serde_json::Value::Object(asked.clone());
            limits = RunLimits::asked(so_far)
                .map_err(|error| InvalidArgument::of_limit(argument, &error.to_string()))?;
        }
        Ok(limits)
    }

    /// Which attempt of which task instance it is; not checked yet.
    fn attempt(self) -> Attempt {
        Attempt {
            bundle: self.bundle,
            dag_id: self.dag_id,
            task_id: self.task_id,
            run_id: self.run_id,
            try_number: self.try_number,
            map_index: self.map_index,
            logical_date: self.logical_date,
        }
    }
}

fn input(argument: &str) -> Result<String, InvalidArgument> {
    match (argument, argument.strip_prefix('@')) {
        ("-", _) => read_input(Path::new("standard input"), std::io::stdin().lock()),
        (_, Some(path)) => {
            let path = Path::new(path);
            let file = std::fs::File::open(path);
            read_input(
                path,
                file.map_err(|source| InvalidArgument::Input {
                    path: path.to_owned(),
                    source,
                })?,
            )
        }
        _ => Ok(argument.to_owned()),
    }
}

/// Reads at most one byte more than any grants file can allow.
fn read_input(path: &Path, reader: impl Read) -> Result<String, InvalidArgument> {
    let mut bytes = Vec::new();
    reader
        .take(RunRequest::MAX_INPUT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| InvalidArgument::Input {
            path: path.to_owned(),
            source,
        })?;
    if bytes.len() > RunRequest::MAX_INPUT {
        return Err(InvalidArgument::InputTooLarge);
    }
    String::from_utf8(bytes).map_err(|_| InvalidArgument::InputNotText)
}

/// A spinner on a terminal while a component is compiled.
#[derive(Default)]
struct Spinner(Mutex<Option<ProgressBar>>);

impl Progress for Spinner {
    fn compiling(&self, path: &Path) {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            bar.set_message(format!("compiling {} (once)", path.display()));
            bar.enable_steady_tick(Duration::from_millis(100));
            *self.0.lock() = Some(bar);
        }
    }

    fn compiled(&self) {
        if let Some(bar) = self.0.lock().take() {
            bar.finish_and_clear();
        }
    }
}
