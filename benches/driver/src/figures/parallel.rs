//! Two hundred attempts with one KV secret under way at once, against a bare
//! client that asks the same server for the same.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Effort, median, single};
use crate::baseline::Baseline;
use crate::host::Host;
use crate::report::Figure;
use crate::stage::Stage;

/// Attempts under way.
const AT_ONCE: usize = 200;

/// Nanoseconds of a second.
const SECOND: f64 = 1e9;

pub(crate) async fn measure(effort: Effort) -> Result<Figure> {
    let stage = Stage::set().await?;
    let host = Host::load(stage.world.folder(), "teller", true).await?;
    let mut baseline = Baseline::start()?;
    let attempts = effort.batch * 10;
    let bare = json!({
        "op": "parallel", "plan": stage.plan_without_upstream()?,
        "n": attempts, "at_once": AT_ONCE,
    });
    host.parallel(single::INPUT, attempts, AT_ONCE).await?;
    baseline.batch(&bare)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let start = Instant::now();
        host.parallel(single::INPUT, attempts, AT_ONCE).await?;
        ours.push(u64::try_from(start.elapsed().as_nanos())?);
        theirs.extend(baseline.batch(&bare)?);
    }
    host.close(single::INPUT).await?;
    let attempts = f64::from(u32::try_from(attempts).context("too many attempts")?);
    let rate = |nanos| attempts / median(nanos, SECOND);
    let pair = (rate(ours), rate(theirs));
    Ok(Figure::reaches(
        "parallel: 200 attempts at once",
        "/s",
        pair,
        0.8,
    ))
}
