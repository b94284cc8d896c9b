//! `cargo xtask test`: everything that a change must pass.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use cofferdam_devkit::tools;

use crate::chores::{binary, build_binaries, build_guests, cargo, must};
use crate::preflight::{Need, check};
use crate::{bench, console};

/// The host's workspace.
const WORKSPACE: &str = "Cargo.toml";
/// Runs of the short soak, without and with a secret; `cargo xtask soak` is the
/// long one.
const SOAK: (u64, u64) = (5_000, 500);

/// The workspace of everything that is compiled to WebAssembly. Its own checks
/// run natively: clippy may not know the wasm target's library.
const GUESTS: &str = "guest-sdk/Cargo.toml";

pub(crate) fn run(filter: &[String]) -> Result<()> {
    let mut needs = vec![
        Need::Compiler,
        Need::Bao,
        Need::Postgres,
        Need::Moto,
        Need::Schemathesis,
        Need::Airflow,
        Need::WasmTarget,
        Need::SecondUser,
    ];
    if filter.is_empty() {
        needs.push(Need::Linters);
    }
    check(&needs)?;

    let mut run = Steps::new();
    if filter.is_empty() {
        // These do not depend on each other: see all that is wrong in one go.
        run.step("format", || must(&mut format(WORKSPACE)));
        run.step("lints", || must(&mut lints(WORKSPACE)));
        run.step("format of the guests", || must(&mut format(GUESTS)));
        run.step("lints of the guests", || must(&mut lints(GUESTS)));
    }
    let is_built = run.step("binaries", build_binaries) && run.step("guests", build_guests);
    if filter.is_empty() {
        run.step("tests of the guest SDK", || {
            must(cargo().args(["test", "--manifest-path", GUESTS, "--workspace"]))
        });
    }
    if is_built && filter.is_empty() {
        // What the README promises first.
        run.step("demo", || must(cargo().args(["xtask", "demo"])));
    }
    if is_built && filter.is_empty() {
        run.step("soak, short", || {
            let mut driver = Command::new(binary("cofferdam-bench"));
            let soak = driver.args(bench::soak(SOAK.0, SOAK.1));
            must(soak.env(tools::BAO_VARIABLE, tools::bao()?))
        });
    }
    if is_built && filter.is_empty() {
        run.step("demo with Airflow", demo_with_airflow);
    }
    if filter.is_empty() {
        run.step("tests of the Airflow provider", provider);
        run.step("the provider on older Airflows", older_airflows);
    }
    if is_built {
        run.step("tests", || {
            // Found or installed once, here, and not by each test.
            let bao = tools::bao()?;
            tools::postgres()?;
            tools::moto()?;
            tools::schemathesis()?;
            tools::airflow()?;
            let mut tests = cargo();
            tests.args(["test", "--workspace", "--no-fail-fast", "--"]);
            must(tests.args(filter).env(tools::BAO_VARIABLE, bao))
        });
    }
    run.close()
}

/// The demo with Airflow until it says that it is up, then Ctrl-C, as a person would.
fn demo_with_airflow() -> Result<()> {
    // By its name: we may have been built anew meanwhile.
    let mut demo = Command::new(binary("xtask"));
    demo.args(["demo", "--airflow"]).stdout(Stdio::piped());
    let mut demo = demo.spawn().context("cannot start the demo")?;
    let output = demo.stdout.take().context("the demo has no output")?;
    let (mut is_up, mut address) = (false, String::new());
    for line in BufReader::new(output).lines() {
        let line = line?;
        console::say(&line);
        if let Some(found) = line.strip_prefix("address   http://") {
            address = found.to_owned();
        }
        if line.starts_with("DAG files ") {
            ensure!(TcpStream::connect(&address).is_ok(), "it is not up");
            is_up = true;
            must(Command::new("kill").args(["-INT", &demo.id().to_string()]))?;
        }
    }
    let status = demo.wait()?;
    ensure!(is_up && status.success(), "the demo ended with {status}");
    ensure!(TcpStream::connect(&address).is_err(), "it is up still");
    Ok(())
}

/// The provider's style and its own tests, with a fake host.
fn provider() -> Result<()> {
    let python = tools::airflow()?;
    for arguments in [
        &["ruff", "format", "--check"][..],
        &["ruff", "check"],
        &["pytest", "--numprocesses", "2"],
    ] {
        must(&mut in_provider(&python, arguments)?)?;
    }
    Ok(())
}

/// Import, metadata and `dag.test()` where nobody runs the whole.
fn older_airflows() -> Result<()> {
    for version in tools::OLDER_AIRFLOWS {
        let python = tools::airflow_of(version)?;
        let which = "test_provider or examples_are_parsed or invoice_sync or a_mapped_task";
        must(&mut in_provider(&python, &["pytest", "-k", which])?)?;
    }
    Ok(())
}

/// A Python module in the provider's folder, with the provider installed.
fn in_provider(python: &Path, arguments: &[&str]) -> Result<Command> {
    let site = tools::target_folder().join("devkit/provider");
    if site.exists() {
        std::fs::remove_dir_all(&site).context("cannot clear what was installed before")?;
    }
    tools::install_provider(python, &site)?;
    let mut command = Command::new(python.join("python3"));
    command
        .arg("-m")
        .args(arguments)
        .current_dir(tools::workspace().join("airflow-provider"))
        .env("PYTHONPATH", site)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

fn format(manifest: &str) -> Command {
    let mut command = cargo();
    command.args(["fmt", "--manifest-path", manifest, "--all", "--check"]);
    command
}

fn lints(manifest: &str) -> Command {
    let mut command = cargo();
    command.args([
        "clippy",
        "--manifest-path",
        manifest,
        "--workspace",
        "--all-targets",
    ]);
    command.args(["--", "--deny", "warnings"]);
    command
}

struct Steps {
    start: Instant,
    failed: Vec<String>,
    lines: Vec<String>,
}

impl Steps {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            failed: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Runs one step, whatever became of the others.
    fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        console::heading(name);
        let start = Instant::now();
        let result = work();
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        let seconds = start.elapsed().as_secs_f32();
        self.lines.push(format!("{word:6} {seconds:7.1} s  {name}"));
        if let Err(error) = &result {
            console::complain(&format!("error: {error:#}"));
            self.failed.push(name.to_owned());
        }
        result.is_ok()
    }

    fn close(self) -> Result<()> {
        console::heading("summary");
        for line in &self.lines {
            console::say(line);
        }
        console::say(format_args!(
            "total  {:7.1} s",
            self.start.elapsed().as_secs_f32()
        ));
        if !self.failed.is_empty() {
            bail!("failed: {}", self.failed.join(", "));
        }
        Ok(())
    }
}
