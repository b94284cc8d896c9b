//! `cofferdam run`: one attempt of one task, from the request to the report.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use parking_lot::Mutex;

use super::Globals;
use super::output::{Failure, Format, Output};
use crate::capability::{LogLine, LogSink};
use crate::config::HostConfig;
use crate::diagnostic::{Blame, Diagnostic, Exit};
use crate::engine::Progress;
use crate::identity::{Assurance, IdentityParts, InvalidIdentity};
use crate::name::{InvalidName, TaskName};
use crate::run::{Outcome, RunReport, RunRequest, Runner};

/// Run one attempt of a task.
///
/// The result goes to stdout, the task's log and everything else to stderr.
/// Exit codes: 0 done, 1 failed, 2 bad usage or files, 3 denied, 4 Vault not
/// available, 5 out of limits, 6 trapped, 7 done but a revocation failed, 75
/// retry asked for, 99 skipped, 130 cancelled.
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
    let cancel = super::signals::cancelled();
    let request = request(args)?;
    let config = HostConfig::load(&globals.config)?;
    if let Some(telemetry) = &config.telemetry {
        crate::telemetry::export(telemetry);
    }
    let runner = Runner::new(config)?;
    let report = runner
        .run(
            request,
            Arc::new(Stderr(*output)),
            Arc::new(Spinner::default()),
            cancel,
        )
        .await;
    let report = runner.close(report).await;
    print(&report, output);
    Ok(Exit::from_code(report.exit))
}

fn request(args: RunArgs) -> Result<RunRequest, Failure> {
    let task: TaskName = args.task.parse().map_err(InvalidArgument::from)?;
    let identity = IdentityParts {
        bundle: args.bundle,
        dag_id: args.dag_id,
        task_id: args.task_id.unwrap_or_else(|| task.to_string()),
        run_id: args.run_id,
        try_number: args.try_number,
        map_index: args.map_index,
        logical_date: args.logical_date,
        assurance: Assurance::Claimed,
    };
    let identity = identity.check().map_err(InvalidArgument::from)?;
    Ok(RunRequest::new(task, identity, input(&args.input)?)?)
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

/// Log lines for people.
struct Stderr(Output);

impl LogSink for Stderr {
    fn line(
        &self,
        LogLine {
            level,
            target,
            message,
        }: LogLine,
    ) {
        self.0.note(format_args!(
            "{:5} {target}: {message}",
            level.to_string().to_uppercase()
        ));
    }
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

fn print(report: &RunReport, output: &Output) {
    if output.format() == Format::Json {
        output.json(report);
        return;
    }
    if let Some(result) = &report.result {
        output.data(result);
    }
    match &report.outcome {
        Outcome::Done => {}
        Outcome::Failed { disposition, message } => {
            output.note(format_args!("error: the task failed ({disposition}): {message}"));
        }
        Outcome::Trapped { reason } => output.note(format_args!("error: the task trapped: {reason}")),
        Outcome::OutOfLimits { limit } => output.note(format_args!(
            "error: the task reached its limit `{limit}`\n\nhint: `limits.{limit}` in the grants file sets it"
        )),
        Outcome::Cancelled => output.note("error: the run was cancelled"),
        Outcome::Refused { message, hint, .. } => {
            output.note(format_args!("error: {message}"));
            if let Some(hint) = hint {
                output.note(format_args!("\nhint: {hint}"));
            }
        }
    }
    for denial in &report.denials {
        output.note(format_args!(
            "denied: {} {} ({}, {} times)",
            denial.grant, denial.operation, denial.decision, denial.count
        ));
    }
    let missing = &report.missing_rights;
    for refused in &missing.refused {
        output.note(format_args!(
            "vault refused: {} {} on `{}`, which {} not allow",
            refused.grant,
            refused.operation,
            refused.path,
            match missing.policies.as_slice() {
                [only] => format!("the policy `{only}` does"),
                several => format!("the policies `{}` do", several.join("`, `")),
            }
        ));
    }
    let own = format!("cofferdam-task-{}", report.task);
    if !missing.is_empty() {
        output.note(match missing.policies.contains(&own) {
            true => format!(
                "\nhint: `cofferdam policy {} --write` writes the task's policy",
                report.task
            ),
            false => "\nhint: widen the policy, or take the path out of the grants file".to_owned(),
        });
    }
    if let Some(revocation) = &report.revocation {
        match revocation.reason {
            Some(reason) if !revocation.complete => {
                let left = revocation.leases.filter(|leases| leases.left > 0);
                let (what, until) = match left {
                    Some(leases) => (
                        match leases.left {
                            1 => "a lease".to_owned(),
                            several => format!("{several} leases"),
                        },
                        "Vault, and the engine behind it, are back; Vault ends a lease at its max_ttl too",
                    ),
                    None => (
                        "a credential".to_owned(),
                        "Vault is back; it ends by itself at its explicit_max_ttl",
                    ),
                };
                output.note(format_args!(
                    "warning: {what} of this run may still be alive ({reason})\n\n\
                     hint: run `cofferdam sweep` once {until}"
                ));
            }
            _ => output.note("revoked: every credential of this run is dead"),
        }
    }
    let head = report.audit.head.map_or_else(
        || "not written to its end".to_owned(),
        |head| format!("head {head}"),
    );
    output.note(format_args!(
        "run {} {}; audit {}",
        report.run,
        report.outcome.word(),
        head
    ));
}
