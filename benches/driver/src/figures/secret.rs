//! A run with one KV secret and one upstream call, against the same calls made
//! bare and one 200-byte fdatasync.

use anyhow::Result;
use serde_json::json;

use super::{Effort, MILLI, median};
use crate::baseline::Baseline;
use crate::host::Host;
use crate::report::Figure;
use crate::stage::Stage;

pub(crate) const INPUT: &str = r#"{"do": "fetch", "grant": "api", "path": "item", "times": 1}"#;

pub(crate) async fn measure(effort: Effort) -> Result<Figure> {
    let stage = Stage::set().await?;
    let host = Host::load(stage.world.folder(), "caller", true).await?;
    host.batch(INPUT, effort.batch).await?;
    let mut baseline = Baseline::start()?;
    let bare = json!({"op": "secret", "plan": stage.plan()?, "n": effort.batch});
    baseline.batch(&bare)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        ours.extend(host.batch(INPUT, effort.batch).await?);
        theirs.extend(baseline.batch(&bare)?);
    }
    host.close(INPUT).await?;
    let pair = (median(ours, MILLI), median(theirs, MILLI));
    Ok(Figure::ratio(
        "secret: one KV secret, one upstream call",
        "ms",
        pair,
        1.25,
    ))
}
