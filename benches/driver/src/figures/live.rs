//! Memory of a hundred live tasks, in a process of their own.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cofferdam_devkit::guests;
use cofferdam_devkit::world::World;
use serde_json::{Value, json};

use crate::host::Host;
use crate::report::Figure;
use crate::stage::beside;

const TASKS: usize = 100;

pub(crate) fn measure() -> Result<Figure> {
    let world = World::bare(&beside("cofferdam")?)?;
    world.write("cofferdam.toml", "[engine]\ninstances = 128\n")?;
    world.task("sleeper", &guests::component("probe")?, "")?;
    let own = std::env::current_exe().context("cannot find this program")?;
    let output = Command::new(own)
        .arg("--live")
        .arg(world.folder())
        .output()?;
    ensure!(
        output.status.success(),
        "the measuring process failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let seen: Value = serde_json::from_slice(&output.stdout)?;
    let number = |name: &str| seen.get(name).and_then(Value::as_f64).context("no figure");
    let pair = (number("live")?, number("idle")?);
    Ok(Figure::over(
        "live: 100 tasks over the idle host",
        "MB",
        pair,
        30.0,
    ))
}

/// Prints resident memory before and with a hundred live tasks.
pub(crate) async fn in_this_process(folder: &Path) -> Result<ExitCode> {
    let host = Host::load(folder, "sleeper", false).await?;
    // The idle host has served before.
    let short = json!({"do": "sleep", "ms": 1}).to_string();
    host.batch(&short, 3).await?;
    let idle = resident()?;
    let long = json!({"do": "sleep", "ms": 4_000}).to_string();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (host, long) = (Arc::clone(&host), long.clone());
        tasks.spawn(async move { host.attempt(&long).await });
    }
    // Each starts within milliseconds and lives for four seconds.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let live = resident()?;
    ensure!(tasks.try_join_next().is_none(), "a task has ended already");
    let mut done = 0;
    while let Some(report) = tasks.join_next().await {
        ensure!(report??.exit == 0, "a task failed");
        done += 1;
    }
    ensure!(done == TASKS, "{done} tasks lived");
    serde_json::to_writer(
        std::io::stdout().lock(),
        &json!({"idle": idle, "live": live}),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Resident set in MB (10^6 bytes), from the kernel's own sum over all mappings.
fn resident() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: f64 = kib.context("no Rss in smaps_rollup")?.trim().parse()?;
    Ok(kib * 1_024.0 / 1e6)
}
