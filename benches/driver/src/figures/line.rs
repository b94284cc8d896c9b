//! The whole line for `hello`, in process and without Vault, against bare
//! instantiation and call of the same component.

use anyhow::Result;
use cofferdam_devkit::guests;
use cofferdam_devkit::world::World;
use serde_json::json;

use super::{Effort, MICRO, median};
use crate::baseline::Baseline;
use crate::host::Host;
use crate::report::Figure;
use crate::stage::beside;

const INPUT: &str = r#"{"name": "Ada"}"#;

pub(crate) async fn measure(effort: Effort) -> Result<Figure> {
    let world = World::bare(&beside("cofferdam")?)?;
    let component = guests::component("hello")?;
    world.task("hello", &component, "")?;
    // Written, and not synced: bare wasmtime keeps no audit.
    let host = Host::load(world.folder(), "hello", false).await?;
    let mut baseline = Baseline::start()?;
    let batch = effort.batch * 5;
    let bare = json!({"op": "component", "path": component, "input": INPUT, "n": batch});
    host.batch(INPUT, batch).await?;
    baseline.batch(&bare)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        ours.extend(host.batch(INPUT, batch).await?);
        theirs.extend(baseline.batch(&bare)?);
    }
    let pair = (median(ours, MICRO), median(theirs, MICRO));
    Ok(Figure::ratio(
        "line: hello in process, no Vault",
        "µs",
        pair,
        3.0,
    ))
}
