//! A report for people or machines, and the task's log.

use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use jiff::Timestamp;
use uuid::Uuid;

use super::super::output::{Format, Output};
use crate::api::{LogEntry, Record, Terms};
use crate::capability::{LogLine, LogSink};
use crate::lock::Mutex;
use crate::run::{Outcome, RunReport};

/// The log of a run of this process, on stderr. A thread writes it: when nobody
/// reads stderr, the run still meets its deadline and can be cancelled. What waits
/// is bounded by `limits.log` of the grants.
pub(super) struct Stderr {
    lines: Mutex<Waiting>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Waiting {
    count: u64,
    /// None once the log is finished.
    channel: Option<Sender<LogEntry>>,
}

impl Stderr {
    pub(super) fn new(output: Output) -> Self {
        let (channel, lines) = channel();
        Self {
            lines: Mutex::new(Waiting {
                count: 0,
                channel: Some(channel),
            }),
            writer: Mutex::new(Some(thread::spawn(move || {
                lines.iter().for_each(|line| entry(&output, line));
            }))),
        }
    }

    /// Waits until all of it is written. The run is over, and its authority too.
    pub(super) fn finish(&self) {
        self.lines.lock().channel = None;
        if let Some(writer) = self.writer.lock().take() {
            // It writes, and a line that cannot be written is passed over.
            let _ = writer.join();
        }
    }
}

impl LogSink for Stderr {
    fn line(
        &self,
        LogLine {
            level,
            target,
            message,
        }: LogLine,
    ) {
        let mut lines = self.lines.lock();
        lines.count += 1;
        let line = LogEntry {
            sequence: lines.count,
            time: Timestamp::now(),
            level,
            target,
            message,
        };
        if let Some(channel) = &lines.channel {
            // The writer is there for as long as its channel.
            let _ = channel.send(line);
        }
    }
}

/// One line of a task's log.
pub(super) fn entry(output: &Output, line: LogEntry) {
    if output.records() {
        output.record(&Record::Line(line));
        return;
    }
    output.note(format_args!(
        "{:5} {}: {}",
        line.level.to_string().to_uppercase(),
        line.target,
        line.message
    ));
}

/// A run begins; people see that by themselves.
pub(super) fn started(output: &Output, run: Uuid, task: &str, terms: Option<Terms>) {
    if output.records() {
        let task = task.to_owned();
        output.record(&Record::Started { run, task, terms });
    }
}

/// Where a limit comes from, by its name in a report.
fn who_sets(limit: &str) -> String {
    match limit {
        "stack" | "call_size" | "refusals" => "it is the same for every task".to_owned(),
        "timeout" | "memory" | "output" | "log" | "host_calls" => {
            format!("`limits.{limit}` in the grants file sets it, or a tighter one of the caller")
        }
        _ => format!("`limits.{limit}` in the grants file sets it"),
    }
}

/// The report at the end.
pub(super) fn report(report: &RunReport, output: &Output) {
    if output.format() == Format::Json {
        output.json(report);
        return;
    }
    if let Some(result) = &report.result {
        output.data(result);
    }
    match &report.outcome {
        Outcome::Done => {}
        Outcome::Failed {
            disposition,
            message,
        } => {
            output.note(format_args!(
                "error: the task failed ({disposition}): {message}"
            ));
        }
        Outcome::Trapped { reason } => {
            output.note(format_args!("error: the task trapped: {reason}"))
        }
        Outcome::OutOfLimits { limit } => output.note(format_args!(
            "error: the task reached its limit `{limit}`\n\nhint: {}",
            who_sets(limit)
        )),
        Outcome::Cancelled => output.note("error: the run was cancelled"),
        Outcome::Unknown => output.note(
            "error: the run ended in a way that this version does not know\n\n\
             hint: look at the service's version and ours; `--format json` shows the whole report",
        ),
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
        match &revocation.reason {
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
    if report.outcome == Outcome::Done && report.audit.head.is_none() {
        output.note(
            "warning: the audit of this run could not be written to its end\n\n\
             hint: the work is done; make room where the audit lies, and note this run by hand",
        );
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
