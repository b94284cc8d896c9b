//! The command line: one file per command. Data goes to stdout, everything
//! else to stderr; colour and progress only on a terminal.

mod audit;
mod build;
mod check;
mod doctor;
mod health;
mod identity;
mod login;
mod output;
mod policy;
mod run;
mod serve;
mod server;
mod signals;
mod sweep;
mod tasks;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use output::{Failure, Format, LogFormat, Output};

use crate::diagnostic::Exit;

/// Runs task steps as WebAssembly components that use secrets they can never read.
#[derive(Debug, Parser)]
#[command(name = "cofferdam", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, clap::Args)]
pub struct Globals {
    /// The operator's configuration; the folders that it names are relative to it.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        default_value = "cofferdam.toml"
    )]
    pub config: PathBuf,
    /// How results are written to stdout.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// How everything on stderr is written; `json` is one document a line.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Detail of the host's own log on stderr: off, error, warn, info, debug, trace.
    /// Default: info for `serve`, warn for everything else.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::RunArgs>),
    Serve(serve::ServeArgs),
    Health(health::HealthArgs),
    Build(build::BuildArgs),
    Check(check::CheckArgs),
    Tasks(tasks::TasksArgs),
    Policy(policy::PolicyArgs),
    Login(login::LoginArgs),
    Doctor(doctor::DoctorArgs),
    Identity(identity::IdentityArgs),
    Sweep(sweep::SweepArgs),
    Audit(audit::AuditArgs),
}

/// Parses the arguments, executes the command and returns the exit code.
pub async fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
        }
    };
    let output = Output::new(cli.globals.format, cli.globals.log_format);
    let level = cli.globals.log_level.as_deref();
    let level = level.unwrap_or(match cli.command {
        Command::Serve(_) => "info",
        _ => "warn",
    });
    let telemetry = match cli.globals.log_format {
        LogFormat::Text => crate::telemetry::init(level),
        LogFormat::Json => crate::telemetry::init_records(level),
    };
    let result = match cli.command {
        Command::Run(args) => run::execute(*args, &cli.globals, &output).await,
        Command::Serve(args) => serve::execute(args, &cli.globals, &output).await,
        Command::Health(args) => health::execute(args, &cli.globals, &output).await,
        Command::Build(args) => build::execute(args, &cli.globals, &output).await,
        Command::Check(args) => check::execute(args, &cli.globals, &output).await,
        Command::Tasks(args) => tasks::execute(args, &cli.globals, &output).await,
        Command::Policy(args) => policy::execute(args, &cli.globals, &output).await,
        Command::Login(args) => login::execute(args, &cli.globals, &output).await,
        Command::Doctor(args) => doctor::execute(args, &cli.globals, &output).await,
        Command::Identity(args) => identity::execute(args, &cli.globals, &output).await,
        Command::Sweep(args) => sweep::execute(args, &cli.globals, &output).await,
        Command::Audit(args) => audit::execute(args, &cli.globals, &output).await,
    };
    let exit = result.unwrap_or_else(|failure| output.ended_by(&failure));
    telemetry.flush().await;
    exit
}
