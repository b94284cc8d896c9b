//! `cargo xtask test`: everything that a change must pass.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use cofferdam_devkit::process::open_to_others;
use cofferdam_devkit::tools;

use crate::chores::{binary, build_binaries, build_guests, cargo, must};
use crate::preflight::{Need, check};
use crate::stage::User;
use crate::{bench, console};

/// Whose processes a demo starts, beside those of root.
const DEMO_USERS: [u32; 2] = [User::Host.id(), User::Caller.id()];

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
        Need::Commands,
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
    if is_built && filter.is_empty() {
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

/// The demo with Airflow until it says that it is up, then Ctrl-C, as a person would; and
/// once more with a Ctrl-C while Airflow starts.
fn demo_with_airflow() -> Result<()> {
    // What an earlier run left, which was killed, is not this demo's.
    let (open_before, running_before) = (open_to_others(), processes()?);
    for until in ["DAG files ", "== A real Airflow"] {
        let is_up = |line: &str| line.starts_with(until);
        let address = interrupted_demo(is_up, || {
            let opened = open_to_others();
            let opened: Vec<_> = opened.difference(&open_before).collect();
            ensure!(opened.is_empty(), "it listens to others: {opened:?}");
            Ok(())
        })?;
        if let Some(address) = address {
            ensure!(TcpStream::connect(&address).is_err(), "it is up still");
        }
        let left: Vec<_> = processes()?.difference(&running_before).cloned().collect();
        ensure!(left.is_empty(), "processes of the demo are left: {left:?}");
    }
    Ok(())
}

/// The processes of those users, by number and name.
fn processes() -> Result<BTreeSet<String>> {
    let mut search = Command::new("pgrep");
    let found = search.args(["-lu", &DEMO_USERS.map(|user| user.to_string()).join(",")]);
    let found = found.output().context("cannot run `pgrep`")?.stdout;
    let found = String::from_utf8_lossy(&found);
    Ok(found.lines().map(str::to_owned).collect())
}

/// Starts it, interrupts it at a line, and waits for its end; where Airflow was, if it came
/// so far.
fn interrupted_demo(
    is_line: impl Fn(&str) -> bool,
    look: impl FnOnce() -> Result<()>,
) -> Result<Option<String>> {
    // By its name: we may have been built anew meanwhile.
    let mut demo = Command::new(binary("xtask"));
    demo.args(["demo", "--airflow"]).stdout(Stdio::piped());
    let mut demo = demo.spawn().context("cannot start the demo")?;
    let output = demo.stdout.take().context("the demo has no output")?;
    let (mut look, mut looked) = (Some(look), Ok(()));
    let mut address: Option<String> = None;
    for line in BufReader::new(output).lines() {
        let line = line?;
        console::say(&line);
        if let Some(found) = line.strip_prefix("address   http://") {
            address = Some(found.to_owned());
        }
        if is_line(&line)
            && let Some(look) = look.take()
        {
            looked = look();
            match &address {
                Some(address) if TcpStream::connect(address).is_err() => {
                    looked = looked.and(Err(anyhow!("it is not up")));
                }
                Some(_) => {}
                // In the middle of its start.
                None => thread::sleep(Duration::from_secs(5)),
            }
            // Whatever was seen: nothing of it must stay.
            must(Command::new("kill").args(["-INT", &demo.id().to_string()]))?;
        }
    }
    let status = demo.wait()?;
    looked?;
    ensure!(
        look.is_none() && status.success(),
        "the demo ended with {status}"
    );
    Ok(address)
}

/// The provider's style and its own tests, with a fake host.
fn provider() -> Result<()> {
    let python = tools::airflow()?;
    for arguments in [
        &["ruff", "format", "--check"][..],
        &["ruff", "check"],
        &["mypy", "--cache-dir", "/dev/null"],
        &["pytest", "--numprocesses", "2"],
    ] {
        // Some of them ask a real host for its tasks.
        let host = ("COFFERDAM_BINARY", binary("cofferdam"));
        must(in_provider(&python, arguments)?.env(host.0, host.1))?;
    }
    Ok(())
}

/// Import, metadata and `dag.test()` where nobody runs the whole.
fn older_airflows() -> Result<()> {
    for version in tools::OLDER_AIRFLOWS {
        let python = tools::airflow_of(version)?;
        must(&mut in_provider(
            &python,
            &["pytest", "-m", "every_airflow"],
        )?)?;
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
