//! A run with one KV secret and nothing else, against the same calls made bare
//! and one 200-byte fdatasync.

use anyhow::Result;
use serde_json::json;

use super::{Effort, MILLI, median};
use crate::baseline::Baseline;
use crate::host::Host;
use crate::report::Figure;
use crate::stage::Stage;

/// The task `teller` reads its secret, and that is all.
pub(crate) const INPUT: &str = r#"{"do": "reveal", "grant": "own"}"#;

pub(crate) async fn measure(effort: Effort) -> Result<Figure> {
    let stage = Stage::set().await?;
    let host = Host::load(stage.world.folder(), "teller", true).await?;
    host.batch(INPUT, effort.batch).await?;
    let mut baseline = Baseline::start()?;
    let bare = json!({"op": "secret", "plan": stage.plan_without_upstream()?, "n": effort.batch});
    baseline.batch(&bare)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        ours.extend(host.batch(INPUT, effort.batch).await?);
        theirs.extend(baseline.batch(&bare)?);
    }
    host.close(INPUT).await?;
    let pair = (median(ours, MILLI), median(theirs, MILLI));
    Ok(Figure::ratio("single: one KV secret", "ms", pair, 1.15))
}
