//! The service over its Unix socket, driven by `cofferdam-load` on the same
//! processors: how many runs of `hello` in a second, audit and results synced,
//! and how long one waits at half of that.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cofferdam_devkit::guests;
use cofferdam_devkit::process::{Guarded, dying_with_us};
use cofferdam_devkit::world::World;
use serde_json::Value;

use super::Effort;
use crate::report::Figure;
use crate::stage::beside;

/// Clients of the closed loop; each waits for its answer.
const CLIENTS: usize = 64;

/// Runs in a second that the service has to reach.
const RATE: f64 = 10_000.0;

/// What the 99th of a hundred may wait at half load, in milliseconds.
const WAIT: f64 = 5.0;

pub(crate) fn measure(effort: Effort) -> Result<[Figure; 2]> {
    let world = World::bare(&beside("cofferdam")?)?;
    world.write("cofferdam.toml", "[engine]\ninstances = 128\n")?;
    world.task("hello", &guests::component("hello")?, "")?;
    let mut command = dying_with_us(beside("cofferdam")?);
    command
        .args(["--log-level", "error", "serve"])
        .current_dir(world.folder())
        .stdin(Stdio::null());
    let mut service = Guarded::spawn(command)?;
    let socket = world.path("cofferdam.sock");
    let begun = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        ensure!(service.ended()?.is_none(), "the service ended");
        ensure!(
            begun.elapsed() < Duration::from_secs(20),
            "it does not start"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    let seconds = if effort.rounds < 10 { "2" } else { "8" };
    // Once to warm up.
    load(&socket, &["--seconds", "1"])?;
    let reached = number(&load(&socket, &["--seconds", seconds])?, "per_second")?;
    let half = (reached / 2.0).to_string();
    let waited = load(&socket, &["--seconds", seconds, "--rate", &half])?;
    service.stop();
    Ok([
        Figure::at_least("serve: hello, runs", "/s", (reached, RATE), RATE),
        Figure::at_most(
            "serve: hello at half of that, p99",
            "ms",
            (number(&waited, "p99")?, WAIT),
        ),
    ])
}

fn load(socket: &Path, more: &[&str]) -> Result<Value> {
    let output = Command::new(beside("cofferdam-load")?)
        .arg("--socket")
        .arg(socket)
        .args(["--task", "hello", "--input", r#"{"name": "Ada"}"#])
        .args(["--clients", &CLIENTS.to_string()])
        .args(more)
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "the driver failed: {told}");
    serde_json::from_slice(&output.stdout).context("the driver's report is not JSON")
}

fn number(report: &Value, name: &str) -> Result<f64> {
    report
        .get(name)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {name}"))
}
