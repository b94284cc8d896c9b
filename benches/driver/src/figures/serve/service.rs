//! A service as a process of its own, and its driver.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cofferdam_devkit::process::{Guarded, dying_with_us};
use serde_json::Value;

use crate::stage::beside;

/// How long the service may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `cofferdam serve`.
pub(super) struct Service {
    process: Guarded,
    socket: PathBuf,
}

impl Service {
    /// Starts it in this folder, which has a `cofferdam.toml`, and waits until it
    /// can be reached.
    pub(super) fn start(folder: &Path) -> Result<Self> {
        let mut command = dying_with_us(beside("cofferdam")?);
        command
            .args(["--log-level", "error", "serve"])
            .current_dir(folder)
            .stdin(Stdio::null());
        let mut process = Guarded::spawn(command)?;
        let socket = folder.join("cofferdam.sock");
        let begun = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            ensure!(process.ended()?.is_none(), "the service ended");
            ensure!(begun.elapsed() < PATIENCE, "it does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { process, socket })
    }

    /// Drives it with this task; the driver's report.
    pub(super) fn load(&self, task: &str, input: &str, more: &[&str]) -> Result<Value> {
        let mut command = Command::new(beside("cofferdam-load")?);
        command
            .arg("--socket")
            .arg(&self.socket)
            .args(["--task", task, "--input", input])
            .args(more);
        let output = command.output().context("cannot start the driver")?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "the driver failed: {told}");
        serde_json::from_slice(&output.stdout).context("the driver's report is not JSON")
    }

    /// Runs that are under way now, as its metrics say.
    pub(super) fn under_way(&self) -> Result<f64> {
        let answer = self.ask("GET /metrics")?;
        let mut lines = answer.lines();
        let value = lines.find_map(|line| line.strip_prefix("cofferdam_runs_under_way "));
        Ok(value.context("no such gauge")?.parse()?)
    }

    /// Cancels all runs that are not over.
    pub(super) fn cancel_all(&self) -> Result<()> {
        let answer = self.ask("GET /v1/runs")?;
        let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
        let list: Value = serde_json::from_str(body).context("no list of runs")?;
        let runs = list.get("runs").and_then(Value::as_array);
        for run in runs.context("no runs")? {
            let is_over = run.get("ended").is_some_and(|ended| !ended.is_null());
            if let (false, Some(id)) = (is_over, run.get("run").and_then(Value::as_str)) {
                self.ask(&format!("POST /v1/runs/{id}/cancel"))?;
            }
        }
        Ok(())
    }

    /// The whole answer to a request without a body.
    fn ask(&self, what: &str) -> Result<String> {
        let mut stream = UnixStream::connect(&self.socket)?;
        let request = format!("{what} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// What it has used of the processors, in seconds: `utime` and `stime` of
    /// proc_pid_stat(5).
    pub(super) fn processor_time(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, after) = stat.rsplit_once(") ").context("no stat")?;
        // The 14th and 15th field; `after` begins with the third.
        let ticks = after.split(' ').skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<std::result::Result<f64, _>>()? / 100.0)
    }

    /// What it has in memory, in MB: `Rss` of `smaps_rollup`, proc(5).
    pub(super) fn resident(&self) -> Result<f64> {
        let file = format!("/proc/{}/smaps_rollup", self.process.id());
        let text = std::fs::read_to_string(file).context("cannot read its memory")?;
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes: f64 = kilobytes.context("no Rss")?.parse()?;
        Ok(kilobytes * 1_024.0 / 1e6)
    }

    /// SIGTERM, and its end, which must be a good one.
    pub(super) fn end(mut self) -> Result<()> {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(sent.success(), "no signal was sent");
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.ended()? {
                ensure!(status.success(), "the service: {status}");
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A number of the driver's report.
pub(super) fn number(report: &Value, name: &str) -> Result<f64> {
    report
        .get(name)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {name}"))
}
