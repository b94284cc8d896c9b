//! `cofferdam doctor`: whether this host can do its work, and nobody more than
//! that.

mod document;

use std::path::PathBuf;
use std::time::Duration;

use super::{Failure, Format, Globals, Output};
use crate::config::HostConfig;
use crate::diagnostic::Exit;
use crate::doctor::Doctor;
use crate::secret::{Privacy, read_file};
use document::Document;

/// Looks at configuration, files, journal, every node of Vault, the log-in, and
/// a token for each task; with a reviewer's token also at how wide the rights
/// are.
///
/// What it makes in Vault (a log-in, a token for each task) it revokes. Exit
/// codes: 0 no fault; 1 a fault, or something that was asked and cannot be
/// proven; 2 bad usage or configuration; 4 Vault not available; 130
/// interrupted. Warnings, and what only a reviewer's token could prove when
/// none was given, count with --strict.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// A file with a reviewer's token, which may read policies, roles and
    /// identities (`cofferdam policy --reviewer`); only its owner may be able
    /// to read it. Without it the width of the rights reads "not proven".
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Exit with 1 on everything that is not ok.
    #[arg(long)]
    strict: bool,
    /// How long it may take, one call's `timeout` and the revoking aside.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Log in even when that uses up a wrapped secret-id, which the host then
    /// needs anew.
    #[arg(long)]
    use_wrapped: bool,
}

/// Executes the command.
pub(super) async fn execute(
    args: DoctorArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    // Signals first: from here on Ctrl-C still revokes.
    let stop = super::signals::cancelled();
    let config = HostConfig::load(&globals.config)?;
    let mut doctor = Doctor::new(config, globals.config.clone())
        .using_wrapped(args.use_wrapped)
        .within(args.timeout)
        .until(stop);
    if let Some(file) = &args.token_file {
        doctor = doctor.reviewed_with(read_file(file, Privacy::Secret)?);
    }
    let report = doctor.examine().await;
    let exit = report.exit(args.strict);
    let document = Document::new(&report, exit);
    match output.format() {
        Format::Json => output.json(&document),
        Format::Text => {
            output.data(document.table());
            output.note(&document);
        }
    }
    Ok(exit)
}
