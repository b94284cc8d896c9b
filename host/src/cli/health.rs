//! `cofferdam health`: whether a service takes runs.

use super::Globals;
use super::output::{Failure, Format, Output};
use super::server::{self, AccessArgs, Server};
use crate::diagnostic::Exit;

/// Ask a service whether it takes runs; for health checks of containers.
///
/// Exit codes: 0 it does, 4 it does not or cannot be reached, 3 it does not know us.
#[derive(Debug, clap::Args)]
pub(super) struct HealthArgs {
    /// The service's Unix socket, or `https://HOST:PORT`.
    #[arg(long, value_name = "SOCKET|URL", value_parser = server::parser())]
    server: Server,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) async fn execute(
    args: HealthArgs,
    _globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    let readiness = server::client(&args.server, args.access)?.ready().await?;
    match output.format() {
        Format::Json => output.json(&readiness),
        Format::Text => {
            for check in &readiness.checks {
                let problem = check.problem.as_deref().unwrap_or("ok");
                output.data(format_args!("{:6} {problem}", check.name));
            }
        }
    }
    Ok(match readiness.ready {
        true => Exit::Done,
        false => Exit::Unavailable,
    })
}
