//! `cargo xtask bench`: builds all optimised and hands over to the driver.

use std::ffi::OsString;
use std::process::Command;

use anyhow::{Result, bail};
use cofferdam_devkit::tools;

use crate::chores::{build_binaries, build_guests, cargo, must};
use crate::preflight::{Need, check};

/// `bench serve` is `bench --only serve`.
pub(crate) fn of_group(arguments: Vec<OsString>) -> Vec<OsString> {
    match arguments.first() {
        Some(group) if !group.as_encoded_bytes().starts_with(b"-") => {
            [vec!["--only".into()], arguments].concat()
        }
        _ => arguments,
    }
}

pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    if let [only, group, rest @ ..] = arguments
        && [only, group] == ["--only", "airflow"]
    {
        match rest {
            [] => return airflow(false),
            [check] if check == "--check" => return airflow(true),
            _ => bail!("`bench airflow` takes `--check` and nothing else"),
        }
    }
    check(&[Need::Compiler, Need::Bao, Need::Postgres, Need::WasmTarget])?;
    build_binaries()?;
    build_guests()?;
    // The whole workspace, so that features are those of every other build.
    must(cargo().args(["build", "--release", "--workspace", "--bins"]))?;
    // Found or installed before anything is measured.
    tools::postgres()?;
    let driver = tools::target_folder().join("release/cofferdam-bench");
    must(
        Command::new(driver)
            .args(arguments)
            .env(tools::BAO_VARIABLE, tools::bao()?),
    )
}

/// Task durations under a real scheduler, with our program optimised. Airflow
/// measures them itself, so whoever asks it need not be.
fn airflow(is_held: bool) -> Result<()> {
    check(&[
        Need::Compiler,
        Need::Bao,
        Need::Postgres,
        Need::WasmTarget,
        Need::Airflow,
        Need::SecondUser,
    ])?;
    build_binaries()?;
    build_guests()?;
    must(cargo().args(["build", "--release", "--workspace", "--bins"]))?;
    tools::airflow()?;
    tools::uv()?;
    let mut bench = cargo();
    bench.args(["test", "--workspace", "--test", "airflow", "--"]);
    bench.args(["--bench", "task_durations", "--nocapture"]);
    bench.env(
        "COFFERDAM_BENCH_BINARY",
        tools::target_folder().join("release/cofferdam"),
    );
    if is_held {
        bench.env("COFFERDAM_BENCH_CHECK", "1");
    }
    must(bench.env(tools::BAO_VARIABLE, tools::bao()?))
}

/// The driver's arguments for a soak of so many runs.
pub(crate) fn soak(hello: u64, secret: u64) -> [OsString; 3] {
    [
        "--soak".into(),
        hello.to_string().into(),
        secret.to_string().into(),
    ]
}
