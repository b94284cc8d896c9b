//! The service over its Unix socket, driven by `cofferdam-load` on the same
//! processors.

mod hello;
mod live;
mod neighbours;
mod plot;
mod secret;
mod service;
mod soak;

use std::path::Path;

use anyhow::Result;

use super::Effort;
use crate::report::Report;

pub(crate) use soak::{Soak, soak};

/// Clients of the closed loop; each waits for its answer.
const CLIENTS: u32 = 64;

/// Measures all figures, and draws how long runs wait under which load.
pub(crate) async fn measure(
    effort: Effort,
    report: &mut Report,
    plot: Option<&Path>,
) -> Result<()> {
    hello::measure(effort, report, plot)?;
    report.add(secret::measure(effort).await?)?;
    for figure in neighbours::measure(effort)? {
        report.add(figure)?;
    }
    for figure in live::measure(effort)? {
        report.add(figure)?;
    }
    Ok(())
}
