//! What an attempt asks of Vault, counted by the server's own audit.
//!
//! Log-in and health are the process's: the first attempt has them made, and
//! it is not counted.

use anyhow::{Context, Result, ensure};

use super::single;
use crate::host::Host;
use crate::report::Figure;
use crate::stage::Stage;

/// Attempts that are counted.
const ATTEMPTS: u32 = 10;

pub(crate) async fn measure() -> Result<[Figure; 3]> {
    let stage = Stage::set().await?;
    let count = async |task: &str, input: &str| -> Result<f64> {
        let host = Host::load(stage.world.folder(), task, false).await?;
        host.batch(input, 1).await?;
        let before = stage.world.bao()?.answers()?.len();
        host.batch(input, usize::try_from(ATTEMPTS)?).await?;
        let asked = stage.world.bao()?.answers()?.len() - before;
        let asked = u32::try_from(asked).context("too many requests")?;
        ensure!(
            asked % ATTEMPTS == 0,
            "{asked} requests of {ATTEMPTS} attempts"
        );
        if asked > 0 {
            host.close(input).await?;
        }
        Ok(f64::from(asked / ATTEMPTS))
    };
    let none = count("plain", r#"{"do": "context"}"#).await?;
    let one = count("teller", single::INPUT).await?;
    let hit = count("teller", r#"{"do": "reveal", "grant": "shared"}"#).await?;
    Ok([
        Figure::at_most("trips: no Vault-backed grant", "requests", (none, 0.0)),
        Figure::at_most("trips: one KV secret", "requests", (one, 3.0)),
        Figure::at_most("trips: one KV secret, cache hit", "requests", (hit, 2.0)),
    ])
}
