//! `cofferdam sweep`.

use super::{Failure, Globals, Output};
use crate::diagnostic::Exit;

/// Not there yet.
#[derive(Debug, clap::Args)]
pub(super) struct SweepArgs {}

/// Executes the command.
pub(super) async fn execute(
    _args: SweepArgs,
    _globals: &Globals,
    _output: &Output,
) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
