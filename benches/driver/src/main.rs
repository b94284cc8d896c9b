//! Measures what Cofferdam adds to the bare work, as ratios within one run:
//! the bare side is a program of its own that does not know the host, and the
//! two take turns batch by batch, so that a noisy machine hits both.

mod baseline;
mod figures;
mod host;
mod report;
mod stage;
mod warehouse;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Parser;

use figures::Effort;
use figures::serve::Soak;
use report::Report;

/// As in the host's own binary: freed memory is wiped, which costs time.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<std::alloc::System> =
    zeroizing_alloc::ZeroAlloc(std::alloc::System);

/// The groups of figures.
const GROUPS: [&str; 11] = [
    "line", "trips", "single", "parallel", "secret", "upstream", "sql", "cold", "live", "verify",
    "serve",
];

/// Measures Cofferdam against the bare baseline.
#[derive(Debug, Parser)]
struct Arguments {
    /// One JSON object a line instead of a table.
    #[arg(long)]
    json: bool,
    /// Fail when a figure is over its bound.
    #[arg(long)]
    check: bool,
    /// A tenth of the rounds: shows that it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Only the figures of this group: the first word of their names.
    #[arg(long)]
    only: Option<String>,
    /// Draw how long runs wait under which load; with the figures of `serve`.
    #[arg(long, value_name = "FILE")]
    plot: Option<std::path::PathBuf>,
    /// No figures: so many runs of `hello` through one service, and so many with a
    /// secret under a mild fault rate; fails when memory grows or something is left.
    #[arg(long, num_args = 2, value_names = ["HELLO", "SECRET"])]
    soak: Option<Vec<u64>>,
    /// Measures live tasks in this process, for the parent.
    #[arg(long, hide = true, value_name = "FOLDER")]
    live: Option<std::path::PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Some(folder) = &arguments.live {
        return figures::live::in_this_process(folder).await;
    }
    if let Some([hello, secret]) = arguments.soak.as_deref() {
        let (hello, secret) = (*hello, *secret);
        let seen = figures::serve::soak(Soak { hello, secret }).await?;
        report::print(&seen)?;
        return Ok(ExitCode::SUCCESS);
    }
    let effort = Effort {
        rounds: if arguments.quick { 2 } else { 20 },
        batch: if arguments.quick { 10 } else { 60 },
    };
    if let Some(only) = arguments.only.as_deref()
        && !GROUPS.contains(&only)
    {
        bail!("`--only {only}`: the groups are {}", GROUPS.join(", "));
    }
    let wanted = |name: &str| {
        let only = arguments.only.as_deref();
        only.is_none_or(|group| name == group)
    };
    let mut report = Report::new(arguments.json);
    if wanted("line") {
        report.add(figures::line::measure(effort).await?)?;
    }
    // Before what needs much memory: some of it stays with the process.
    if wanted("sql") {
        for figure in figures::sql::measure(effort).await? {
            report.add(figure)?;
        }
    }
    if wanted("trips") {
        for figure in figures::trips::measure().await? {
            report.add(figure)?;
        }
    }
    if wanted("single") {
        report.add(figures::single::measure(effort).await?)?;
    }
    if wanted("parallel") {
        report.add(figures::parallel::measure(effort).await?)?;
    }
    if wanted("secret") {
        report.add(figures::secret::measure(effort).await?)?;
    }
    if wanted("upstream") {
        report.add(figures::upstream::measure(effort).await?)?;
    }
    if wanted("cold") {
        report.add(figures::cold::measure(effort).await?)?;
    }
    if wanted("live") {
        report.add(figures::live::measure()?)?;
    }
    // The service's audit is what is verified.
    if wanted("verify") || wanted("serve") {
        report.add(figures::verify::measure(effort)?)?;
    }
    if wanted("serve") {
        figures::serve::measure(effort, &mut report, arguments.plot.as_deref()).await?;
    }
    let is_within = report.close()?;
    Ok(if is_within || !arguments.check {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
