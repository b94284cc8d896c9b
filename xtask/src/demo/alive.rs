//! Shows that a living token is seen when the server is asked.

use anyhow::{Context, Result, ensure};
use cofferdam_devkit::openbao::{HOST_POLICY, OpenBao};
use serde_json::json;

/// Makes a token on purpose and looks for it among the living.
pub(super) async fn control(bao: &OpenBao) -> Result<()> {
    let body = json!({ "policies": [HOST_POLICY], "no_parent": true, "ttl": "60s" });
    let (_, made) = bao.root("POST", "auth/token/create", Some(body)).await?;
    let accessor = made
        .pointer("/auth/accessor")
        .context("Vault made no token")?;
    let seen = bao.living().await?.len();
    let body = json!({ "accessor": accessor });
    bao.root("POST", "auth/token/revoke-accessor", Some(body))
        .await?;
    ensure!(seen == 1, "of one token made on purpose {seen} were seen");
    Ok(())
}

#[cfg(test)]
mod tests {
    use cofferdam_devkit::openbao::DevOptions;

    use super::*;

    #[tokio::test]
    async fn living_tokens_and_mints_are_counted() {
        let bao = OpenBao::start_dev(DevOptions::default()).unwrap();
        let role = json!({ "allowed_policies_glob": ["cofferdam-task-*"] });
        bao.root("POST", "auth/token/roles/cofferdam", Some(role))
            .await
            .unwrap();
        let mint = |policy: &str| {
            let body = json!({ "policies": [policy], "no_default_policy": true });
            bao.root("POST", "auth/token/create/cofferdam", Some(body))
        };
        assert!(bao.living().await.unwrap().is_empty());
        control(&bao).await.unwrap();
        assert!(bao.living().await.unwrap().is_empty());
        assert_eq!(bao.minted().unwrap(), 0);

        let before = bao.answers().unwrap().len();
        assert_eq!(mint("cofferdam-task-a").await.unwrap().0, 200);
        assert_eq!(mint("other").await.unwrap().0, 400);
        assert_eq!(bao.answers().unwrap().len(), before + 2);
        assert_eq!(bao.minted().unwrap(), 1);
        assert_eq!(bao.living_policies().await.unwrap(), [["cofferdam-task-a"]]);
        assert!(control(&bao).await.is_err());
    }
}
