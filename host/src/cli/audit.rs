//! `cofferdam audit`.

use super::{Failure, Globals, Output};
use crate::diagnostic::Exit;

/// Not there yet.
#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {}

/// Executes the command.
pub(super) async fn execute(
    _args: AuditArgs,
    _globals: &Globals,
    _output: &Output,
) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
