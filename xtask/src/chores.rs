//! Steps that several commands share.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cofferdam_devkit::{guests, tools};

use crate::{console, preflight};

/// `cargo xtask guests`.
pub(crate) fn guests() -> Result<()> {
    preflight::check(&[preflight::Need::Compiler, preflight::Need::WasmTarget])?;
    build_binaries()?;
    build_guests()
}

/// Builds the guests with the binary that [`build_binaries`] made.
pub(crate) fn build_guests() -> Result<()> {
    guests::build_all(&binary("cofferdam"), |text| console::say(text))?;
    Ok(())
}

/// Builds `cofferdam` and the billing API, unoptimised, with the tests.
///
/// Cargo unifies features over what one command selects. Building only what
/// the demo needs would compile wasmtime and all the rest with other features,
/// and `cargo test` would then do it all again: ten minutes instead of none.
pub(crate) fn build_binaries() -> Result<()> {
    must(cargo().args(["build", "--workspace", "--bins", "--tests"]))
}

/// A binary of this workspace.
pub(crate) fn binary(name: &str) -> PathBuf {
    tools::target_folder().join("debug").join(name)
}

/// The cargo that runs us, in the workspace's root.
pub(crate) fn cargo() -> Command {
    #[expect(clippy::disallowed_methods, reason = "cargo names itself there")]
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(tools::workspace());
    tools::forget_outer_cargo(&mut command);
    command
}

/// Runs a command whose output people see.
pub(crate) fn must(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("cannot start `{program}`"))?;
    if !status.success() {
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        bail!("`{program} {}` failed", arguments.join(" "));
    }
    Ok(())
}
