//! `cofferdam sweep`: ends what killed processes left behind.

use comfy_table::{Table, presets};
use serde::Serialize;

use super::{Failure, Format, Globals, Output};
use crate::config::HostConfig;
use crate::diagnostic::Exit;
use crate::vault::{LeaseCount, Revocation, SweepOutcome, SweepReport, Swept, Vault, VaultError};

/// Revoke the tokens that killed processes left behind.
///
/// Processes that live are not touched, so it may run at any time, also from a
/// timer. Exit codes: 0 nothing is left, 1 something is left (a mint that was
/// under way, a refusal, a damaged file), 2 bad configuration, 3 the log-in is
/// refused, 4 Vault not available.
#[derive(Debug, clap::Args)]
pub(super) struct SweepArgs {}

/// What machines read.
#[derive(Serialize)]
struct Document<'a> {
    /// True when nothing is left.
    clean: bool,
    found: &'a [Swept],
    /// Records of processes that live.
    live: usize,
    /// A fixed word for why Vault could not be asked.
    failure: Option<&'static str>,
}

/// Executes the command.
pub(super) async fn execute(
    _args: SweepArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    let config = HostConfig::load(&globals.config)?;
    let settings = config.vault.ok_or_else(|| VaultError::Settings {
        fault: format!("{} has no such table", globals.config.display()),
    })?;
    let vault = Vault::new(settings, &config.state)?;
    let report = vault.sweep().await?;
    let closed = vault.close().await;

    let own_left = closed.is_some_and(|Revocation { complete, .. }| !complete);
    let clean = report.is_clean() && !own_left;
    match output.format() {
        Format::Json => output.json(&Document {
            clean,
            found: &report.found,
            live: report.live,
            failure: report.failure.as_ref().map(VaultError::reason),
        }),
        Format::Text => print(&report, output),
    }
    if own_left {
        output.note("warning: the log-in of this sweep could not be revoked; sweep again");
    }
    Ok(match report.failure {
        Some(error) => output.failure(&error.into()),
        None if clean => Exit::Done,
        None => Exit::Failed,
    })
}

fn print(report: &SweepReport, output: &Output) {
    if report.found.is_empty() {
        output.note(format_args!(
            "nothing was left behind ({} in use)",
            report.live
        ));
        return;
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["KIND", "ID", "TASK", "BEGUN", "OUTCOME"]);
    for swept in &report.found {
        let outcome = match (swept.outcome, swept.reason, swept.expires) {
            (SweepOutcome::InFlight, _, Some(expires)) => {
                format!("never used, dead by {expires:.0}")
            }
            (SweepOutcome::OtherServer, ..) => "of another server or namespace".to_owned(),
            (outcome, Some(reason), _) => format!("{outcome} ({reason})"),
            (outcome, None, _) => outcome.to_string(),
        };
        let outcome = match swept.leases {
            Some(LeaseCount { revoked, left }) => {
                format!("{outcome}; {revoked} of {} leases revoked", revoked + left)
            }
            None => outcome,
        };
        table.add_row([
            swept.kind.map(|kind| kind.to_string()).unwrap_or_default(),
            swept.id.clone(),
            swept.task.clone().unwrap_or_default(),
            swept
                .created
                .map(|created| format!("{created:.0}"))
                .unwrap_or_default(),
            outcome,
        ]);
    }
    output.data(table.trim_fmt());
    output.note(format_args!("{} in use were not touched", report.live));
}
