//! The project's chores. `cargo xtask demo` and `cargo xtask test` are all that
//! a newcomer needs; both bring what they need into the target folder.

mod bench;
mod chores;
mod console;
mod demo;
mod dev_vault;
mod preflight;
mod stage;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own chores.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Start a real OpenBao, a PostgreSQL and an API, build the examples, run them and prove what we claim.
    Demo {
        /// Bring up a real Airflow with the example DAGs, run one, and keep it up until Ctrl-C.
        #[arg(long)]
        airflow: bool,
    },
    /// Check the style, build the guests, play the demo and run every test.
    Test {
        /// Run only tests whose name contains one of these, and skip the style checks.
        #[arg(last = true, value_name = "FILTER")]
        filter: Vec<String>,
    },
    /// Measure against the bare baseline; see docs/PERFORMANCE.md.
    Bench {
        /// A group of figures such as `serve`, or `airflow`; `--json`, `--check`, `--quick`, `--plot FILE`; `--help` tells more.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
    /// Send very many runs through one service, optimised: memory must stay flat and nothing alive.
    Soak {
        /// Runs of `hello`.
        #[arg(long, default_value_t = 1_000_000)]
        hello: u64,
        /// Runs with a secret, a mild part of which meets a fault.
        #[arg(long, default_value_t = 50_000)]
        secret: u64,
    },
    /// Build the guest components that the tests use, when they are not up to date.
    Guests,
    /// Keep a ready-made OpenBao, PostgreSQL and API in the foreground, for trying by hand.
    DevVault,
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Demo { airflow: false } => demo::run().await,
        Chore::Demo { airflow: true } => demo::run_with_airflow().await,
        Chore::Test { filter } => test::run(&filter),
        Chore::Bench { arguments } => bench::run(&bench::of_group(arguments)),
        Chore::Soak { hello, secret } => bench::run(&bench::soak(hello, secret)),
        Chore::Guests => chores::guests(),
        Chore::DevVault => dev_vault::run().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::complain(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
