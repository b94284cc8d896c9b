//! What Vault itself says: which tokens live, and what was asked of it.

use anyhow::{Context, Result, ensure};
use cofferdam_devkit::openbao::{HOST_POLICY, OpenBao};
use serde_json::{Value, json};

/// The policies of every token that lives, root's aside.
pub(super) async fn living(bao: &OpenBao) -> Result<Vec<String>> {
    let (_, list) = bao.root("LIST", "auth/token/accessors", None).await?;
    let accessors = list.pointer("/data/keys").and_then(Value::as_array);
    let mut living = Vec::new();
    for accessor in accessors.context("Vault lists no accessors")? {
        let body = json!({ "accessor": accessor });
        let (status, answer) = bao
            .root("POST", "auth/token/lookup-accessor", Some(body))
            .await?;
        let policies = answer.pointer("/data/policies");
        // A token can die between the two questions.
        if let Some(policies) = policies.filter(|_| status == 200)
            && policies != &json!(["root"])
        {
            living.push(policies.to_string());
        }
    }
    Ok(living)
}

/// Shows that [`living`] sees a living token.
pub(super) async fn control(bao: &OpenBao) -> Result<()> {
    let body = json!({ "policies": [HOST_POLICY], "no_parent": true, "ttl": "60s" });
    let (_, made) = bao.root("POST", "auth/token/create", Some(body)).await?;
    let accessor = made
        .pointer("/auth/accessor")
        .context("Vault made no token")?;
    let seen = living(bao).await?;
    let body = json!({ "accessor": accessor });
    bao.root("POST", "auth/token/revoke-accessor", Some(body))
        .await?;
    ensure!(
        seen.len() == 1,
        "of one token made on purpose {} were seen",
        seen.len()
    );
    Ok(())
}

/// How many requests the server has answered.
pub(super) fn requests(bao: &OpenBao) -> Result<usize> {
    Ok(answers(bao)?.len())
}

/// How many tokens were minted through the token role.
pub(super) fn minted(bao: &OpenBao) -> Result<usize> {
    let is_mint = |answer: &&Value| {
        let path = answer.pointer("/request/path").and_then(Value::as_str);
        let is_made = answer.pointer("/response/auth/accessor").is_some();
        path.is_some_and(|path| path.starts_with("auth/token/create/")) && is_made
    };
    Ok(answers(bao)?.iter().filter(is_mint).count())
}

fn answers(bao: &OpenBao) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(bao.audit_file()).context("cannot read Vault's audit")?;
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    let mut lines = lines.context("Vault's audit is not JSON")?;
    lines.retain(|line| line.get("type") == Some(&json!("response")));
    Ok(lines)
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
        assert!(living(&bao).await.unwrap().is_empty());
        control(&bao).await.unwrap();
        assert!(living(&bao).await.unwrap().is_empty());
        assert_eq!(minted(&bao).unwrap(), 0);

        let before = requests(&bao).unwrap();
        assert_eq!(mint("cofferdam-task-a").await.unwrap().0, 200);
        assert_eq!(mint("other").await.unwrap().0, 400);
        assert_eq!(requests(&bao).unwrap(), before + 2);
        assert_eq!(minted(&bao).unwrap(), 1);
        assert_eq!(living(&bao).await.unwrap(), [r#"["cofferdam-task-a"]"#]);
        assert!(control(&bao).await.is_err());
    }
}
