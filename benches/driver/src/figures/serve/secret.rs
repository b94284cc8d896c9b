//! Runs with one KV secret, against a bare client that asks the same OpenBao for
//! the same; the two take turns.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use super::CLIENTS;
use super::service::{Service, number};
use crate::baseline::Baseline;
use crate::figures::{Effort, single};
use crate::report::Figure;
use crate::stage::Stage;

pub(super) async fn measure(effort: Effort) -> Result<Figure> {
    let stage = Stage::set().await?;
    let service = Service::start(stage.world.folder())?;
    let mut baseline = Baseline::start()?;
    let runs = effort.batch * 20;
    let bare = json!({
        "op": "parallel", "plan": stage.plan_without_upstream()?,
        "n": runs, "at_once": CLIENTS,
    });
    let (clients, count) = (CLIENTS.to_string(), runs.to_string());
    let drive = || {
        let more = ["--clients", &clients, "--runs", &count, "--seconds", "600"];
        let report = service.load("teller", single::INPUT, &more)?;
        number(&report, "per_second")
    };
    drive()?;
    baseline.batch(&bare)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let runs = f64::from(u32::try_from(runs).context("too many runs")?);
    for _ in 0..effort.rounds.div_ceil(2) {
        ours.push(drive()?);
        let begun = Instant::now();
        baseline.batch(&bare)?;
        theirs.push(runs / begun.elapsed().as_secs_f64());
    }
    service.end()?;
    Ok(Figure::reaches(
        "serve: one KV secret, 64 clients",
        "/s",
        (middle(ours), middle(theirs)),
        0.8,
    ))
}

/// The median.
pub(super) fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
