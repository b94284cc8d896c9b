//! `cofferdam run` as a process of its own with a warm code cache, against the
//! Vault and upstream calls that it makes.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{Effort, MILLI, median};
use crate::baseline::Baseline;
use crate::report::Figure;
use crate::stage::Stage;

pub(crate) async fn measure(effort: Effort) -> Result<Figure> {
    let stage = Stage::set().await?;
    let mut baseline = Baseline::start()?;
    let batch = (effort.batch / 10).max(1);
    let bare = json!({"op": "cold", "plan": stage.plan()?, "n": batch});
    let run = || -> Result<u64> {
        let start = Instant::now();
        let finished = stage
            .world
            .run("caller")
            .input(json!({"do": "http", "grant": "api", "path": "item"}))
            .finish()?;
        let nanos = u64::try_from(start.elapsed().as_nanos())?;
        ensure!(finished.code == 0, "the run failed: {finished:?}");
        let result = finished.result()?;
        let status = result.pointer("/0/status").context("no status")?;
        ensure!(status == 200, "the call failed: {result}");
        Ok(nanos)
    };
    // Compiles, and makes the journal's folder for the bare side.
    run()?;
    baseline.batch(&bare)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        for _ in 0..batch {
            ours.push(run()?);
        }
        theirs.extend(baseline.batch(&bare)?);
    }
    let pair = (median(ours, MILLI), median(theirs, MILLI));
    Ok(Figure::over(
        "cold: cofferdam run with a warm code cache",
        "ms",
        pair,
        25.0,
    ))
}
