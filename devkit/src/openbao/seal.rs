//! Sealing a server and opening it again.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::OpenBao;

/// What a development server prints before its key.
const PRINTED: &str = "Unseal Key: ";
/// How long an unsealed server may take until it serves; a tenth of a second
/// is usual.
const OPEN_LIMIT: Duration = Duration::from_secs(20);

impl OpenBao {
    /// Seals the server: it answers 503 to everything until it is unsealed.
    pub async fn seal(&self) -> Result<()> {
        let (status, _) = self.root("PUT", "sys/seal", None).await?;
        ensure!(status == 204, "the server was not sealed: {status}");
        Ok(())
    }

    /// Unseals the server and waits until it serves.
    pub async fn unseal(&self) -> Result<()> {
        let key = match &self.unseal_key {
            Some(key) => key.clone(),
            None => self.printed_key()?,
        };
        let (status, _) = self
            .root("PUT", "sys/unseal", Some(json!({ "key": key })))
            .await?;
        ensure!(status == 200, "the server was not unsealed: {status}");
        let until = Instant::now() + OPEN_LIMIT;
        while Instant::now() < until {
            if self.root("GET", "sys/health", None).await?.0 == 200 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("the server did not serve within {OPEN_LIMIT:?} after it was unsealed")
    }

    fn printed_key(&self) -> Result<String> {
        let log = std::fs::read_to_string(self.log_file()).context("cannot read the log")?;
        let key = log.lines().find_map(|line| line.strip_prefix(PRINTED));
        Ok(key.context("the server printed no unseal key")?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::super::DevOptions;
    use super::*;

    #[tokio::test]
    async fn a_development_server_is_sealed_and_opened() {
        let bao = OpenBao::start_dev(DevOptions::default()).unwrap();
        bao.seal().await.unwrap();
        assert_eq!(bao.root("GET", "sys/health", None).await.unwrap().0, 503);
        bao.unseal().await.unwrap();
        let (status, _) = bao
            .root("GET", "auth/token/lookup-self", None)
            .await
            .unwrap();
        assert_eq!(status, 200);
    }
}
