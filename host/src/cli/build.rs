//! `cofferdam build`.

use super::{Failure, Globals, Output};
use crate::diagnostic::Exit;

/// Not there yet.
#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {}

/// Executes the command.
pub(super) async fn execute(
    _args: BuildArgs,
    _globals: &Globals,
    _output: &Output,
) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
