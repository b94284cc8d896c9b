//! What the capability adds to one upstream call.

use anyhow::Result;
use serde_json::json;

use super::{Effort, MICRO, median};
use crate::baseline::Baseline;
use crate::host::Host;
use crate::report::Figure;
use crate::stage::Stage;

/// Calls of one attempt; the attempt itself is measured with one call.
const CALLS: usize = 101;

fn input(times: usize) -> String {
    let input = json!({"do": "fetch", "grant": "api", "path": "item", "times": times});
    input.to_string()
}

pub(crate) async fn measure(effort: Effort) -> Result<Figure> {
    let stage = Stage::set().await?;
    let host = Host::load(stage.world.folder(), "caller", false).await?;
    let mut baseline = Baseline::start()?;
    let bare = json!({"op": "upstream", "plan": stage.plan()?, "n": CALLS - 1});
    let (one, many) = (input(1), input(CALLS));
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    host.batch(&many, 2).await?;
    baseline.batch(&bare)?;
    for _ in 0..effort.rounds * 2 {
        // What remains when the attempt with one call is taken away: 100 calls.
        let single = host.batch(&one, 3).await?.into_iter().min();
        let all = host.batch(&many, 3).await?;
        let calls = u64::try_from(CALLS - 1)?;
        for all in all {
            ours.push(all.saturating_sub(single.unwrap_or_default()) / calls);
        }
        theirs.extend(baseline.batch(&bare)?);
    }
    host.close(&one).await?;
    let pair = (median(ours, MICRO), median(theirs, MICRO));
    Ok(Figure::over(
        "upstream: one call through the capability",
        "µs",
        pair,
        40.0,
    ))
}
